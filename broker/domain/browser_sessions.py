"""Value types for browser sessions: users who connect, operators who are signed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from broker.domain.model import App, Caller, Secret


@dataclass(frozen=True, slots=True)
class InstallLink:
    """What a state handle identifies: one user of one app on the way to a connection. `options` are
    what the provider's link needs, such as a shop. `credentials` are those that the provider has
    sent for it apart from the browser.
    """

    app: App
    user_ref: str
    scopes: tuple[str, ...]
    verifier: Secret | None
    return_url: str | None
    session_id: UUID | None = None
    browser_hash: bytes | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    credentials: Secret | None = None


@dataclass(frozen=True, slots=True)
class ConnectSession:
    """A single-use way for one user to connect on the connect page. `user_label` is the user's
    name for people; `origin` and `nonce` are the page that opened it in a popup; `outcome` is how
    the last visit to the provider ended. `options` are those of its links that the product knew.
    """

    id: UUID
    app: App
    workspace_name: str
    user_ref: str
    user_label: str | None
    return_url: str | None
    options: Mapping[str, str]
    browser_hash: bytes | None
    origin: str | None
    nonce: str | None
    outcome: str | None
    ended: bool
    expired: bool


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator signed in to the console with a key, whose scopes apply there."""

    caller: Caller
    key_name: str
    workspace_name: str

    def has_any_scope(self, *scopes: str) -> bool:
        """Whether the key has one of the scopes."""
        return any(self.caller.has_scope(scope) for scope in scopes)

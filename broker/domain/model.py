"""The value types that travel between the parts of the broker."""

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

KEY_SCOPES: Mapping[str, str] = {
    "apps": "register and change apps",
    "connect": "create links, list and delete connections",
    "proxy": "call providers as a connected user",
    "proxy:read": "call providers as a connected user, reading only",
    "recipes": "set up and start recipes",
    "webhooks": "register endpoints and replay deliveries",
    "calls": "read the call log",
    "audit": "read who did what",
    "console": "sign in to the console",
}
"""What an API key may be allowed to do."""


class Secret:
    """A string that hides itself from `repr`, `str`, logs and tracebacks."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The string itself; `grep reveal` lists every use."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(
            self._value.encode(), other._value.encode()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant of this installation."""

    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """Methods and a path pattern (`*` matches anything) that calls may use."""

    methods: tuple[str, ...]
    path: str


@dataclass(frozen=True, slots=True)
class Key:
    """An API credential of a workspace, without its secret. A policy narrows its proxied calls."""

    id: UUID
    workspace_id: UUID
    client_id: str
    name: str
    scopes: tuple[str, ...]
    app_slugs: tuple[str, ...] | None
    policy: tuple[PolicyRule, ...] | None
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def manages_keys(self) -> bool:
        """Whether it can create any key in the console, so that nobody is locked out."""
        unlimited = self.app_slugs is None and self.policy is None
        return self.revoked_at is None and unlimited and {"apps", "console"} <= set(self.scopes)


@dataclass(frozen=True, slots=True)
class Caller:
    """A program that has proved to hold a key."""

    workspace_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    app_slugs: frozenset[str] | None
    policy: tuple[PolicyRule, ...] | None = None

    def has_scope(self, scope: str) -> bool:
        return scope in self.scopes

    def can_access_app(self, slug: str) -> bool:
        """Whether the key may access the app with this (lower-case) slug."""
        return self.app_slugs is None or slug in self.app_slugs


class Confirm(StrEnum):
    """Whether a new connection works at once or only after the product has confirmed it."""

    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class ProviderClient:
    """What an app presents itself with at its provider: client id and secret (both empty where the
    provider knows none), and the provider's own settings of the app, such as `environment`.
    """

    client_id: str
    client_secret: Secret
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class App:
    """One client registration at a provider, known by its slug inside a workspace."""

    id: UUID
    workspace_id: UUID
    slug: str
    provider: str
    client_id: str
    client_secret: Secret
    hubspot_app_id: str
    scopes: tuple[str, ...]
    optional_scopes: tuple[str, ...]
    return_urls: tuple[str, ...]
    origins: tuple[str, ...]
    confirm: Confirm
    pkce: bool
    policy: tuple[PolicyRule, ...] | None
    legacy_signatures: bool
    journal: bool
    display_name: str | None
    logo_url: str | None
    install_url: str | None
    marketplace: bool
    options: Mapping[str, str]
    webhook_secret: Secret | None
    credentials_refused_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def client(self) -> ProviderClient:
        """What the app presents itself with at its provider."""
        return ProviderClient(self.client_id, self.client_secret, self.options)


class Status(StrEnum):
    """Where a connection is in its life; the words are StackGo's and the contract's."""

    ACTIVE = "ACTIVE"
    PENDING = "PENDING"
    REAUTH_REQUIRED = "REAUTH_REQUIRED"
    UNCLAIMED = "UNCLAIMED"


@dataclass(frozen=True, slots=True)
class Grant:
    """The access token a connection holds. Times are on this process's monotonic clock, in
    seconds, so that a wrong wall clock cannot make a good token look stale or the reverse.
    `just_issued`: it comes straight from the provider, for the call that uses it. `api_url`: where
    calls with it go, which may be another place than the connection's grant before it had.
    """

    access_token: Secret
    stale_at: float
    expires_at: float
    generation: int
    just_issued: bool = False
    api_url: str | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One user of one app, tied to one account, with what a proxied call needs. `api_url`: where
    its calls go, None for the provider's one address; `details`: what else the provider needs to
    know of it.
    """

    id: UUID
    workspace_id: UUID
    app_id: UUID
    app_slug: str
    provider: str
    user_ref: str | None
    status: Status
    account_id: str | None
    hub_id: int | None
    grant: Grant | None
    policy: tuple[PolicyRule, ...] | None
    scopes: tuple[str, ...]
    api_url: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A connection as people look at it, without its tokens."""

    id: UUID
    number: int
    user_ref: str | None
    status: Status
    account_id: str | None
    account_name: str | None
    hub_id: int | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    installed_by: str | None
    expires_at: datetime | None
    renewed_at: datetime | None
    last_used_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)  # frozen, each would take two microseconds longer to make
class ProxyCall:
    """A request to a provider, made for one user. Its target is a raw path, byte for byte, that
    begins with one slash and cannot name another host or climb out of its path; or an absolute
    URL, which the connection's provider turns into such a path, or refuses, before it is sent.
    """

    app_slug: str
    user_ref: str
    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes | AsyncIterator[bytes] | None
    quota_wait: float | None = None
    """How many seconds it may wait for quota; None: as long as the operator says."""
    request_id: str = ""
    idempotency_key: str | None = None
    provider: str | None = None
    """Whose app it must be; None: any provider's."""
    account_id: str | None = None
    """The only account in which it may act; None: the one that the user is connected to."""

    @property
    def replayable(self) -> bool:
        """Whether the body can be sent a second time."""
        return self.body is None or isinstance(self.body, bytes)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing."""

    records: list[ConnectionRecord]
    total: int | None = None
    after: int | None = None

"""Apps, consents and tokens. A refresh token's value changes about daily, and the old one dies."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.sandbox.quickbooks.levers import Levers

SCOPES = frozenset(
    {
        "com.intuit.quickbooks.accounting",
        "com.intuit.quickbooks.payment",
        "openid",
        "profile",
        "email",
        "phone",
        "address",
    }
)
ACCOUNTING = "com.intuit.quickbooks.accounting"


@dataclass(slots=True)
class App:
    """An app of the developer portal with its keys. Webhooks go to `webhook_url`, signed with
    `verifier_token`; `entities` are those it subscribes to; an empty list means all.
    """

    client_id: str
    client_secret: str
    redirect_uris: list[str]
    verifier_token: str = ""
    webhook_url: str = ""
    entities: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Code:
    """An authorization code."""

    client_id: str
    realm_id: str
    scopes: list[str]
    redirect_uri: str
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class Grant:
    """A person's consent, with the refresh token's present value and when it was issued."""

    client_id: str
    realm_id: str
    scopes: list[str]
    authorized_at: float
    refresh_token: str
    issued_at: float
    alive: bool = True


@dataclass(slots=True)
class AccessToken:
    """An access token. It outlives the refresh token it came from, up to its own end."""

    grant: Grant
    issued_at: float
    expires_at: float


class Grants:
    """Issues, renews and ends tokens by the clock `now` and the levers."""

    def __init__(self, levers: Levers, now: Callable[[], float]) -> None:
        self._levers = levers
        self._now = now
        self.apps: dict[str, App] = {}
        self.codes: dict[str, Code] = {}
        self.grants: list[Grant] = []
        self.refresh_tokens: dict[str, Grant] = {}
        self.access_tokens: dict[str, AccessToken] = {}

    def issue_code(self, app: App, realm_id: str, scopes: list[str], redirect_uri: str) -> str:
        code = f"AB1{secrets.token_hex(22)}"
        expires_at = self._now() + self._levers.code_lifetime
        self.codes[code] = Code(app.client_id, realm_id, scopes, redirect_uri, expires_at)
        return code

    def redeem(self, code: str, client_id: str, redirect_uri: str) -> Grant | None:
        """A new grant for a code; None when the code is unknown, used, late or another app's."""
        found = self.codes.get(code)
        if found is None or found.used or found.expires_at <= self._now():
            return None
        if (found.client_id, found.redirect_uri) != (client_id, redirect_uri):
            return None
        found.used = True
        return self.authorize(client_id, found.realm_id, found.scopes)

    def authorize(self, client_id: str, realm_id: str, scopes: list[str] | None = None) -> Grant:
        """A new grant, as a consent gives it."""
        now = self._now()
        grant = Grant(client_id, realm_id, scopes or [ACCOUNTING], now, _refresh_token(), now)
        self.grants.append(grant)
        self.refresh_tokens[grant.refresh_token] = grant
        return grant

    def renew(self, refresh_token: str, client_id: str) -> Grant | None:
        """The grant of a refresh token, with a new value when the present one is old enough; None
        when the value is not the present one, has run out, or the grant has ended.
        """
        grant = self.refresh_tokens.get(refresh_token)
        if grant is None or not grant.alive or grant.client_id != client_id:
            return None
        if grant.refresh_token != refresh_token or self.refresh_expires_in(grant) <= 0:
            return None
        if self._now() - grant.issued_at >= self._levers.rotate_after:
            grant.refresh_token, grant.issued_at = _refresh_token(), self._now()
            self.refresh_tokens[grant.refresh_token] = grant
        return grant

    def issue_access(self, grant: Grant) -> str:
        token = f"eyJ{secrets.token_urlsafe(660)}"
        now = self._now()
        self.access_tokens[token] = AccessToken(grant, now, now + self._levers.access_lifetime)
        return token

    def refresh_expires_in(self, grant: Grant) -> int:
        """Seconds that the present refresh token lives, the hard cap included."""
        rolling = grant.issued_at + self._levers.refresh_lifetime - self._now()
        return int(min(rolling, self.hard_expires_in(grant)))

    def hard_expires_in(self, grant: Grant) -> int:
        """Seconds until the consent ends whatever is refreshed."""
        return int(grant.authorized_at + self._levers.hard_cap - self._now())

    def end(self, realm_id: str, client_id: str | None = None) -> None:
        """End every grant of a company, for one app or for all, as a disconnect does."""
        for grant in self.grants:
            if grant.realm_id == realm_id and client_id in {None, grant.client_id}:
                grant.alive = False

    def expire_access(self) -> None:
        """Let every access token run out now."""
        for token in self.access_tokens.values():
            token.expires_at = min(token.expires_at, self._now())

    def connected(self, client_id: str, realm_id: str) -> bool:
        return any(
            each.alive and (each.client_id, each.realm_id) == (client_id, realm_id)
            for each in self.grants
        )


def _refresh_token() -> str:
    return f"RT1-{secrets.randbelow(1000)}-H0-{secrets.token_hex(20)}"

"""Apps, connections and tokens. Every refresh gives a new refresh token; the old one can be used
again for half an hour. A token is not bound to an organisation: connections are.
"""

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from broker.sandbox.xero.levers import Levers

BROAD_SCOPES = frozenset(
    {"accounting.transactions", "accounting.transactions.read", "accounting.reports.read"}
)
WRITE_SCOPES = frozenset(
    f"accounting.{each}"
    for each in ("contacts", "settings", "invoices", "payments", "banktransactions", "attachments")
)
SCOPES = (
    BROAD_SCOPES
    | WRITE_SCOPES
    | {f"{each}.read" for each in WRITE_SCOPES}
    | {"openid", "profile", "email", "offline_access"}
)
EVERYTHING = ("offline_access", *sorted(WRITE_SCOPES))
USER = {
    "sub": "3a1f8c1e-ada",
    "xero_userid": "7f5bd4a6-2d8b-4f0e-9c1b-6f2f3f0f1a01",
    "email": "ada@acme.example",
    "given_name": "Ada",
    "family_name": "Lovelace",
}


@dataclass(slots=True)
class App:
    """An app of the developer portal. One without a secret uses PKCE; one with `custom_tenant` is a
    custom connection to that organisation. `webhook_status` is pending, ok or disabled.
    """

    client_id: str
    client_secret: str
    redirect_uris: list[str]
    custom_tenant: str = ""
    webhook_url: str = ""
    webhook_key: str = ""
    webhook_status: str = "pending"
    sequence: int = 0


@dataclass(slots=True)
class Connection:
    """An organisation that an app may see."""

    client_id: str
    tenant_id: str
    auth_event_id: str
    created_at: float
    updated_at: float
    connection_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True)
class Code:
    """An authorization code."""

    client_id: str
    scopes: list[str]
    redirect_uri: str
    challenge: str
    auth_event_id: str
    expires_at: float
    used: bool = False


@dataclass(slots=True)
class RefreshToken:
    """A refresh token. `used_at` is when it was first used."""

    client_id: str
    scopes: list[str]
    auth_event_id: str
    expires_at: float
    used_at: float | None = None


@dataclass(slots=True)
class AccessToken:
    """An access token of an app."""

    client_id: str
    scopes: list[str]
    expires_at: float


class Grants:
    """Issues, renews and ends tokens and connections by the clock `now` and the levers."""

    def __init__(self, levers: Levers, now: Callable[[], float]) -> None:
        self._levers = levers
        self._now = now
        self.apps: dict[str, App] = {}
        self.codes: dict[str, Code] = {}
        self.connections: dict[str, Connection] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.access_tokens: dict[str, AccessToken] = {}

    def connect(self, client_id: str, tenant_ids: Iterable[str]) -> str:
        """Connect an app to organisations; the id of the event in which it happened."""
        event, now = str(uuid.uuid4()), self._now()
        for tenant_id in tenant_ids:
            found = self.connection(client_id, tenant_id)
            if found is None:
                found = Connection(client_id, tenant_id, event, now, now)
                self.connections[found.connection_id] = found
            found.auth_event_id, found.updated_at = event, now
        return event

    def connection(self, client_id: str, tenant_id: str) -> Connection | None:
        for each in self.connections.values():
            if (each.client_id, each.tenant_id) == (client_id, tenant_id):
                return each
        return None

    def disconnect(self, tenant_id: str) -> None:
        """End every app's connection to an organisation, as a person does in Xero."""
        for each in list(self.connections.values()):
            if each.tenant_id == tenant_id:
                del self.connections[each.connection_id]

    def issue_code(
        self, app: App, scopes: list[str], redirect_uri: str, challenge: str, event: str
    ) -> str:
        code = secrets.token_urlsafe(32)
        until = self._now() + self._levers.code_lifetime
        self.codes[code] = Code(app.client_id, scopes, redirect_uri, challenge, event, until)
        return code

    def redeem(self, code: str, client_id: str, redirect_uri: str, verifier: str) -> Code | None:
        """The code, used up; None when it is unknown, used, late, another's or unproved."""
        found = self.codes.get(code)
        if found is None or found.used or found.expires_at <= self._now():
            return None
        if (found.client_id, found.redirect_uri) != (client_id, redirect_uri):
            return None
        if found.challenge and found.challenge != _challenge(verifier):
            return None
        found.used = True
        return found

    def renew(self, token: str, client_id: str) -> RefreshToken | None:
        """The refresh token, marked as used; None when it is unknown, another's, has run out or was
        used longer ago than the grace.
        """
        found, now = self.refresh_tokens.get(token), self._now()
        if found is None or found.client_id != client_id or found.expires_at <= now:
            return None
        if found.used_at is None:
            found.used_at = now
        elif now > found.used_at + self._levers.grace:
            return None
        return found

    def issue(self, client_id: str, scopes: list[str], event: str) -> dict[str, Any]:
        """The token endpoint's answer, with a refresh token when offline access was granted."""
        now, lifetime = int(self._now()), self._levers.access_lifetime
        claims = {
            "nbf": now,
            "exp": now + lifetime,
            "iss": "https://identity.xero.com",
            "aud": "https://identity.xero.com/resources",
            "client_id": client_id,
            "jti": secrets.token_hex(16),
            "scope": scopes,
        }
        access = _jwt(claims | ({"authentication_event_id": event} if event else {}))
        self.access_tokens[access] = AccessToken(client_id, scopes, self._now() + lifetime)
        answer: dict[str, Any] = {
            "access_token": access,
            "expires_in": lifetime,
            "token_type": "Bearer",
            "scope": " ".join(scopes),
        }
        if "openid" in scopes:
            answer["id_token"] = _jwt(claims | USER | {"aud": client_id, "iat": now})
        if "offline_access" in scopes and event:
            answer["refresh_token"] = self._issue_refresh(client_id, scopes, event)
        return answer

    def revoke(self, client_id: str) -> None:
        """End an app's tokens and its connections, as the revocation of a refresh token does."""
        tables: tuple[dict[str, Any], ...] = (
            self.refresh_tokens,
            self.access_tokens,
            self.connections,
        )
        for each in tables:
            for key in [key for key, value in each.items() if value.client_id == client_id]:
                del each[key]

    def expire_access(self) -> None:
        """Let every access token run out now."""
        for token in self.access_tokens.values():
            token.expires_at = min(token.expires_at, self._now())

    def _issue_refresh(self, client_id: str, scopes: list[str], event: str) -> str:
        token = secrets.token_urlsafe(32)
        until = self._now() + self._levers.refresh_lifetime
        self.refresh_tokens[token] = RefreshToken(client_id, scopes, event, until)
        return token


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _jwt(claims: dict[str, Any]) -> str:
    """A token of a JWT's shape. Its signature is random: nothing here publishes keys."""
    header = {"alg": "RS256", "kid": "1CAF8E66772D6DC028D6726FD0261581570EFC19", "typ": "JWT"}
    parts = [json.dumps(each, separators=(",", ":")).encode() for each in (header, claims)]
    encoded = [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts]
    return ".".join([*encoded, secrets.token_urlsafe(256)])

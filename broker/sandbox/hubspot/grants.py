"""What the simulated HubSpot has issued: codes, refresh tokens, access tokens."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class App:
    """An app as registered at HubSpot; everything can change, as a person would change it.

    `subscriptions` are its webhook subscriptions by id; `target_url` is where their events go.
    """

    client_id: str
    client_secret: str
    app_id: int
    scopes: list[str]
    redirect_urls: list[str]
    optional_scopes: list[str] = field(default_factory=list)
    target_url: str = ""
    max_concurrent: int = 10
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def subscribe(self, target_url: str, subscriptions: Iterable[Mapping[str, Any]]) -> None:
        """Have events sent to an address, as its developer does on the app's page."""
        self.target_url = target_url
        for each in subscriptions:
            self.subscriptions[str(len(self.subscriptions) + 1)] = {**each, "active": True}


@dataclass(slots=True)
class Code:
    """An authorization code: single use, for one redirect URL and one challenge."""

    client_id: str
    hub_id: int
    user: str
    scopes: list[str]
    redirect_url: str
    challenge: str | None
    expires_at: float


@dataclass(slots=True)
class RefreshToken:
    """A refresh token with its grant. `generation` counts its renewals."""

    token: str
    client_id: str
    hub_id: int
    user: str
    scopes: list[str]
    alive: bool = True
    generation: int = 0


@dataclass(slots=True)
class AccessToken:
    """An access token; `calls` counts the API requests that carried it."""

    token: str
    refresh: RefreshToken
    generation: int
    expires_at: float
    alive: bool = True
    calls: int = 0


class Grants:
    """Everything issued, by its token. `marker` is part of each, so that a leak can be found."""

    def __init__(self, marker: str = "") -> None:
        self.marker = marker
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.access_tokens: dict[str, AccessToken] = {}

    def issue_code(self, code: Code) -> str:
        """A code with HubSpot's data centre in front."""
        token = f"na1-{self.marker}{secrets.token_hex(4)}-{secrets.token_hex(12)}"
        self.codes[token] = code
        return token

    def issue_refresh(
        self, client_id: str, hub_id: int, user: str, scopes: list[str]
    ) -> RefreshToken:
        token = f"na1-{self.marker}{secrets.token_hex(6)}-{secrets.token_hex(14)}"
        issued = RefreshToken(token, client_id, hub_id, user, list(scopes))
        self.refresh_tokens[token] = issued
        return issued

    def issue_access(self, refresh: RefreshToken, expires_at: float) -> AccessToken:
        token = f"C{self.marker}{secrets.token_urlsafe(90)}"
        issued = AccessToken(token, refresh, refresh.generation, expires_at)
        self.access_tokens[token] = issued
        return issued

    def rotate(self, refresh: RefreshToken) -> RefreshToken:
        """A new refresh token that replaces one that no longer works."""
        refresh.alive = False
        renewed = self.issue_refresh(
            refresh.client_id, refresh.hub_id, refresh.user, refresh.scopes
        )
        renewed.generation = refresh.generation
        return renewed

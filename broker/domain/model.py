"""The nouns of the broker, as values: what travels between its parts."""

import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

KEY_SCOPES: Mapping[str, str] = {
    "apps": "register and change apps",
    "connect": "create links, list and delete connections",
    "proxy": "call HubSpot as a connected user",
    "proxy:read": "call HubSpot as a connected user, reading only",
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
    """Whether a new connection works at once or waits for the product's word."""

    AUTO = "auto"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class App:
    """One HubSpot client registration, known by its slug inside a workspace."""

    id: UUID
    workspace_id: UUID
    slug: str
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
    credentials_refused_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Status(StrEnum):
    """Where a connection is in its life; the words are StackGo's and the contract's."""

    ACTIVE = "ACTIVE"
    PENDING = "PENDING"
    REAUTH_REQUIRED = "REAUTH_REQUIRED"
    UNCLAIMED = "UNCLAIMED"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What HubSpot's token endpoint gave; lifetime in seconds (None: never runs out)."""

    access_token: Secret
    refresh_token: Secret | None
    lifetime: float | None
    hub_id: int | None = None
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Whose HubSpot account a token speaks for, as introspection tells."""

    hub_id: int
    hub_domain: str | None
    user: str | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grant:
    """The access token a connection holds. Times are on this process's monotonic clock, in
    seconds, so that a wrong wall clock cannot make a good token look stale or the reverse.
    """

    access_token: Secret
    stale_at: float
    expires_at: float
    generation: int


@dataclass(frozen=True, slots=True)
class Connection:
    """One user of one app, tied to one HubSpot account, with what a proxied call needs."""

    id: UUID
    workspace_id: UUID
    app_id: UUID
    app_slug: str
    user_ref: str | None
    status: Status
    hub_id: int | None
    grant: Grant | None
    policy: tuple[PolicyRule, ...] | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConnectionRecord:
    """A connection as people look at it: facts and times, never a token."""

    id: UUID
    number: int
    user_ref: str | None
    status: Status
    hub_id: int | None
    hub_domain: str | None
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    installed_by: str | None
    expires_at: datetime | None
    renewed_at: datetime | None
    last_used_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class PendingGrant:
    """A grant that waits for its code to come back from somebody with a key."""

    id: UUID
    app: App
    connection_id: UUID
    user_ref: str | None
    reason: str
    tokens: Tokens
    account: Account
    return_url: str | None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A refresh token that HubSpot still has to be told to revoke."""

    workspace_id: UUID
    id: UUID
    client_id: str
    client_secret: Secret
    refresh_token: Secret
    shared: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class ProxyCall:
    """A HubSpot request made for one user. One that exists may be sent: its target is raw, byte
    for byte, begins with one slash and cannot name another host or climb out of its path.
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
    hub_id: int | None = None
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

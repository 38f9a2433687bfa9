"""Value types for grants: what a provider issues, and what becomes of it before and after."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from broker.domain.model import App, ProviderClient, Secret


@dataclass(frozen=True, slots=True)
class Account:
    """The account at a provider that a token belongs to. `hub_id` is HubSpot's account id as a
    number, by which its webhooks and journal name the account; None elsewhere. `app_id` is the
    provider's id of the app that the token was issued to, where the provider says it. `details` are
    what the connection must know of this account, where a grant is for several.
    """

    account_id: str
    account_name: str | None
    user: str | None
    scopes: tuple[str, ...]
    hub_id: int | None = None
    app_id: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token endpoint's response, or credentials that take the place of one.

    `lifetime` of the access token in seconds; None: it has no known end, and `renew_in` says after
    how many seconds it should be renewed all the same, if at all. `api_url` and `details`
    are what the provider needs to know of the connection from now on; None: what it knows already.
    `refresh_expires_in`: seconds until the grant ends unless it is renewed; `ends_in`: seconds
    until it ends however often it is renewed.
    """

    access_token: Secret
    refresh_token: Secret | None
    lifetime: float | None
    account: Account | None = None
    scopes: tuple[str, ...] = ()
    api_url: str | None = None
    details: Mapping[str, str] | None = None
    renew_in: float | None = None
    refresh_expires_in: float | None = None
    ends_in: float | None = None


def tokens_for(tokens: Tokens, account: Account) -> Tokens:
    """Tokens as a connection to one of their accounts keeps them."""
    if not account.details:
        return tokens
    return replace(tokens, details={**(tokens.details or {}), **account.details})


@dataclass(frozen=True, slots=True)
class PendingGrant:
    """A grant that is kept until its code is presented with an API key, or its account is chosen.
    `accounts` are those to choose from; until then `account` is the first of them.
    """

    id: UUID
    app: App
    connection_id: UUID
    user_ref: str | None
    reason: str
    tokens: Tokens
    account: Account
    return_url: str | None
    code_expires_at: datetime
    accounts: tuple[Account, ...] = ()
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """A refresh token that is still to be revoked at the provider."""

    workspace_id: UUID
    id: UUID
    provider: str
    client: ProviderClient
    details: Mapping[str, str]
    refresh_token: Secret
    shared: bool
    attempts: int

"""Connections as callers see them."""

from datetime import datetime

from pydantic import BaseModel

from broker.domain.model import ConnectionRecord, Status


class AccountShown(BaseModel):
    """An account that a user may choose."""

    accountId: str
    accountName: str | None


class ConnectionShown(BaseModel):
    """A connection, without its tokens. `hubId` and `hubDomain` repeat a HubSpot account;
    `accounts` are those to choose from, where one consent brought several (not in lists).
    """

    id: int
    status: Status
    userForeignIdentifier: str | None
    accountId: str | None
    accountName: str | None
    hubId: int | None
    hubDomain: str | None
    scopes: list[str]
    missingScopes: list[str]
    installedBy: str | None
    expiresAt: datetime | None
    renewedAt: datetime | None
    lastUsedAt: datetime | None
    lastError: str | None
    createdAt: datetime
    updatedAt: datetime
    accounts: list[AccountShown] | None = None


class ConnectionPage(BaseModel):
    """A page of connections, oldest first; `after` asks for the next, null at the end."""

    connections: list[ConnectionShown]
    after: int | None


class Unclaimed(BaseModel):
    """A Marketplace install that waits to be claimed: whose account it is, and until when."""

    app: str
    accountId: str
    accountName: str | None
    hubId: int | None
    hubDomain: str | None
    installedBy: str | None
    scopes: list[str]
    expiresAt: datetime


class Claimed(ConnectionShown):
    """The claimed connection, and the provider's page to which the user's browser goes back."""

    returnUrl: str | None


class Deleted(BaseModel):
    """A deleted connection; `revocation` is the outcome for its grant at the provider: revoked,
    pending (it is repeated until the provider answers), shared-grant, refused or nothing-to-revoke.
    """

    deleted: bool
    revocation: str


def shown(record: ConnectionRecord) -> ConnectionShown:
    """A record as the API shows it."""
    return ConnectionShown(
        id=record.number,
        status=record.status,
        userForeignIdentifier=record.user_ref,
        accountId=record.account_id,
        accountName=record.account_name,
        hubId=record.hub_id,
        hubDomain=None if record.hub_id is None else record.account_name,
        scopes=list(record.scopes),
        missingScopes=list(record.missing_scopes),
        installedBy=record.installed_by,
        expiresAt=record.expires_at,
        renewedAt=record.renewed_at,
        lastUsedAt=record.last_used_at,
        lastError=record.last_error,
        createdAt=record.created_at,
        updatedAt=record.updated_at,
    )

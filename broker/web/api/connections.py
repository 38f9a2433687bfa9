"""Connections as a product sees them, with claims and confirmations."""

import re
from datetime import datetime
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field, SecretStr, TypeAdapter, ValidationError

from broker.domain.model import App, Caller, ConnectionRecord, Secret, Status
from broker.errors import ConnectionNotFound
from broker.services.grants.connection_admin import ConnectionAdmin
from broker.services.installs.pending_grants import Confirmations
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, Text, UserRef, path_slug

USER_REF: TypeAdapter[str] = TypeAdapter(UserRef)


class ConnectionQuery(RequestModel):
    """Which connections to list; `after` is the `after` of the page before."""

    status: Status | None = None
    hubId: Annotated[int, Field(ge=0, le=2**53)] | None = None
    accountId: Text | None = None
    after: Annotated[int, Field(ge=0, le=2**53)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 100


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]+", value.get_secret_value()):
        raise ValueError("must be a token: visible ASCII characters alone")
    return value


Token = Annotated[SecretStr, AfterValidator(_token), Field(min_length=1, max_length=2048)]


class Import(RequestModel):
    """A grant from elsewhere: a refresh token, or an access token without an end."""

    refreshToken: Token | None = None
    accessToken: Token | None = None


class Confirmation(RequestModel):
    """The code from the fragment of the return URL, and who it is for."""

    confirm: Text
    userForeignIdentifier: UserRef


class Claim(RequestModel):
    """Who a Marketplace install is for."""

    userForeignIdentifier: UserRef


class ConnectionShown(BaseModel):
    """A connection, without its tokens. `hubId` and `hubDomain` repeat a HubSpot account."""

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


class ConnectionHandlers:
    """`/api/apps/{slug}/connections` and what leads there."""

    def __init__(
        self,
        apps: Apps,
        connections: Connections,
        confirmations: Confirmations,
        upkeep: ConnectionAdmin,
    ) -> None:
        self._apps = apps
        self._connections = connections
        self._confirmations = confirmations
        self._admin = upkeep

    @operation(
        "connect", query=ConnectionQuery, answers={200: ConnectionPage}, tags=("Connections",)
    )
    async def index(
        self, request: web.Request, caller: Caller, query: ConnectionQuery
    ) -> ConnectionPage:
        """List an app's connections, oldest first."""
        app = await self._app(request, caller)
        page = await self._connections.page(
            app,
            status=query.status,
            account_id=query.accountId if query.hubId is None else str(query.hubId),
            after=query.after,
            limit=query.limit,
        )
        return ConnectionPage(
            connections=[shown(record) for record in page.records], after=page.after
        )

    @operation("connect", answers={200: ConnectionShown}, tags=("Connections",))
    async def show(self, request: web.Request, caller: Caller) -> ConnectionShown:
        """Show one user's connection."""
        return await self._shown(await self._app(request, caller), path_user(request))

    @operation("connect", answers={200: Deleted}, tags=("Connections",))
    async def delete(self, request: web.Request, caller: Caller) -> Deleted:
        """Wipe a connection's tokens at once and revoke its grant.

        The app stays installed in the account.
        """
        app = await self._app(request, caller)
        outcome = await self._admin.delete(app, path_user(request), str(caller.key_id))
        return Deleted(deleted=True, revocation=outcome)

    @operation("connect", answers={200: ConnectionShown}, tags=("Connections",))
    async def renew(self, request: web.Request, caller: Caller) -> ConnectionShown:
        """Renew a connection's grant now."""
        app = await self._app(request, caller)
        await self._admin.renew(app, path_user(request))
        return await self._shown(app, path_user(request))

    @operation("connect", body=Import, answers={200: ConnectionShown}, tags=("Connections",))
    async def import_grant(
        self, request: web.Request, caller: Caller, body: Import
    ) -> ConnectionShown:
        """Import a grant from elsewhere, proved by using it."""
        app = await self._app(request, caller)
        await self._admin.import_grant(
            app,
            path_user(request),
            str(caller.key_id),
            _secret(body.refreshToken),
            _secret(body.accessToken),
        )
        return await self._shown(app, path_user(request))

    @operation("connect", body=Confirmation, answers={200: ConnectionShown}, tags=("Connections",))
    async def confirm(
        self, _request: web.Request, caller: Caller, body: Confirmation
    ) -> ConnectionShown:
        """Activate a connection that waits for confirmation.

        403 when the code was made for another user: the install is undone then.
        """
        user_ref = body.userForeignIdentifier
        app = await self._confirmations.confirm(caller, Secret(body.confirm), user_ref)
        return await self._shown(app, user_ref)

    @operation("connect", answers={200: Unclaimed}, tags=("Connections",))
    async def peek(self, request: web.Request, caller: Caller) -> Unclaimed:
        """Show whose account a Marketplace install belongs to, before it is claimed.

        Show it to the signed-in user and ask before claiming: a code can come from anyone.
        """
        grant = await self._confirmations.peek(caller, Secret(request.match_info["claim"]))
        return Unclaimed(
            app=grant.app.slug,
            accountId=grant.account.account_id,
            accountName=grant.account.account_name,
            hubId=grant.account.hub_id,
            hubDomain=None if grant.account.hub_id is None else grant.account.account_name,
            installedBy=grant.account.user,
            scopes=list(grant.account.scopes),
            expiresAt=grant.code_expires_at,
        )

    @operation("connect", body=Claim, answers={200: Claimed}, tags=("Connections",))
    async def claim(self, request: web.Request, caller: Caller, body: Claim) -> Claimed:
        """Give a Marketplace install to one of the app's users."""
        user_ref = body.userForeignIdentifier
        grant = await self._confirmations.claim(
            caller, Secret(request.match_info["claim"]), user_ref
        )
        connection = await self._shown(grant.app, user_ref)
        return Claimed(**connection.model_dump(), returnUrl=grant.return_url)

    async def _app(self, request: web.Request, caller: Caller) -> App:
        return await self._apps.get(caller.workspace_id, path_slug(request, caller))

    async def _shown(self, app: App, user_ref: str) -> ConnectionShown:
        record = await self._connections.find_record(app, user_ref)
        if record is None:
            raise ConnectionNotFound
        return shown(record)


def _secret(value: SecretStr | None) -> Secret | None:
    return None if value is None else Secret(value.get_secret_value())


def path_user(request: web.Request) -> str:
    """The user reference in the path. Raises ConnectionNotFound for what is not one."""
    try:
        return USER_REF.validate_python(request.match_info["user"])
    except ValidationError:
        raise ConnectionNotFound from None


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

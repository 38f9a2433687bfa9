"""Connections as a product sees them, with claims and confirmations."""

import re
from typing import Annotated

from aiohttp import web
from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, ValidationError, create_model

from broker.domain.model import App, Caller, Secret, Status
from broker.errors import ConnectionNotFound
from broker.providers.catalog import PROVIDERS
from broker.services.grants.connection_admin import ConnectionAdmin
from broker.services.installs.account_choice import AccountChoice
from broker.services.installs.pending_grants import Confirmations
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.web.api.connection_models import (
    AccountShown,
    Claimed,
    ConnectionPage,
    ConnectionShown,
    Deleted,
    Unclaimed,
    shown,
)
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


class ImportBase(RequestModel):
    """A grant from elsewhere: a refresh token, or an access token without an end."""

    refreshToken: Token | None = None
    accessToken: Token | None = None


IMPORT_FIELDS = sorted({name for spec in PROVIDERS for name in spec.import_fields})

Import: type[ImportBase] = create_model(
    "Import",
    __doc__="A grant from elsewhere: a refresh token, an access token without an end, or what the "
    "app's provider takes instead of them.",
    __base__=ImportBase,
    **dict.fromkeys(IMPORT_FIELDS, (Token | None, None)),  # type: ignore[call-overload]
)


class Confirmation(RequestModel):
    """The code from the fragment of the return URL, and who it is for."""

    confirm: Text
    userForeignIdentifier: UserRef


class ChosenAccount(RequestModel):
    """One of the `accounts` of a connection."""

    accountId: Text


class Claim(RequestModel):
    """Who a Marketplace install is for."""

    userForeignIdentifier: UserRef


class ConnectionHandlers:
    """`/api/apps/{slug}/connections` and what leads there."""

    def __init__(
        self,
        apps: Apps,
        connections: Connections,
        confirmations: Confirmations,
        upkeep: ConnectionAdmin,
        choice: AccountChoice,
    ) -> None:
        self._apps = apps
        self._connections = connections
        self._confirmations = confirmations
        self._admin = upkeep
        self._choice = choice

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
        app, user_ref = await self._app(request, caller), path_user(request)
        found = await self._shown(app, user_ref)
        if (accounts := await self._choice.open_for(app, user_ref)) is not None:
            found.accounts = [
                AccountShown(accountId=each.account_id, accountName=each.account_name)
                for each in accounts
            ]
        return found

    @operation("connect", body=ChosenAccount, answers={200: ConnectionShown}, tags=("Connections",))
    async def choose(
        self, request: web.Request, caller: Caller, body: ChosenAccount
    ) -> ConnectionShown:
        """Choose the account of a connection, where one consent brought several.

        In an app whose connections are confirmed, and where the user is connected to another
        account (409 portal-mismatch), the user's code confirms the choice.
        """
        app, user_ref = await self._app(request, caller), path_user(request)
        await self._choice.by_product(app, user_ref, body.accountId, str(caller.key_id))
        return await self._shown(app, user_ref)

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
        self, request: web.Request, caller: Caller, body: ImportBase
    ) -> ConnectionShown:
        """Import a grant from elsewhere, proved by using it."""
        app = await self._app(request, caller)
        await self._admin.import_grant(
            app,
            path_user(request),
            str(caller.key_id),
            _secret(body.refreshToken),
            _secret(body.accessToken),
            {
                name: Secret(value.get_secret_value())
                for name in IMPORT_FIELDS
                if (value := getattr(body, name)) is not None
            },
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

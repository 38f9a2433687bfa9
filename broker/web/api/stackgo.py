"""StackGo's spellings of the same things, call for call: links and users."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field, create_model, field_validator

from broker.domain.model import Caller, ConnectionRecord, Status
from broker.errors import AppNotFound, ConnectionNotFound, wrong_field
from broker.providers.catalog import PROVIDERS
from broker.services.grants.connection_admin import ConnectionAdmin
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.web.core.openapi import operation
from broker.web.core.requests import (
    RequestModel,
    Text,
    UserRef,
    parse_body,
    path_provider,
    path_slug,
)

PAGE = 100


class LinkBase(RequestModel):
    """Whom the link is for; `scope` narrows the scopes, `returnUrl` is one of the app's."""

    userForeignIdentifier: UserRef
    returnUrl: Text | None = None
    redirect: bool = False
    scope: Annotated[str, Field(max_length=8192)] | None = None


LINK_OPTIONS = sorted({option for spec in PROVIDERS for option in spec.link_options})

LinkQuery: type[LinkBase] = create_model(
    "LinkQuery",
    __doc__="Whom the link is for, with what a provider needs to know of it.",
    __base__=LinkBase,
    **dict.fromkeys(LINK_OPTIONS, (Text | None, None)),  # type: ignore[call-overload]
)


class PageQuery(RequestModel):
    """Which page, from 1."""

    page: Annotated[int, Field(ge=1, le=10_000_000)] = 1


class UserQuery(RequestModel):
    """Which user."""

    userForeignIdentifier: UserRef


class OptionalUser(RequestModel):
    """Which user, where the body names one."""

    userForeignIdentifier: UserRef | None = None

    @field_validator("userForeignIdentifier", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        if value is None:
            raise ValueError("must not be null")
        return value


class InstallUrl(BaseModel):
    """Where the user consents."""

    url: str
    userForeignIdentifier: str
    UUID: UUID


class User(BaseModel):
    """A connected user."""

    id: int
    status: Status
    createdAt: datetime
    updatedAt: datetime
    userForeignIdentifier: str | None


class Users(BaseModel):
    """A page of connected users, oldest first."""

    userForeignIdentifiers: list[User]
    page: int
    pages: int
    total: int


class Connected(BaseModel):
    """Whether a user is known."""

    connected: bool
    data: str
    userForeignIdentifiers: list[User]


class UserDeleted(BaseModel):
    """StackGo's answer to a deletion."""

    message: str
    userForeignIdentifier: str
    appSlug: str


class StackGoHandlers:
    """`/api/{provider}/auth` and `/api/saas-org-user`."""

    def __init__(
        self, apps: Apps, connections: Connections, installs: Installs, upkeep: ConnectionAdmin
    ) -> None:
        self._apps = apps
        self._connections = connections
        self._installs = installs
        self._admin = upkeep

    @operation("connect", query=LinkQuery, answers={200: InstallUrl}, tags=("Install links",))
    async def link(
        self, request: web.Request, caller: Caller, query: LinkBase
    ) -> InstallUrl | web.Response:
        """Create an install link for one user, valid for 60 minutes and one consent.

        With `redirect=true` the answer is 303 there.
        """
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        if app.provider != path_provider(request):
            raise AppNotFound
        scopes = None if query.scope is None else tuple(query.scope.replace(",", " ").split())
        values = {name: getattr(query, name) for name in LINK_OPTIONS}
        url = await self._installs.begin(
            app,
            query.userForeignIdentifier,
            query.returnUrl,
            scopes,
            options={name: value for name, value in values.items() if value is not None},
        )
        if query.redirect:
            return web.Response(status=303, headers={"Location": url})
        return InstallUrl(
            url=url, userForeignIdentifier=query.userForeignIdentifier, UUID=app.workspace_id
        )

    @operation("connect", query=PageQuery, answers={200: Users}, tags=("StackGo",))
    async def users(self, request: web.Request, caller: Caller, query: PageQuery) -> Users:
        """List the users of an app, oldest first, 100 a page."""
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        page = await self._connections.users_page(app, query.page, PAGE)
        total = page.total or 0
        return Users(
            userForeignIdentifiers=[_user(record) for record in page.records],
            page=query.page,
            pages=max(1, -(-total // PAGE)),
            total=total,
        )

    @operation("connect", query=UserQuery, answers={200: Connected}, tags=("StackGo",))
    async def user(self, request: web.Request, caller: Caller, query: UserQuery) -> Connected:
        """Report whether a user of an app is connected."""
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        record = await self._connections.find_record(app, query.userForeignIdentifier)
        return Connected(
            connected=record is not None,
            data=query.userForeignIdentifier,
            userForeignIdentifiers=[] if record is None else [_user(record)],
        )

    @operation("connect", answers={200: UserDeleted}, tags=("StackGo",))
    async def delete(self, request: web.Request, caller: Caller) -> UserDeleted:
        """Delete a user's connection, named in the query or in the body."""
        slug = path_slug(request, caller)
        body = await parse_body(request, OptionalUser) if request.can_read_body else OptionalUser()
        named = {*request.query.getall("userForeignIdentifier", []), body.userForeignIdentifier}
        named.discard(None)
        if len(named) != 1:
            message = "is duplicated" if named else "is required"
            raise wrong_field("userForeignIdentifier", message)
        user_ref = str(named.pop())
        app = await self._apps.get(caller.workspace_id, slug)
        if "\0" in user_ref or len(user_ref) > 255:
            raise ConnectionNotFound
        await self._admin.delete(app, user_ref, str(caller.key_id))
        return UserDeleted(
            message="userForeignIdentifier deleted",
            userForeignIdentifier=user_ref,
            appSlug=slug,
        )


def _user(record: ConnectionRecord) -> User:
    return User(
        id=record.number,
        status=record.status,
        createdAt=record.created_at,
        updatedAt=record.updated_at,
        userForeignIdentifier=record.user_ref,
    )

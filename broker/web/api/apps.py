"""Registering apps: `/api/apps`."""

from aiohttp import web
from pydantic import BaseModel

from broker.domain.model import Caller
from broker.errors import NotAllowed
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Apps
from broker.web.api.app_models import (
    AppChange,
    NewApp,
    RegisteredApp,
    changed,
    registration,
    shown,
)
from broker.web.core.openapi import operation
from broker.web.core.requests import path_slug


class RegisteredApps(BaseModel):
    """All apps of the workspace that the key has access to."""

    apps: list[RegisteredApp]


class AppHandlers:
    """`/api/apps`."""

    def __init__(self, apps: Apps, installs: Installs) -> None:
        self._apps = apps
        self._installs = installs

    @operation("apps", body=NewApp, answers={201: RegisteredApp}, tags=("Apps",))
    async def register(
        self, _request: web.Request, caller: Caller, body: NewApp
    ) -> tuple[int, RegisteredApp]:
        """Register an app at a provider.

        Paste `redirectUrl` into your app's settings at the provider. 409 slug-taken when the
        workspace has an app with this slug.
        """
        slug = body.slug.lower()
        if not caller.can_access_app(slug):
            raise NotAllowed("The API key is limited to other apps.")
        app = await self._apps.register(
            caller.workspace_id, str(caller.key_id), slug, registration(body)
        )
        return 201, shown(app, self._installs)

    @operation("apps", answers={200: RegisteredApps}, tags=("Apps",))
    async def index(self, _request: web.Request, caller: Caller) -> RegisteredApps:
        """List the registered apps, by slug."""
        apps = await self._apps.of_workspace(caller.workspace_id)
        return RegisteredApps(
            apps=[shown(app, self._installs) for app in apps if caller.can_access_app(app.slug)]
        )

    @operation("apps", answers={200: RegisteredApp}, tags=("Apps",))
    async def show(self, request: web.Request, caller: Caller) -> RegisteredApp:
        """Show an app; its slug is compared without case."""
        return shown(
            await self._apps.get(caller.workspace_id, path_slug(request, caller)), self._installs
        )

    @operation("apps", body=AppChange, answers={200: RegisteredApp}, tags=("Apps",))
    async def change(self, request: web.Request, caller: Caller, body: AppChange) -> RegisteredApp:
        """Update an app; omitted fields keep their values.

        With a new `clientSecret` the old one stays valid for webhook signatures for 24 hours.
        """
        async with self._apps.lock(caller.workspace_id, path_slug(request, caller)) as locked:
            app = await locked.change(str(caller.key_id), changed(locked.app, body))
        return shown(app, self._installs)

    @operation("apps", answers={204: None}, tags=("Apps",))
    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """Remove an app, delete its connections and revoke every token at HubSpot."""
        async with self._apps.lock(caller.workspace_id, path_slug(request, caller)) as locked:
            await locked.remove(str(caller.key_id))
        return web.Response(status=204)

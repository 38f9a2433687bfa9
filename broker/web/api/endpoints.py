"""Where an app's events are sent, signed with which secret: `/api/apps/{slug}/endpoints`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from broker.domain.events import Endpoint
from broker.domain.model import App, Caller
from broker.errors import EndpointNotFound
from broker.receivers.addresses import check_url
from broker.receivers.signing import new_secret
from broker.stores.connections.apps import Apps
from broker.stores.events.endpoints import Endpoints
from broker.web.core.openapi import operation
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, Text, path_id, path_slug

Pattern = Annotated[
    str,
    Field(max_length=200),
    Matches(
        r"(\*|[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_/-]+)*(\.\*)?)",
        "must be an event type such as connection.created, a family such as connection.*, or *",
    ),
]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=100)]


class NewEndpoint(RequestModel):
    """An HTTPS address and its event types: types, families such as `connection.*`, or `*`."""

    url: Text
    events: Patterns = Field(default=["*"])


class EndpointChange(RequestModel):
    """What should be different; omitted fields keep their values."""

    url: Text | None = None
    events: Patterns | None = None
    enabled: bool | None = None


class EndpointShown(BaseModel):
    """An endpoint, without its secret. `resumesAt` says until when a failing one is left alone."""

    id: UUID
    url: str
    events: list[str]
    enabled: bool
    disabledBecause: str | None
    failures: int
    failingSince: datetime | None
    resumesAt: datetime | None
    createdAt: datetime
    updatedAt: datetime


class EndpointCreated(EndpointShown):
    """A new endpoint with its signing secret, which is shown this once."""

    secret: str


class EndpointList(BaseModel):
    """All endpoints of the app, oldest first."""

    endpoints: list[EndpointShown]


class EndpointSecret(BaseModel):
    """A new signing secret, shown this once; the one before signs too for a day."""

    id: UUID
    secret: str


class EndpointHandlers:
    """`/api/apps/{slug}/endpoints`."""

    def __init__(
        self,
        apps: Apps,
        endpoints: Endpoints,
        *,
        allow_private: bool,
    ) -> None:
        self._apps = apps
        self._endpoints = endpoints
        self._allow_private = allow_private

    @operation("webhooks", body=NewEndpoint, answers={201: EndpointCreated}, tags=("Events",))
    async def register(
        self, request: web.Request, caller: Caller, body: NewEndpoint
    ) -> tuple[int, EndpointCreated]:
        """Register where an app's events are sent.

        Deliveries are signed with the answer's `secret` (Standard Webhooks); it is shown once.
        """
        app = await self._app(request, caller)
        check_url(body.url, allow_private=self._allow_private)
        secret = new_secret()
        events = list(dict.fromkeys(body.events))
        endpoint = await self._endpoints.register(app, str(caller.key_id), body.url, events, secret)
        return 201, EndpointCreated.model_validate({**_facts(endpoint), "secret": secret.reveal()})

    @operation("webhooks", answers={200: EndpointList}, tags=("Events",))
    async def index(self, request: web.Request, caller: Caller) -> EndpointList:
        """List an app's endpoints, oldest first."""
        endpoints = await self._endpoints.of_app(await self._app(request, caller))
        return EndpointList(endpoints=[_shown(endpoint) for endpoint in endpoints])

    @operation("webhooks", answers={200: EndpointShown}, tags=("Events",))
    async def show(self, request: web.Request, caller: Caller) -> EndpointShown:
        """Show an endpoint."""
        return _shown(await self._endpoint(request, await self._app(request, caller)))

    @operation("webhooks", body=EndpointChange, answers={200: EndpointShown}, tags=("Events",))
    async def change(
        self, request: web.Request, caller: Caller, body: EndpointChange
    ) -> EndpointShown:
        """Update an endpoint; omitted fields keep their values.

        `enabled: true` brings one back that was disabled; what it missed can be replayed.
        """
        app = await self._app(request, caller)
        if body.url is not None:
            check_url(body.url, allow_private=self._allow_private)
        endpoint = await self._endpoints.change(
            app,
            path_id(request, EndpointNotFound),
            str(caller.key_id),
            url=body.url,
            events=body.events,
            enabled=body.enabled,
        )
        return _shown(endpoint)

    @operation("webhooks", answers={204: None}, tags=("Events",))
    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """Remove an endpoint; its undelivered events are discarded."""
        app = await self._app(request, caller)
        await self._endpoints.remove(app, path_id(request, EndpointNotFound), str(caller.key_id))
        return web.Response(status=204)

    @operation("webhooks", answers={200: EndpointSecret}, tags=("Events",))
    async def rotate(self, request: web.Request, caller: Caller) -> EndpointSecret:
        """Create a new signing secret; deliveries carry the old signature too for 24 hours."""
        app, secret = await self._app(request, caller), new_secret()
        endpoint_id = path_id(request, EndpointNotFound)
        await self._endpoints.rotate(app, endpoint_id, str(caller.key_id), secret)
        return EndpointSecret(id=endpoint_id, secret=secret.reveal())

    async def _app(self, request: web.Request, caller: Caller) -> App:
        return await self._apps.get(caller.workspace_id, path_slug(request, caller))

    async def _endpoint(self, request: web.Request, app: App) -> Endpoint:
        return await self._endpoints.get(app, path_id(request, EndpointNotFound))


def _facts(endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "enabled": endpoint.disabled_at is None,
        "disabledBecause": endpoint.disabled_because,
        "failures": endpoint.failures,
        "failingSince": endpoint.failing_since,
        "resumesAt": endpoint.resumes_at,
        "createdAt": endpoint.created_at,
        "updatedAt": endpoint.updated_at,
    }


def _shown(endpoint: Endpoint) -> EndpointShown:
    return EndpointShown.model_validate(_facts(endpoint))

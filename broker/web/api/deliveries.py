"""The deliveries of each endpoint, and sending them again."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from broker.domain.events import DeliveryRecord, Endpoint, message_id
from broker.domain.model import App, Caller
from broker.errors import DeliveryNotFound, EndpointNotFound, wrong_field
from broker.services.events.deliverer import Deliverer
from broker.stores.connections.apps import Apps
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.replays import Replays
from broker.web.core.moments import Moment
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, UserRef, path_id, path_slug


class DeliveryQuery(RequestModel):
    """Which deliveries to list; `before` is the `before` of the previous page."""

    state: Literal["waiting", "delivered", "dead"] | None = None
    before: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Span(RequestModel):
    """The events created from one time to another, of one user or of all."""

    begin: Moment = Field(alias="from")
    end: Moment = Field(alias="to")
    userForeignIdentifier: UserRef | None = None


class DeliveryShown(BaseModel):
    """One event for one endpoint. `messageId` is the `webhook-id` that the receiver sees."""

    id: UUID
    messageId: str
    type: str
    userForeignIdentifier: str | None
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    replayed: bool
    nextAttemptAt: datetime | None
    lastStatus: int | None
    lastError: str | None
    attemptedAt: datetime | None
    createdAt: datetime


class DeliveryPage(BaseModel):
    """A page of deliveries, the newest event first; pass `before` to fetch the next, null at the
    end.
    """

    deliveries: list[DeliveryShown]
    before: UUID | None


class Replayed(BaseModel):
    """How many deliveries are made again, at a steady pace. `until`: the span held too many events
    and was cut there; replay the rest from there once these are delivered. Else null.
    """

    replayed: int
    until: datetime | None


class DeliveryHandlers:
    """`/api/apps/{slug}/endpoints/{id}/deliveries` and what can be sent again."""

    def __init__(
        self,
        apps: Apps,
        endpoints: Endpoints,
        deliveries: Deliveries,
        replays: Replays,
        deliverer: Deliverer,
    ) -> None:
        self._apps = apps
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._replays = replays
        self._deliverer = deliverer

    @operation("webhooks", answers={200: DeliveryShown}, tags=("Events",))
    async def test(self, request: web.Request, caller: Caller) -> DeliveryShown:
        """Send a test event (`endpoint.test`) now, once, and return the result."""
        app = await self._app(request, caller)
        endpoint = await self._endpoint(request, app)
        return _delivery(await self._deliverer.test(app, endpoint))

    @operation("webhooks", query=DeliveryQuery, answers={200: DeliveryPage}, tags=("Events",))
    async def deliveries(
        self, request: web.Request, caller: Caller, query: DeliveryQuery
    ) -> DeliveryPage:
        """List the deliveries to an endpoint, the newest event first."""
        endpoint = await self._endpoint(request, await self._app(request, caller))
        records, before = await self._deliveries.page(
            endpoint, state=query.state, before=query.before, limit=query.limit
        )
        return DeliveryPage(deliveries=[_delivery(record) for record in records], before=before)

    @operation("webhooks", answers={202: DeliveryShown}, tags=("Events",))
    async def replay(self, request: web.Request, caller: Caller) -> tuple[int, DeliveryShown]:
        """Deliver one event again, under the same `webhook-id`, delivered before or not."""
        app, delivery_id = await self._app(request, caller), path_id(request, DeliveryNotFound)
        await self._deliveries.replay(app, delivery_id, str(caller.key_id))
        return 202, _delivery(await self._deliveries.get(app, delivery_id))

    @operation("webhooks", query=Span, answers={202: Replayed}, tags=("Events",))
    async def replay_span(
        self, request: web.Request, caller: Caller, query: Span
    ) -> tuple[int, Replayed]:
        """Deliver the events of a span of time again, including those that never arrived.

        Fifty a second, each under the same `webhook-id` as before. An endpoint gets one span at a
        time (503 `busy` meanwhile), with at most 100,000 events of the app in it.
        """
        if query.end <= query.begin:
            raise wrong_field("to", "must be later than from")
        app = await self._app(request, caller)
        endpoint = await self._endpoint(request, app)
        begun = await self._replays.begin(
            app,
            endpoint,
            query.begin,
            query.end,
            query.userForeignIdentifier,
            str(caller.key_id),
        )
        return 202, Replayed(replayed=begun.deliveries, until=begun.until)

    async def _app(self, request: web.Request, caller: Caller) -> App:
        return await self._apps.get(caller.workspace_id, path_slug(request, caller))

    async def _endpoint(self, request: web.Request, app: App) -> Endpoint:
        return await self._endpoints.get(app, path_id(request, EndpointNotFound))


def _delivery(record: DeliveryRecord) -> DeliveryShown:
    return DeliveryShown.model_validate(
        {
            "id": record.id,
            "messageId": message_id(record.event_id),
            "type": record.type,
            "userForeignIdentifier": record.user_ref,
            "state": record.state,
            "attempts": record.attempts,
            "replayed": record.is_replay,
            "nextAttemptAt": record.due_at,
            "lastStatus": record.last_status,
            "lastError": record.last_error,
            "attemptedAt": record.attempted_at,
            "createdAt": record.created_at,
        }
    )

"""`/api/recipes/kyb/{slug}/parked`: First Mile Labs events that match no run."""

from datetime import datetime

from aiohttp import web
from pydantic import BaseModel

from broker.domain.model import Caller
from broker.stores.connections.apps import Apps
from broker.stores.recipes.kyb_cases import Cases
from broker.web.core.openapi import operation
from broker.web.core.requests import path_slug

MAX_LISTED = 200


class ParkedEventResponse(BaseModel):
    """An event that fits no run."""

    eventId: str
    event: str
    caseId: str | None
    crmRecordId: str | None
    receivedAt: datetime


class ParkedEventsResponse(BaseModel):
    """Parked events, newest first."""

    events: list[ParkedEventResponse]


class ParkedHandlers:
    """`/api/recipes/kyb/{slug}/parked`."""

    def __init__(self, apps: Apps, cases: Cases) -> None:
        self._apps = apps
        self._cases = cases

    @operation("recipes", answers={200: ParkedEventsResponse}, tags=("Recipes",))
    async def index(self, request: web.Request, caller: Caller) -> ParkedEventsResponse:
        """List First Mile Labs events that match no run, newest first."""
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        found = await self._cases.parked(app.workspace_id, app.id, MAX_LISTED)
        return ParkedEventsResponse(
            events=[
                ParkedEventResponse(
                    eventId=each.event_id,
                    event=each.name,
                    caseId=each.case_id,
                    crmRecordId=each.record_id,
                    receivedAt=each.received_at,
                )
                for each in found
            ]
        )

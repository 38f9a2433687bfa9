"""Events, written in the transaction of the change that they report."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from broker.domain.events import EndpointOutcome, EventRecord, NewEvent
from broker.domain.model import App
from broker.domain.uuid7 import LAST_ID
from broker.errors import NotFound
from broker.stores.core.database import Database, Session, escaped
from broker.stores.core.queries import sql
from broker.stores.events.retention import first_kept_event


async def publish(
    session: Session, workspace_id: UUID, app_id: UUID, events: Sequence[NewEvent]
) -> None:
    """Write events, with a delivery to each endpoint of the app that subscribes to them, in the
    session's transaction.
    """
    if events:
        named = (
            workspace_id,
            app_id,
            [event.id for event in events],
            [event.type for event in events],
        )
        users, payloads = [event.user_ref for event in events], [each.payload() for each in events]
        await session.execute(sql.insert_events, *named, users, payloads)
        await session.execute(sql.enqueue_deliveries, *named)


class Events:
    """The events of the last month."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(
        self, app: App, text: str, *, before: UUID | None, limit: int
    ) -> list[EventRecord]:
        """Events in whose type, user or message id a text occurs, newest first, before an event."""
        rows = await self._database.fetch(
            sql.events_page, app.workspace_id, app.id, escaped(text), before or LAST_ID, limit
        )
        return [EventRecord(**dict(row)) for row in rows]

    async def get(self, app: App, event_id: UUID) -> tuple[EventRecord, list[EndpointOutcome]]:
        """An event and what became of it at each endpoint. Raises NotFound."""
        row = await self._database.fetchrow(sql.event_of_app, app.workspace_id, app.id, event_id)
        if row is None:
            raise NotFound("There is no such event, or it is older than a month.")
        sent = await self._database.fetch(
            sql.deliveries_of_event, app.workspace_id, app.id, event_id
        )
        return EventRecord(**dict(row)), [EndpointOutcome(**dict(each)) for each in sent]

    async def purge(self) -> int:
        """Delete some events of a month ago, with their deliveries, of those that no partition
        holds; how many of both.
        """
        first = first_kept_event(datetime.now(UTC))
        return await self._database.purge(sql.purge_deliveries, first) + await self._database.purge(
            sql.purge_events, first
        )

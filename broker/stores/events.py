"""Events, written in the transaction of the fact that they tell."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from broker.events import EventRecord, Fact
from broker.model import App
from broker.stores.database import Database, Session, escaped
from broker.stores.queries import sql


async def tell(session: Session, workspace_id: UUID, app_id: UUID, facts: Sequence[Fact]) -> None:
    """Owe facts to every endpoint of the app that wants them, when the session's transaction
    commits and not otherwise.
    """
    if facts:
        await session.execute(
            sql.tell,
            workspace_id,
            app_id,
            [fact.id for fact in facts],
            [fact.type for fact in facts],
            [fact.user_ref for fact in facts],
            [fact.payload() for fact in facts],
        )


class Events:
    """What was told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(
        self, app: App, text: str, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[EventRecord]:
        """Events in whose type, user or message id a text occurs, newest first."""
        at, event_id = before or (datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
        rows = await self._database.fetch(
            sql.events_page, app.workspace_id, app.id, escaped(text), at, event_id, limit
        )
        return [EventRecord(**dict(row)) for row in rows]

    async def forget_old(self) -> int:
        """Forget some of what was told a month ago; how much was."""
        return await self._database.execute(sql.forget_old_events)

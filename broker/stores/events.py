"""Events, written in the transaction of the fact that they tell."""

from collections.abc import Sequence
from uuid import UUID

from broker.events import Fact
from broker.stores.database import Database, Session
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

    async def forget_old(self) -> int:
        """Forget some of what was told a month ago; how much was."""
        return await self._database.execute(sql.forget_old_events)

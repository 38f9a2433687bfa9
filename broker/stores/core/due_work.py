"""Background work of all kinds: when it is due, and telling other processes of it."""

from collections.abc import Collection

from broker.stores.core.database import Database
from broker.stores.core.queries import sql


class DueWork:
    """What the background tasks of all workspaces have before them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next_due(self) -> dict[str, float | None]:
        """In how many seconds the earliest work of each kind is due; None where there is none."""
        return {row["work"]: row["seconds"] for row in await self._database.fetch(sql.next_due)}

    async def notify(self, kinds: Collection[str]) -> None:
        """Have the processes that do background work look for work of these kinds at once."""
        await self._database.execute(sql.notify_work, ",".join(sorted(kinds)))

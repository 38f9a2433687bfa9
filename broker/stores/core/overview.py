"""What the whole database holds, for the people who run it: numbers without names."""

from broker.stores.core.database import Database
from broker.stores.core.queries import sql

COUNTED_BELOW = 100_000
"""From so many connections on they are not counted any more: that would read them all."""


class Overview:
    """Looks over all workspaces."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def connections(self) -> dict[str, int]:
        """How many connections there are, by status: counted while they are few, else about as many
        as Postgres' statistics say.
        """
        known = await self._database.fetchrow(sql.estimated_connections)
        if known is not None and known["number"] >= COUNTED_BELOW and known["statuses"]:
            shares = zip(known["statuses"], known["shares"], strict=True)
            return {status: round(share * known["number"]) for status, share in shares}
        rows = await self._database.fetch(sql.connections_by_status)
        return {row["status"]: row["number"] for row in rows}

    async def closed_endpoints(self, failures: int) -> tuple[int, float]:
        """How many endpoints have failed so often in a row or more, and for how long the one that
        has failed for longest (seconds); disabled ones are not counted.
        """
        row = await self._database.fetchrow(sql.closed_endpoints, failures)
        return (0, 0.0) if row is None else (row["number"], row["seconds"] or 0.0)

    async def overdue(self) -> dict[str, float]:
        """For how long the oldest due work of each kind has waited (seconds); 0 without any."""
        rows = await self._database.fetch(sql.overdue)
        return {row["work"]: row["seconds"] or 0.0 for row in rows}

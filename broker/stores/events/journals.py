"""How far HubSpot's journal was read, for each app that has it switched on."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.events import NewEvent
from broker.domain.model import Secret
from broker.sealing import Sealer
from broker.stores.connections.apps import secret_place
from broker.stores.core.database import Database
from broker.stores.core.queries import sql
from broker.stores.events.events import publish


@dataclass(frozen=True, slots=True)
class Journal:
    """An app's position in its journal, claimed. `position` is the offset read last, empty before
    the oldest file, None when reading has not begun; until `read_to` nothing was missed.
    `started_at` is the database's time of the claim.
    """

    workspace_id: UUID
    app_id: UUID
    app_slug: str
    client_id: str
    client_secret: Secret
    position: str | None
    read_to: datetime
    failures: int
    started_at: datetime


CLAIM = timedelta(seconds=60)
"""How far ahead a claim moves `due_at`, as in the query."""


class Journals:
    """Positions. Only whoever has the present one can move it."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def claim(self, limit: int) -> list[Journal]:
        """Take journals that should be looked at; others leave them alone for a minute."""
        await self._database.execute(sql.close_journals)
        await self._database.execute(sql.open_journals)
        found = []
        for look in await self._database.fetch(sql.due_journals, limit):
            key = look["workspace_id"], look["app_id"]
            row = await self._database.fetchrow(sql.claim_journal, *key)
            if row is not None:
                found.append(self._journal(row))
        return found

    def _journal(self, row: Any) -> Journal:
        return Journal(
            row["workspace_id"],
            row["app_id"],
            row["slug"],
            row["client_id"],
            self._sealer.open(
                row["client_secret"], secret_place(row["workspace_id"], row["app_id"])
            ),
            row["position"],
            row["read_to"],
            row["failures"],
            row["due_at"] - CLAIM,
        )

    async def advance(
        self,
        journal: Journal,
        position: str,
        read_to: datetime,
        *,
        body: bytes | None = None,
        lost: NewEvent | None = None,
    ) -> Journal | None:
        """Move on, and store the file that was read or the event to publish; None when another
        process has moved on since.
        """
        key = journal.workspace_id, journal.app_id
        async with self._database.transaction() as session:
            moved = await session.execute(
                sql.advance_journal, *key, journal.position, position, read_to
            )
            if moved == "UPDATE 0":
                return None
            if body is not None:
                await session.execute(
                    sql.insert_batch, key[0], uuid4(), journal.app_id, "journal", body, "{}"
                )
            if lost is not None:
                await publish(session, *key, [lost])
        return replace(journal, position=position, read_to=max(read_to, journal.read_to))

    async def reschedule(
        self,
        journal: Journal,
        again_in: timedelta,
        *,
        read_to: datetime | None = None,
        error: str | None = None,
    ) -> None:
        """Look again later."""
        await self._database.execute(
            sql.reschedule_journal, journal.workspace_id, journal.app_id, read_to, error, again_in
        )

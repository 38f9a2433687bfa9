"""Connections and their sealed grants. Only a locked row can be written."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.model import App, Connection, ConnectionRecord, Page, Status
from broker.errors import AppNotFound, ConnectionNotFound
from broker.sealing import Sealer
from broker.stores.connections.connection_rows import read_connection
from broker.stores.connections.locked_connection import LockedConnection, lock_row
from broker.stores.connections.new_connection import begin_connection
from broker.stores.connections.sealed_tokens import end_or_none
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database, escaped
from broker.stores.core.queries import sql


class Connections:
    """What an app's users have connected."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def of_user(self, workspace_id: UUID, slug: str, user_ref: str) -> Connection:
        """The hot path's only read. Raises AppNotFound or ConnectionNotFound."""
        row = await self._database.fetchrow(sql.connection_of_user, workspace_id, slug, user_ref)
        if row is None:
            raise AppNotFound
        if row["id"] is None:
            missing = ConnectionNotFound()
            missing.app_id, missing.provider = row["app_id"], row["provider"]
            raise missing
        return read_connection(self._sealer, row)

    async def record_renewal_attempt(self, locked: LockedConnection, generation: int) -> bool:
        """Commit, before the request is sent, that a generation is being renewed; whether the
        response to an earlier request for the same one never arrived.
        """
        key = locked.connection.workspace_id, locked.connection.id
        # In a session of its own: it must outlive the transaction that holds the lock.
        before = await self._database.fetchval(sql.record_renewal_attempt, *key, generation)
        return bool(before == generation)

    @asynccontextmanager
    async def lock(
        self, workspace_id: UUID, connection_id: UUID
    ) -> AsyncIterator["LockedConnection"]:
        """Lock a connection for a change. Raises ConnectionNotFound when it is gone."""
        async with self._database.transaction(row=connection_id) as session:
            await session.execute(sql.limit_idle_transaction)
            row = await lock_row(session, workspace_id, connection_id)
            if row is None:
                raise ConnectionNotFound
            yield LockedConnection(session, self._sealer, row)

    @asynccontextmanager
    async def lock_user(self, app: App, user_ref: str) -> AsyncIterator["LockedConnection"]:
        """Lock the connection of a user, made empty (PENDING, no grant) when there is none."""
        async with self._database.transaction(row=(app.id, user_ref)) as session:
            await session.execute(sql.limit_idle_transaction)
            await begin_connection(session, app, uuid4(), user_ref, Status.PENDING)
            found = await session.fetchval(sql.id_of_user, app.workspace_id, app.id, user_ref)
            row = await lock_row(session, app.workspace_id, found)
            if row is None:
                raise AppNotFound
            yield LockedConnection(session, self._sealer, row)

    async def find_id(self, app: App, user_ref: str) -> UUID | None:
        found: UUID | None = await self._database.fetchval(
            sql.id_of_user, app.workspace_id, app.id, user_ref
        )
        return found

    async def claim_due(
        self, limit: int, ahead: timedelta
    ) -> tuple[list[tuple[UUID, UUID, int]], int]:
        """Take connections to renew: workspace, id and the generation that is due. Those that were
        not used for `ahead` are rescheduled, for as long as their grants outlive that; how many.
        """
        due = await self._database.fetch(sql.due_connections, limit)
        claims, rested = [], 0
        for workspace_id, ids in grouped((row["workspace_id"], row["id"]) for row in due):
            rows = await self._database.fetch(sql.claim_due, workspace_id, ids, ahead)
            claimed = [
                (workspace_id, row["id"], row["generation"]) for row in rows if row["claimed"]
            ]
            claims += claimed
            rested += len(rows) - len(claimed)
        return claims, rested

    async def publish_end_notices(self, limit: int) -> int:
        """Publish of some connections that their grants end soon; how many were due."""
        due = await self._database.fetch(sql.due_end_notices, limit)
        for row in due:
            with suppress(ConnectionNotFound):
                async with self.lock(row["workspace_id"], row["id"]) as locked:
                    await locked.notify_of_end()
        return len(due)

    async def record_last_used(self, ago: Mapping[tuple[UUID, UUID], float]) -> None:
        """Write when connections (workspace, id) were last used, in seconds ago."""
        for workspace_id, used in grouped((key[0], (key[1], at)) for key, at in ago.items()):
            ids, seconds = [each[0] for each in used], [each[1] for each in used]
            await self._database.execute(sql.record_last_used, workspace_id, ids, seconds)

    async def page(
        self, app: App, *, status: Status | None, account_id: str | None, after: int, limit: int
    ) -> Page:
        """A page of an app's connections after a number; `after` of the page is None at the end."""
        rows = await self._database.fetch(
            sql.connections_page,
            app.workspace_id,
            app.id,
            status and status.value,
            account_id,
            after,
            limit + 1,
            0,
        )
        records = [_record(row, app) for row in rows[:limit]]
        return Page(records, after=records[-1].number if len(rows) > limit else None)

    async def search(
        self, app: App, text: str, *, status: Status | None, before: int | None, limit: int
    ) -> Page:
        """Connections in which a text occurs, newest first; `after` asks for those before it."""
        rows = await self._database.fetch(
            sql.search_connections,
            app.workspace_id,
            app.id,
            escaped(text),
            status and status.value,
            2**62 if before is None else before,
            limit + 1,
        )
        records = [_record(row, app) for row in rows[:limit]]
        return Page(records, after=records[-1].number if len(rows) > limit else None)

    async def counts(self, workspace_id: UUID) -> dict[UUID, dict[str, int]]:
        """How many connections each app has, by status."""
        found: dict[UUID, dict[str, int]] = {}
        for row in await self._database.fetch(sql.count_by_status, workspace_id):
            found.setdefault(row["app_id"], {})[row["status"]] = row["number"]
        return found

    async def users_page(self, app: App, page: int, size: int) -> Page:
        """A numbered page (from 1) of the connections that have a user, with their total."""
        total = await self._database.fetchval(sql.count_users, app.workspace_id, app.id)
        rows = await self._database.fetch(
            sql.users_page, app.workspace_id, app.id, size, (page - 1) * size
        )
        return Page([_record(row, app) for row in rows], total=total)

    async def find_record(self, app: App, user_ref: str) -> ConnectionRecord | None:
        row = await self._database.fetchrow(sql.record_of_user, app.workspace_id, app.id, user_ref)
        return None if row is None else _record(row, app)


def _record(row: Any, app: App) -> ConnectionRecord:
    fields = {name: row[name] for name in row.keys()}  # noqa: SIM118  # a Record iterates values
    fields["status"] = Status(fields["status"])
    fields["scopes"] = tuple(fields["scopes"])
    fields["expires_at"] = end_or_none(fields["expires_at"])
    granted = set(fields["scopes"]) if fields["account_id"] is not None else set(app.scopes)
    return ConnectionRecord(
        missing_scopes=tuple(scope for scope in app.scopes if scope not in granted), **fields
    )

"""Cases at First Mile Labs, and First Mile Labs' events."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from broker.domain.events import NewEvent
from broker.domain.runs import Run
from broker.errors import OtherAccount
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.events.events import publish
from broker.stores.recipes.tasks import enqueue

COMPANY_UPDATE = "kyb-company-update"
"""The kind of task that lets a Company show its case."""

CANDIDATES = 20
"""How many due events one look finds."""

QUARANTINE_AFTER = 8
"""Failures after which an event is parked for people to look at: about four minutes."""


@dataclass(frozen=True, slots=True)
class CaseState:
    """What a Company should show of its case."""

    record_id: str
    case_id: str | None
    status: str | None
    stage: str | None
    decision: str | None
    last_event_at: datetime | None


@dataclass(frozen=True, slots=True)
class CaseRun:
    """The run that an event's case belongs to."""

    run_id: UUID
    user_ref: str | None
    hub_id: int | None


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that fits no run."""

    event_id: str
    name: str
    case_id: str | None
    record_id: str | None
    received_at: datetime


class Cases:
    """Cases by run, and events by their ids."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due: deque[tuple[UUID, UUID, str]] = deque()

    async def open(self, run: Run, client_id: str, source: str, record_id: str) -> None:
        """A run is about to ask for a case: from now on events about the record belong to it."""
        await self._database.execute(
            sql.open_case, run.workspace_id, run.id, run.app_id, client_id, source, record_id
        )

    async def record_case(self, run: Run, case_id: str, status: str | None, record_id: str) -> None:
        """Record the case of a run; parked events about it are applied again. Raises OtherAccount
        when another run has the case.
        """
        async with self._database.transaction() as session:
            try:
                await session.execute(sql.record_case, run.workspace_id, run.id, case_id, status)
            except asyncpg.UniqueViolationError:  # case_belongs_to_one_run, for no key is written
                raise OtherAccount(
                    f"The case {case_id} that First Mile Labs returned belongs to another run."
                ) from None
            await session.execute(
                sql.unpark_events, run.workspace_id, run.app_id, case_id, record_id
            )

    async def of_run(self, workspace_id: UUID, run_id: UUID) -> CaseState | None:
        row = await self._database.fetchrow(sql.case_of_run, workspace_id, run_id)
        return None if row is None else _state(row)

    async def of_runs(self, workspace_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, CaseState]:
        """The states of the cases of some runs, as far as there are any."""
        rows = await self._database.fetch(sql.cases_of_runs, workspace_id, list(run_ids))
        return {row["run_id"]: _state(row) for row in rows}

    async def store_event(
        self,
        workspace_id: UUID,
        app_id: UUID,
        event_id: str,
        name: str,
        case_id: str | None,
        record_id: str | None,
        body: bytes,
    ) -> bool:
        """Store an event; it is safe when this returns. False when it was there already."""
        stored = await self._database.execute(
            sql.insert_vendor_event,
            workspace_id,
            app_id,
            event_id,
            name,
            case_id,
            record_id,
            body.decode().replace("\x00", ""),
        )
        return stored > 0

    @asynccontextmanager
    async def claim_event(self) -> AsyncIterator["LockedEvent | None"]:
        """Lock the event that has been due longest of those that no other process has; None when
        none is.
        """
        if not self._due:
            rows = await self._database.fetch(sql.due_vendor_events, CANDIDATES)
            self._due.extend((row["workspace_id"], row["app_id"], row["event_id"]) for row in rows)
        async with self._database.transaction() as session:
            row = None
            while row is None and self._due:
                row = await session.fetchrow(sql.claim_vendor_event, *self._due.popleft())
            yield None if row is None else LockedEvent(session, row)

    async def reschedule_event(self, event: "LockedEvent") -> None:
        """An event could not be applied: again later, and parked in the end."""
        await self._database.execute(sql.reschedule_vendor_event, *event.key, QUARANTINE_AFTER)

    async def parked(self, workspace_id: UUID, app_id: UUID, limit: int) -> list[ParkedEvent]:
        """Events that fit no run, newest first."""
        rows = await self._database.fetch(sql.parked_events, workspace_id, app_id, limit)
        return [ParkedEvent(**dict(row)) for row in rows]

    async def purge_bodies(self) -> int:
        """Delete the bodies of events of a month ago; their ids stay. How many."""
        return await self._database.purge(sql.purge_event_bodies)


@dataclass(frozen=True, slots=True)
class LockedEvent:
    """A locked event: what is written here commits together with its end."""

    session: Session
    _row: Any

    @property
    def key(self) -> tuple[UUID, UUID, str]:
        return self._row["workspace_id"], self._row["app_id"], self._row["event_id"]

    @property
    def body(self) -> bytes:
        return str(self._row["body"]).encode()

    @property
    def app_slug(self) -> str:
        return str(self._row["slug"])

    @property
    def received_at(self) -> datetime:
        at: datetime = self._row["received_at"]
        return at

    @property
    def relayed(self) -> bool:
        return self._row["relayed_at"] is not None

    async def case(
        self, case_id: str | None, record_id: str | None, source: str | None
    ) -> CaseRun | None:
        """Lock the case that the event is about."""
        row = await self.session.fetchrow(sql.lock_case, *self.key[:2], case_id, record_id, source)
        return None if row is None else CaseRun(row["run_id"], row["user_ref"], row["hub_id"])

    async def apply(
        self,
        run_id: UUID,
        status: str | None,
        stage: str | None,
        decision: str | None,
        at: datetime,
    ) -> None:
        """Apply the event to the case, each field unless a later event has set it; the Company is
        to show it.
        """
        await self.session.execute(
            sql.apply_to_case, self.key[0], run_id, status, stage, decision, at
        )
        await enqueue(self.session, self.key[0], run_id, COMPANY_UPDATE, "", {})

    async def publish(self, event: NewEvent) -> None:
        """Relay the event to the app's endpoints."""
        await publish(self.session, *self.key[:2], [event])

    async def finish(self, state: str) -> None:
        """The event is applied, or parked for people to look at."""
        await self.session.execute(sql.finish_vendor_event, *self.key, state)


def _state(row: Any) -> CaseState:
    return CaseState(
        row["crm_record_id"],
        row["case_id"],
        row["status"],
        row["stage"],
        row["decision"],
        row["last_event_at"],
    )

"""Runs and their steps, for display."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from broker.domain.recipe_health import RunErrors, RunHealth, RunsInSpan
from broker.domain.runs import RunRecord, StepRecord
from broker.domain.uuid7 import LAST_ID
from broker.errors import RunNotFound
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database
from broker.stores.core.queries import sql

HEALTH_RUNS = 10_000
"""Health is judged by so many of the newest runs at most."""


class RunRecords:
    """Every run, to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, workspace_id: UUID, run_id: UUID) -> RunRecord:
        """A run. Raises RunNotFound."""
        row = await self._database.fetchrow(sql.run_of_workspace, workspace_id, run_id)
        if row is None:
            raise RunNotFound
        return _record(row)

    async def find(
        self, workspace_id: UUID, app_id: UUID, recipe: str, subject: str
    ) -> RunRecord | None:
        """The run of a subject, if there is one."""
        row = await self._database.fetchrow(
            sql.run_of_subject, workspace_id, app_id, recipe, subject
        )
        return None if row is None else _record(row)

    async def ended(self, runs: Collection[tuple[UUID, UUID]]) -> list[UUID]:
        """Which of some runs (workspace and id) have ended."""
        found = []
        for workspace_id, ids in grouped(runs):
            rows = await self._database.fetch(sql.ended_runs, workspace_id, ids)
            found += [row["id"] for row in rows]
        return found

    async def steps(self, workspace_id: UUID, run_id: UUID) -> list[StepRecord]:
        """A run's steps, in order."""
        rows = await self._database.fetch(sql.steps_of_run, workspace_id, run_id)
        return [
            StepRecord(
                row["name"],
                row["state"],
                row["attempts"],
                row["failures"],
                row["error"],
                None if row["outcome"] is None else json.loads(row["outcome"]),
                json.loads(row["checkpoint"] or "{}"),
                row["started_at"],
                row["ended_at"],
            )
            for row in rows
        ]

    async def outcomes(
        self, workspace_id: UUID, run_ids: Sequence[UUID], step: str
    ) -> dict[UUID, Mapping[str, Any]]:
        """What a step of some runs has found, of those that have done it."""
        rows = await self._database.fetch(sql.outcomes_of_runs, workspace_id, list(run_ids), step)
        return {row["run_id"]: json.loads(row["outcome"]) for row in rows}

    async def page(
        self,
        workspace_id: UUID,
        app_id: UUID,
        recipe: str,
        *,
        state: str | None,
        before: UUID | None,
        limit: int,
    ) -> tuple[list[RunRecord], UUID | None]:
        """Runs, newest first, and the id to ask for the next page before."""
        rows = await self._database.fetch(
            sql.runs_page, workspace_id, app_id, recipe, state, before or LAST_ID, limit + 1
        )
        records = [_record(row) for row in rows[:limit]]
        return records, records[-1].id if len(rows) > limit else None

    async def health(
        self, workspace_id: UUID, app_id: UUID, recipe: str, since: datetime
    ) -> RunHealth:
        """How the newest runs that began since a moment have gone."""
        key = workspace_id, app_id, recipe, since, HEALTH_RUNS
        row = await self._database.fetchrow(sql.health_of_runs, *key)
        assert row is not None  # noqa: S101  # an aggregate gives a row
        errors = await self._database.fetch(sql.errors_of_runs, *key)
        return RunHealth(
            **dict(row),
            errors=[
                RunErrors(
                    each["code"],
                    each["how_many"],
                    each["last_at"],
                    json.loads(each["newest"]).get("detail"),
                )
                for each in errors
            ],
        )

    async def over_time(
        self, workspace_id: UUID, app_id: UUID, recipe: str, since: datetime, span: timedelta
    ) -> list[RunsInSpan]:
        """How the newest runs that began since a moment have gone, span by span; spans without any
        are missing.
        """
        rows = await self._database.fetch(
            sql.runs_over_time, workspace_id, app_id, recipe, since, span, HEALTH_RUNS
        )
        return [RunsInSpan(**dict(row)) for row in rows]

    async def purge(self) -> int:
        """Delete the inputs and steps of runs that ended long ago; how many."""
        return await self._database.purge(sql.purge_runs)


def _record(row: Any) -> RunRecord:
    return RunRecord(
        row["id"],
        row["slug"],
        row["recipe"],
        row["subject"],
        row["user_ref"],
        row["hub_id"],
        row["state"],
        None if row["result"] is None else json.loads(row["result"]),
        None if row["problem"] is None else json.loads(row["problem"]),
        row["due_at"],
        row["created_at"],
        row["ended_at"],
    )

"""Work for runs that follows their end: due until it is done."""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.domain.runs import RunTask
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql


async def enqueue(
    session: Session,
    workspace_id: UUID,
    run_id: UUID,
    kind: str,
    key: str,
    payload: Mapping[str, Any],
) -> None:
    """Make a task due when the session's transaction commits and its run has ended; one that is
    there is done again.
    """
    await session.execute(sql.enqueue_task, workspace_id, run_id, kind, key, json.dumps(payload))


class TaskStore:
    """Tasks, by run, kind and key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def enqueue(
        self, workspace_id: UUID, run_id: UUID, kind: str, key: str, payload: Mapping[str, Any]
    ) -> None:
        """Make a task due when its run has ended."""
        async with self._database.transaction() as session:
            await enqueue(session, workspace_id, run_id, kind, key, payload)

    async def claim(self, kinds: Sequence[str], limit: int, lease: timedelta) -> list[RunTask]:
        """Claim due tasks; other processes leave them while the lease lasts."""
        due = await self._database.fetch(sql.due_tasks, list(kinds), limit)
        found = []
        for workspace_id, looks in grouped((row["workspace_id"], row) for row in due):
            rows = await self._database.fetch(
                sql.claim_tasks, workspace_id, list(kinds), len(looks), lease
            )
            found += [_task(row) for row in rows]
        return found

    async def settle(self, task: RunTask, error: str | None) -> None:
        """The task is done, or given up with an error; due at once if it was enqueued again."""
        await self._database.execute(sql.settle_task, *_key(task), task.revision, error)

    async def reschedule(self, task: RunTask, pause: timedelta, error: str) -> None:
        """The task could not be done now."""
        await self._database.execute(sql.reschedule_task, *_key(task), pause, error)


def _key(task: RunTask) -> tuple[UUID, UUID, str, str]:
    return task.workspace_id, task.run_id, task.kind, task.key


def _task(row: Any) -> RunTask:
    return RunTask(
        row["workspace_id"],
        row["run_id"],
        row["kind"],
        row["key"],
        json.loads(row["payload"]),
        row["revision"],
        row["attempts"],
        row["app_id"],
        row["slug"],
        row["user_ref"],
        row["hub_id"],
    )

"""Runs and their steps: claimed under a lease, written behind a fence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.domain.events import NewEvent
from broker.domain.runs import Recipe, Run, RunRequest
from broker.domain.uuid7 import uuid7
from broker.errors import OtherAccount, RunNotFound
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.events.events import publish

DUE_NOW = timedelta(0)
JUDGED_AFTER = timedelta(seconds=2)  # with the runs that end meanwhile


@dataclass(frozen=True, slots=True)
class StepAttempt:
    """What a step's attempt must know of those before."""

    outcome_unknown: bool
    failures: int
    checkpoint: Mapping[str, Any]


class RunStore:
    """Every run. What the claimer of a run writes counts only while no other has claimed it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self, recipe: Recipe, request: RunRequest, lease: timedelta | None
    ) -> tuple[UUID, str, Run | None]:
        """The run of a subject: its id, the state it was in before ("new" when there was none), and
        the run itself when this call claimed it, which a `lease` asks for.

        A failed run goes on with the new input, for the new user. Raises OtherAccount when the
        run belongs to another HubSpot account; one that failed and changed nothing outside gives
        way.
        """
        async with self._database.transaction() as session:
            return await start(session, recipe, request, lease)

    async def retry(
        self, recipe: Recipe, workspace_id: UUID, run_id: UUID, lease: timedelta | None
    ) -> Run | None:
        """Let a failed run go on; the run when it was failed and a `lease` claims it."""
        async with self._database.transaction() as session:
            found = await session.fetchrow(sql.lock_run, workspace_id, run_id)
            if found is None:
                raise RunNotFound
            if found["state"] != "failed":
                return None
            return await _restart(session, recipe, workspace_id, run_id, None, lease)

    async def dismiss(self, workspace_id: UUID, run_id: UUID) -> None:
        """Mark a failed run as one that will not be mended; any other stays as it is."""
        await self._database.execute(sql.dismiss_run, workspace_id, run_id)

    async def claim(
        self,
        recipe: Recipe,
        limit: int,
        *,
        at_once: int,
        busy: Mapping[UUID, int],
        lease: timedelta,
    ) -> list[Run]:
        """Claim due runs of a recipe, at most `at_once` of an app less those under way here."""
        full = [app_id for app_id, count in busy.items() if count >= at_once]
        due = recipe.name, recipe.version
        found: list[Run] = []
        for look in await self._database.fetch(sql.workspaces_with_runs, *due, full, limit):
            rows = await self._database.fetch(
                sql.claim_runs,
                look["workspace_id"],
                *due,
                limit - len(found),
                at_once,
                list(busy.keys()),
                list(busy.values()),
                lease,
            )
            found += [_run(row) for row in rows]
            if len(found) >= limit:
                break
        return found

    async def outcomes(self, run: Run) -> dict[str, Mapping[str, Any]]:
        """The outcomes of steps so far."""
        rows = await self._database.fetch(sql.outcomes_of_run, run.workspace_id, run.id)
        return {row["name"]: json.loads(row["outcome"]) for row in rows}

    async def begin(
        self, run: Run, step: str, position: int, lease: timedelta
    ) -> StepAttempt | None:
        """Record that a step is about to be tried; None when another process has the run by now."""
        row = await self._database.fetchrow(
            sql.begin_step, run.workspace_id, run.id, run.claim, step, position, lease
        )
        if row is None:
            return None
        return StepAttempt(
            row["outcome_unknown"], row["failures"], json.loads(row["checkpoint"] or "{}")
        )

    async def end(self, run: Run, step: str, outcome: Mapping[str, Any]) -> bool:
        """Store a step's outcome; False when another process has the run by now."""
        stored = await self._database.execute(
            sql.end_step, run.workspace_id, run.id, run.claim, step, json.dumps(outcome)
        )
        return stored > 0

    async def reschedule(
        self,
        run: Run,
        step: str,
        pause: timedelta,
        *,
        error: str | None,
        failed: bool,
        outcome_unknown: bool,
        checkpoint: Mapping[str, Any] | None = None,
    ) -> None:
        """The step is to be tried again after a pause."""
        await self._database.execute(
            sql.reschedule_step,
            run.workspace_id,
            run.id,
            run.claim,
            step,
            pause,
            int(failed),
            outcome_unknown,
            error,
            None if checkpoint is None else json.dumps(checkpoint),
        )

    async def extend_lease(self, runs: Sequence[Run], lease: timedelta) -> None:
        """Renew the leases of runs that are still under way."""
        for workspace_id, own in grouped((run.workspace_id, run) for run in runs):
            ids, claims = [run.id for run in own], [run.claim for run in own]
            await self._database.execute(sql.extend_run_leases, workspace_id, ids, claims, lease)

    async def release(self, run: Run) -> None:
        """Let another process go on at once."""
        await self._database.execute(sql.release_run, run.workspace_id, run.id, run.claim)

    async def finish(self, run: Run, result: Mapping[str, Any]) -> float | None:
        """Every step is done; publishes the end. Seconds since the trigger, or None."""
        async with self._database.transaction() as session:
            ended = await _end(session, run, "done", result, None)
        return ended["seconds"] if ended is not None and ended["restarts"] == 0 else None

    async def fail(
        self,
        run: Run,
        step: str,
        problem: Mapping[str, Any],
        checkpoint: Mapping[str, Any] | None,
        *,
        outcome_unknown: bool,
    ) -> None:
        """The run cannot go on by itself; publishes the end."""
        async with self._database.transaction() as session:
            if await _end(session, run, "failed", None, problem) is not None:
                await session.execute(
                    sql.fail_step,
                    run.workspace_id,
                    run.id,
                    step,
                    problem["code"],
                    None if checkpoint is None else json.dumps(checkpoint),
                    outcome_unknown,
                )


async def start(
    session: Session, recipe: Recipe, request: RunRequest, lease: timedelta | None
) -> tuple[UUID, str, Run | None]:
    """`RunStore.start` within the caller's transaction."""
    run_id = await create(session, recipe, request, lease)
    if run_id is not None:
        run = await _claimed(session, request.workspace_id, run_id) if lease is not None else None
        return run_id, "new", run
    found = await session.fetchrow(
        sql.lock_run_of_subject, request.workspace_id, request.app_id, recipe.name, request.subject
    )
    if found is None:  # the app is being removed
        raise RunNotFound
    run_id, state, claimed = found["id"], found["state"], None
    if state in {"failed", "dismissed"}:
        if found["hub_id"] != request.hub_id:
            effects = recipe.side_effects
            if await session.fetchval(sql.run_has_effects, request.workspace_id, run_id, effects):
                check_account(found["hub_id"], request)
            await session.execute(sql.delete_steps, request.workspace_id, run_id)
        claimed = await _restart(session, recipe, request.workspace_id, run_id, request, lease)
    else:
        check_account(found["hub_id"], request)
    return run_id, state, claimed


async def create(
    session: Session, recipe: Recipe, request: RunRequest, lease: timedelta | None
) -> UUID | None:
    """The new run of a subject; None when there is one, which stays as it is."""
    key = request.workspace_id, uuid7(), request.app_id, recipe.name, recipe.version
    what = request.subject, request.user_ref, request.hub_id, json.dumps(request.input)
    claim = int(lease is not None), lease or DUE_NOW
    run_id: UUID | None = await session.fetchval(
        sql.create_run, *key, *what, *claim, request.triggered_at
    )
    return run_id


def check_account(hub_id: int | None, request: RunRequest) -> None:
    """Raise OtherAccount when a subject's run belongs to another HubSpot account."""
    if hub_id != request.hub_id:
        raise OtherAccount(
            f"There is a run for this record in the HubSpot account {hub_id}. Runs act in the "
            "account in which they began: have the user connect that account again."
        )


async def _restart(
    session: Session,
    recipe: Recipe,
    workspace_id: UUID,
    run_id: UUID,
    request: RunRequest | None,
    lease: timedelta | None,
) -> Run | None:
    await session.execute(sql.restart_steps, workspace_id, run_id, recipe.side_effects)
    await session.execute(
        sql.restart_run,
        workspace_id,
        run_id,
        None if request is None else json.dumps(request.input),
        recipe.version,
        int(lease is not None),
        lease or DUE_NOW,
        None if request is None else request.user_ref,
        None if request is None else request.hub_id,
    )
    return await _claimed(session, workspace_id, run_id) if lease is not None else None


async def _claimed(session: Session, workspace_id: UUID, run_id: UUID) -> Run:
    return _run(await session.fetchrow(sql.claimed_run, workspace_id, run_id))


async def _end(
    session: Session,
    run: Run,
    state: str,
    result: Mapping[str, Any] | None,
    problem: Mapping[str, Any] | None,
) -> Any:
    ended = await session.fetchrow(
        sql.end_run,
        run.workspace_id,
        run.id,
        run.claim,
        state,
        None if result is None else json.dumps(result),
        None if problem is None else json.dumps(problem),
    )
    if ended is None:  # another process has the run, and publishes its end
        return None
    await session.execute(sql.wake_health, run.workspace_id, run.app_id, run.recipe, JUDGED_AFTER)
    data: dict[str, Any] = {"recipe": run.recipe, "runId": str(run.id), "state": state}
    data["subject"] = run.subject
    data |= {"result": result} if problem is None else {"problem": problem}
    event = NewEvent("recipe.run.finished", run.app_slug, run.user_ref, run.hub_id, data)
    await publish(session, run.workspace_id, run.app_id, [event])
    return ended


def _run(row: Any) -> Run:
    return Run(
        row["workspace_id"],
        row["id"],
        row["app_id"],
        row["slug"],
        row["recipe"],
        row["version"],
        row["subject"],
        row["user_ref"],
        row["hub_id"],
        json.loads(row["input"]),
        row["claim"],
    )

"""Runs and their steps: claimed under a lease, written behind a fence."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from broker.domain.events import NewEvent
from broker.domain.runs import Recipe, Run, RunRequest
from broker.errors import InputRefused, RunNotFound
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.events.events import publish

MAX_CONCURRENT_PER_APP = timedelta(0)


@dataclass(frozen=True, slots=True)
class StepAttempt:
    """What a step's next attempt must know of those before."""

    outcome_unknown: bool
    failures: int
    checkpoint: Mapping[str, Any]


class RunStore:
    """Every run. What a claimed run's holder writes counts only while nobody else claimed it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(
        self, recipe: Recipe, order: RunRequest, lease: timedelta | None
    ) -> tuple[UUID, str, Run | None]:
        """The run of an order's subject: its id, the state it was in before ("new" when there was
        none), and the run itself when this call claimed it, which a `lease` asks for.

        A failed run goes on with the new input. Raises InputRefused when the subject belongs to
        another HubSpot account.
        """
        async with self._database.transaction() as session:
            return await start(session, recipe, order, lease)

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

    async def claim(
        self,
        recipe: Recipe,
        limit: int,
        *,
        at_once: int,
        busy: Mapping[UUID, int],
        lease: timedelta,
    ) -> list[Run]:
        """Take due runs of a recipe, at most `at_once` of an app less what is under way here."""
        rows = await self._database.fetch(
            sql.claim_runs,
            recipe.name,
            recipe.version,
            limit,
            at_once,
            list(busy.keys()),
            list(busy.values()),
            lease,
        )
        return [_run(row) for row in rows]

    async def outcomes(self, run: Run) -> dict[str, Mapping[str, Any]]:
        """What the steps gave so far."""
        rows = await self._database.fetch(sql.outcomes_of_run, run.workspace_id, run.id)
        return {row["name"]: json.loads(row["outcome"]) for row in rows}

    async def begin(
        self, run: Run, step: str, position: int, lease: timedelta
    ) -> StepAttempt | None:
        """A step is about to be tried; None when somebody else has the run by now."""
        row = await self._database.fetchrow(
            sql.begin_step, run.workspace_id, run.id, run.claim, step, position, lease
        )
        if row is None:
            return None
        return StepAttempt(
            row["outcome_unknown"], row["failures"], json.loads(row["checkpoint"] or "{}")
        )

    async def end(self, run: Run, step: str, outcome: Mapping[str, Any]) -> bool:
        """Keep what a step gave; False when somebody else has the run by now."""
        kept = await self._database.execute(
            sql.end_step, run.workspace_id, run.id, run.claim, step, json.dumps(outcome)
        )
        return kept > 0

    async def reschedule(
        self,
        run: Run,
        step: str,
        pause: timedelta,
        *,
        error: str | None,
        failed: bool,
        unsure: bool,
        note: Mapping[str, Any] | None = None,
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
            unsure,
            error,
            None if note is None else json.dumps(note),
        )

    async def extend_lease(self, runs: Sequence[Run], lease: timedelta) -> None:
        """Renew the leases of runs that are still under way."""
        await self._database.execute(
            sql.extend_run_leases,
            [run.workspace_id for run in runs],
            [run.id for run in runs],
            [run.claim for run in runs],
            lease,
        )

    async def release(self, run: Run) -> None:
        """Let another process go on at once."""
        await self._database.execute(sql.release_run, run.workspace_id, run.id, run.claim)

    async def finish(self, run: Run, result: Mapping[str, Any]) -> None:
        """Every step is done; the app's endpoints are told."""
        async with self._database.transaction() as session:
            await _end(session, run, "done", result, None)

    async def fail(
        self,
        run: Run,
        step: str,
        problem: Mapping[str, Any],
        note: Mapping[str, Any] | None,
        *,
        unsure: bool,
    ) -> None:
        """The run cannot go on by itself; the app's endpoints are told."""
        async with self._database.transaction() as session:
            if await _end(session, run, "failed", None, problem):
                await session.execute(
                    sql.fail_step,
                    run.workspace_id,
                    run.id,
                    step,
                    problem["code"],
                    None if note is None else json.dumps(note),
                    unsure,
                )


async def start(
    session: Session, recipe: Recipe, order: RunRequest, lease: timedelta | None
) -> tuple[UUID, str, Run | None]:
    """`RunStore.start` within a transaction of somebody's own."""
    run_id = await session.fetchval(
        sql.create_run,
        order.workspace_id,
        uuid4(),
        order.app_id,
        recipe.name,
        recipe.version,
        order.subject,
        order.user_ref,
        order.hub_id,
        json.dumps(order.input),
        int(lease is not None),
        lease or MAX_CONCURRENT_PER_APP,
    )
    if run_id is not None:
        run = await _claimed(session, order.workspace_id, run_id) if lease is not None else None
        return run_id, "new", run
    found = await session.fetchrow(
        sql.lock_run_of_subject, order.workspace_id, order.app_id, recipe.name, order.subject
    )
    if found is None:  # the app is being removed
        raise RunNotFound
    check_account(found["hub_id"], order)
    mine = None
    if found["state"] == "failed":
        mine = await _restart(
            session, recipe, order.workspace_id, found["id"], json.dumps(order.input), lease
        )
    return found["id"], found["state"], mine


def check_account(hub_id: int | None, order: RunRequest) -> None:
    """Raise InputRefused when a subject's run belongs to another HubSpot account."""
    if hub_id != order.hub_id:
        raise InputRefused(
            "This record id belongs to a case of another HubSpot account of this app.",
            errors=[{"field": "companyId", "message": "is in use by another HubSpot account"}],
        )


async def _restart(
    session: Session,
    recipe: Recipe,
    workspace_id: UUID,
    run_id: UUID,
    given: str | None,
    lease: timedelta | None,
) -> Run | None:
    await session.execute(sql.restart_steps, workspace_id, run_id, recipe.side_effects)
    await session.execute(
        sql.restart_run,
        workspace_id,
        run_id,
        given,
        recipe.version,
        int(lease is not None),
        lease or MAX_CONCURRENT_PER_APP,
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
) -> bool:
    ended = await session.execute(
        sql.end_run,
        run.workspace_id,
        run.id,
        run.claim,
        state,
        None if result is None else json.dumps(result),
        None if problem is None else json.dumps(problem),
    )
    if ended != "UPDATE 1":  # somebody else has the run; the end is theirs to tell
        return False
    told = {"recipe": run.recipe, "runId": str(run.id), "state": state, "subject": run.subject}
    said = {"result": result} if problem is None else {"problem": problem}
    fact = NewEvent("recipe.run.finished", run.app_slug, run.user_ref, run.hub_id, {**told, **said})
    await publish(session, run.workspace_id, run.app_id, [fact])
    return True


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

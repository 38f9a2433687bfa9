"""Take runs from step to step until they end.

Why nothing is lost and nothing done twice
------------------------------------------
A step's outcome is stored before the next one begins. A claim is a lease that is renewed: a process
that stops leaves the run due, and any other goes on at the step whose outcome is missing. The
claim's number is the fence: a process that was thought dead and writes late writes nothing. Between
a step's effect and the row that records it lies a gap that no database closes; a step with a side
effect learns of it (`outcome_unknown`) and is idempotent.

Why one app's runs do not delay another's
-----------------------------------------
Runs are claimed by app, a few at a time for each, so a long queue of one costs the others nothing.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.concurrency.task_set import Stopping, TaskSet
from broker.domain.runs import (
    PermanentFailure,
    Recipe,
    RetryLater,
    Run,
    RunRecord,
    RunRequest,
    Step,
    StepContext,
    VendorUnavailable,
)
from broker.errors import (
    BrokerError,
    Busy,
    CredentialsRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from broker.services.runs.waiters import RunWaiters
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.runs import RunStore
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

RETRIES = Backoff(schedule=(1, 3, 10, 30, 120, 600, 1800, 3600, 7200, 14_400), jitter=(0.7, 1.3))
"""Eleven attempts at a step in about eight hours, unless one succeeds."""

MAX_CONCURRENT = 240
MAX_CONCURRENT_PER_APP = 15
"""Runs in one process, in all and of one app."""

STEP_TIMEOUT_S = 40.0
LEASE = timedelta(seconds=20)
HEARTBEAT_S = 5.0
"""How long a step may take; how long a claim holds without renewal; how often it is renewed."""

STOP_GRACE_S = 5.0
TRANSIENT = (ProviderUnavailable, ProviderTimeout, VendorUnavailable, Busy)
"""Refusals that may pass by themselves."""


class Runs:
    """The runs of one process."""

    def __init__(
        self, store: RunStore, records: RunRecords, recipes: Sequence[Recipe], metrics: Metrics
    ) -> None:
        self._store = store
        self._records = records
        self._waiters = RunWaiters(records)
        self._recipes = {recipe.name: recipe for recipe in recipes}
        self._metrics = metrics
        self._tasks: TaskSet[Run] = TaskSet(self._ended)
        self._reserved: list[UUID | None] = []
        self._heartbeat_task: asyncio.Task[None] | None = None

    async def start(self, request: RunRequest) -> tuple[UUID, str]:
        """Begin the run of a subject, or find it; its id, and the state it was in before ("new"
        when there was none). Raises as `RunStore.start`.
        """
        recipe = self._recipes[request.recipe]
        with self._reserve_capacity(request.app_id) as lease:
            run_id, before, run = await self._store.start(recipe, request, lease)
            if run is not None:
                await self._begin(run)
        return run_id, before

    async def retry(self, workspace_id: UUID, run_id: UUID) -> None:
        """Resume a failed run from the step that failed. Raises RunNotFound."""
        record = await self._records.get(workspace_id, run_id)
        with self._reserve_capacity(None) as lease:
            recipe = self._recipes[record.recipe]
            run = await self._store.retry(recipe, workspace_id, run_id, lease)
            if run is not None:
                await self._begin(run)

    async def dismiss(self, workspace_id: UUID, run_id: UUID) -> None:
        """Mark a failed run as one that will not be mended; any other stays as it is."""
        await self._store.dismiss(workspace_id, run_id)

    async def wait(self, workspace_id: UUID, run_id: UUID, within_s: float) -> RunRecord:
        """The run once it has ended, or as it is after so many seconds."""
        return await self._waiters.wait(workspace_id, run_id, within_s)

    async def work_due(self) -> int:
        """Begin due runs, as far as there is capacity; how many."""
        started = 0
        for recipe in self._recipes.values():
            capacity = MAX_CONCURRENT - len(self._tasks) - len(self._reserved)
            if capacity <= 0 or self._tasks.stopping:
                break
            claimed = await self._store.claim(
                recipe, capacity, at_once=MAX_CONCURRENT_PER_APP, busy=self._busy(), lease=LEASE
            )
            for run in claimed:
                await self._begin(run)
            started += len(claimed)
        return started

    async def join(self) -> None:
        """Wait until no run is under way here."""
        await self._tasks.join()

    async def stop(self) -> None:
        """Give runs a grace period; a run that is cancelled goes on in another process, at once
        or, if that cannot be written, when its lease ends.
        """
        cancelled = await self._tasks.stop(STOP_GRACE_S)
        if self._heartbeat_task is not None:
            self._heartbeat_task.cancel()
        released = (self._store.release(run) for run in cancelled)
        await asyncio.gather(*released, return_exceptions=True)

    def _busy(self) -> Counter[UUID]:
        busy = Counter(run.app_id for run in self._tasks.subjects)
        busy.update(app_id for app_id in self._reserved if app_id is not None)
        return busy

    @contextmanager
    def _reserve_capacity(self, app_id: UUID | None) -> Iterator[timedelta | None]:
        """A lease when a run can begin here at once; the capacity is reserved meanwhile, for many
        may ask before the first begins. None when the run must wait.
        """
        full = len(self._tasks) + len(self._reserved) >= MAX_CONCURRENT
        if (
            self._tasks.stopping
            or full
            or (app_id is not None and self._busy()[app_id] >= MAX_CONCURRENT_PER_APP)
        ):
            yield None
            return
        self._reserved.append(app_id)
        try:
            yield LEASE
        finally:
            self._reserved.remove(app_id)

    async def _begin(self, run: Run) -> None:
        try:
            self._tasks.spawn(self._run_steps(run), run)
        except Stopping:
            await self._store.release(run)
            return
        if self._heartbeat_task is None or self._heartbeat_task.done():
            self._heartbeat_task = asyncio.create_task(self._heartbeat())

    async def _heartbeat(self) -> None:
        while len(self._tasks):
            await asyncio.sleep(HEARTBEAT_S)
            with suppress(Busy):
                await self._store.extend_lease(self._tasks.subjects, LEASE)

    def _ended(self, run: Run, task: "asyncio.Task[None]") -> None:
        self._waiters.wake(run.workspace_id, run.id)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, BrokerError):
            log.warning("run_released", extra={"run": str(run.id), "reason": failure.code})
        elif failure is not None:
            log.error("run_released", extra={"run": str(run.id)}, exc_info=failure)

    async def _run_steps(self, run: Run) -> None:
        recipe = self._recipes[run.recipe]
        outcomes = await self._store.outcomes(run)
        for position, step in enumerate(recipe.steps):
            if step.name in outcomes:
                continue
            outcome = await self._attempt(run, step, position, outcomes)
            if outcome is None:
                return
            outcomes[step.name] = outcome
        seconds = await self._store.finish(run, recipe.build_result(StepContext(run, outcomes)))
        if seconds is not None:
            self._metrics.run_seconds.labels(run.recipe).observe(seconds)
        self._log_outcome(run, "done")

    async def _attempt(
        self, run: Run, step: Step, position: int, outcomes: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any] | None:
        """One attempt at a step; None when the run does not go on here."""
        attempt = await self._store.begin(run, step.name, position, LEASE)
        if attempt is None:
            return None
        context = StepContext(run, outcomes, attempt.checkpoint, attempt.outcome_unknown)
        checkpoint: Mapping[str, Any] | None = None
        try:
            async with asyncio.timeout(STEP_TIMEOUT_S):
                outcome = await step.run(context)
        except RetryLater as later:
            pause = timedelta(seconds=later.after_s)
            await self._store.reschedule(
                run,
                step.name,
                pause,
                error=later.reason,
                failed=False,
                outcome_unknown=False,
                checkpoint=later.checkpoint,
            )
            return None
        except PermanentFailure as final:
            refusal, checkpoint, transient = final.refusal, final.checkpoint, False
        except BrokerError as error:
            refusal = error
            transient = isinstance(error, TRANSIENT) and not isinstance(error, CredentialsRefused)
        except Exception as error:
            log.exception("step_failed", extra={"run": str(run.id), "step": step.name})
            refusal, transient = BrokerError(), True
            if isinstance(error, TimeoutError):
                refusal = VendorUnavailable(
                    f"{step.name} took longer than {STEP_TIMEOUT_S:.0f} seconds."
                )
        else:
            return outcome if await self._store.end(run, step.name, outcome) else None
        await self._failed(run, step, attempt.failures, refusal, checkpoint, transient=transient)
        return None

    async def _failed(
        self,
        run: Run,
        step: Step,
        failures: int,
        refusal: BrokerError,
        checkpoint: Mapping[str, Any] | None,
        *,
        transient: bool,
    ) -> None:
        outcome_unknown = step.has_side_effect and transient
        if transient and not RETRIES.is_exhausted(failures + 1):
            pause = timedelta(seconds=RETRIES.pause(failures + 1))
            await self._store.reschedule(
                run,
                step.name,
                pause,
                error=refusal.code,
                failed=True,
                outcome_unknown=outcome_unknown,
            )
            self._log_outcome(run, "waiting", step.name, refusal.code)
            return
        await self._store.fail(
            run, step.name, problem_of(refusal), checkpoint, outcome_unknown=outcome_unknown
        )
        self._log_outcome(run, "failed", step.name, refusal.code)

    def _log_outcome(
        self, run: Run, outcome: str, step: str | None = None, reason: str | None = None
    ) -> None:
        self._metrics.runs.labels(run.recipe, outcome).inc()
        fields = {"run": str(run.id), "recipe": run.recipe, "outcome": outcome}
        level = logging.WARNING if outcome == "failed" else logging.INFO
        log.log(level, "run_step", extra={**fields, "step": step, "reason": reason})


def problem_of(refusal: BrokerError) -> dict[str, Any]:
    """A refusal as it is stored with a run."""
    return {"code": refusal.code, "detail": refusal.detail or refusal.title(), **refusal.context}


def refusal_of(problem: Mapping[str, Any]) -> BrokerError:
    """The refusal that is stored with a run."""
    kinds = {each.code: each for each in _kinds(BrokerError)}
    context = {name: value for name, value in problem.items() if name not in {"code", "detail"}}
    return kinds.get(problem["code"], BrokerError)(problem["detail"], **context)


def _kinds(kind: type[BrokerError]) -> Iterator[type[BrokerError]]:
    """Every refusal that is made of a detail and context, wherever it is defined."""
    for each in kind.__subclasses__():
        yield from _kinds(each)
        if "code" in vars(each) and each.__init__ is BrokerError.__init__:
            yield each

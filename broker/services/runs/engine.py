"""Take runs from step to step until they end.

Why nothing is lost and nothing done twice
------------------------------------------
What a step gave is stored before the next one begins. A claim is a lease that beats: whoever stops
leaves the run due again, and any other process goes on at the step that was not stored. The claim's
number is the fence: who was thought dead and writes late writes nothing. Between a step's effect
and the row that tells of it lies a gap that no database closes; a step with an effect is told of it
(`unsure`) and bears being asked twice.

Why nobody waits for somebody else's vendor
-------------------------------------------
Runs are claimed by app, a few at a time for each, so a long queue of one costs the others nothing.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

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
    HubSpotTimeout,
    HubSpotUnavailable,
)
from broker.services.runs.waiters import RunWaiters
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.runs import RunStore
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SCHEDULE_S = (1, 3, 10, 30, 120, 600, 1800, 3600, 7200, 14_400)
"""Pauses after each failure of a step in a row, in seconds: eleven tries in about eight hours."""

MAX_CONCURRENT = 240
MAX_CONCURRENT_PER_APP = 15
"""Runs under way in one process, in all and of one app."""

STEP_S = 40.0
LEASE = timedelta(seconds=20)
HEARTBEAT_S = 5.0
"""How long a step may take; how long nobody else touches a run after its process was last heard of;
and how often that is heard."""

STOP_S = 5.0
TRANSIENT = (HubSpotUnavailable, HubSpotTimeout, VendorUnavailable, Busy)
"""Refusals that time may heal."""


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
        self._tasks: dict[asyncio.Task[None], Run] = {}
        self._reserved: list[UUID | None] = []
        self._heartbeat_task: asyncio.Task[None] | None = None

    async def start(self, order: RunRequest) -> tuple[UUID, str]:
        """Begin the run of an order's subject, or find it; its id, and the state it was in before
        ("new" when there was none). Raises as `RunStore.start`.
        """
        recipe = self._recipes[order.recipe]
        with self._has_capacity(order.app_id) as lease:
            run_id, before, run = await self._store.start(recipe, order, lease)
            if run is not None:
                self._begin(run)
        return run_id, before

    async def retry(self, workspace_id: UUID, run_id: UUID) -> None:
        """Let a failed run go on where it stopped. Raises RunNotFound."""
        record = await self._records.get(workspace_id, run_id)
        with self._has_capacity(None) as lease:
            recipe = self._recipes[record.recipe]
            run = await self._store.retry(recipe, workspace_id, run_id, lease)
            if run is not None:
                self._begin(run)

    async def wait(self, workspace_id: UUID, run_id: UUID, within_s: float) -> RunRecord:
        """The run once it is done or failed, or as it stands after so many seconds."""
        return await self._waiters.wait(workspace_id, run_id, within_s)

    async def work_due(self) -> int:
        """Begin what is due, as far as there is room; how many."""
        begun = 0
        for recipe in self._recipes.values():
            room = MAX_CONCURRENT - len(self._tasks) - len(self._reserved)
            if room <= 0:
                break
            claimed = await self._store.claim(
                recipe, room, at_once=MAX_CONCURRENT_PER_APP, busy=self._busy(), lease=LEASE
            )
            for run in claimed:
                self._begin(run)
            begun += len(claimed)
        return begun

    async def join(self) -> None:
        """Wait for the runs under way to end or be put off."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        """Let runs under way go on for a moment; what is cut off goes on elsewhere, at once or, if
        that cannot be written, by lease.
        """
        left: set[asyncio.Task[None]] = set()
        if self._tasks:
            _, left = await asyncio.wait(list(self._tasks), timeout=STOP_S)
        if self._heartbeat_task is not None:
            self._heartbeat_task.cancel()
        cut = [self._tasks[task] for task in left]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.gather(*(self._store.release(run) for run in cut), return_exceptions=True)

    def _busy(self) -> Counter[UUID]:
        busy = Counter(run.app_id for run in self._tasks.values())
        busy.update(app_id for app_id in self._reserved if app_id is not None)
        return busy

    @contextmanager
    def _has_capacity(self, app_id: UUID | None) -> Iterator[timedelta | None]:
        """A lease when a run can begin here at once, with the room kept meanwhile: many may ask
        before the first begins. None when the run must wait for its turn.
        """
        full = len(self._tasks) + len(self._reserved) >= MAX_CONCURRENT
        if full or (app_id is not None and self._busy()[app_id] >= MAX_CONCURRENT_PER_APP):
            yield None
            return
        self._reserved.append(app_id)
        try:
            yield LEASE
        finally:
            self._reserved.remove(app_id)

    def _begin(self, run: Run) -> None:
        task = asyncio.create_task(self._run_steps(run))
        self._tasks[task] = run
        task.add_done_callback(self._ended)
        if self._heartbeat_task is None or self._heartbeat_task.done():
            self._heartbeat_task = asyncio.create_task(self._heartbeat())

    async def _heartbeat(self) -> None:
        while self._tasks:
            await asyncio.sleep(HEARTBEAT_S)
            with suppress(Busy):
                await self._store.extend_lease(list(self._tasks.values()), LEASE)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        run = self._tasks.pop(task)
        self._waiters.wake(run.workspace_id, run.id)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, BrokerError):
            log.warning("run left", extra={"run": str(run.id), "reason": failure.code})
        elif failure is not None:
            log.error("run left", extra={"run": str(run.id)}, exc_info=failure)

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
        await self._store.finish(run, recipe.build_result(StepContext(run, outcomes)))
        self._log_outcome(run, "done")

    async def _attempt(
        self, run: Run, step: Step, position: int, outcomes: Mapping[str, Mapping[str, Any]]
    ) -> Mapping[str, Any] | None:
        """One attempt at a step; None when the run does not go on now."""
        began = await self._store.begin(run, step.name, position, LEASE)
        if began is None:
            return None
        turn = StepContext(run, outcomes, began.checkpoint, began.outcome_unknown)
        note: Mapping[str, Any] | None = None
        try:
            async with asyncio.timeout(STEP_S):
                outcome = await step.run(turn)
        except RetryLater as later:
            pause = timedelta(seconds=later.after_s)
            await self._store.reschedule(
                run,
                step.name,
                pause,
                error=later.reason,
                failed=False,
                unsure=False,
                note=later.checkpoint,
            )
            return None
        except PermanentFailure as final:
            refusal, note, passing = final.refusal, final.checkpoint, False
        except BrokerError as error:
            refusal = error
            passing = isinstance(error, TRANSIENT) and not isinstance(error, CredentialsRefused)
        except Exception as error:
            log.exception("step failed", extra={"run": str(run.id), "step": step.name})
            refusal, passing = BrokerError(), True
            if isinstance(error, TimeoutError):
                refusal = VendorUnavailable(f"{step.name} took longer than {STEP_S:.0f} seconds.")
        else:
            return outcome if await self._store.end(run, step.name, outcome) else None
        await self._failed(run, step, began.failures, refusal, note, passing=passing)
        return None

    async def _failed(
        self,
        run: Run,
        step: Step,
        failures: int,
        refusal: BrokerError,
        note: Mapping[str, Any] | None,
        *,
        passing: bool,
    ) -> None:
        unsure = step.has_side_effect and passing
        if passing and failures < len(SCHEDULE_S):
            pause = timedelta(seconds=SCHEDULE_S[failures] * random.uniform(0.7, 1.3))  # noqa: S311
            await self._store.reschedule(
                run, step.name, pause, error=refusal.code, failed=True, unsure=unsure
            )
            self._log_outcome(run, "waiting", step.name, refusal.code)
            return
        await self._store.fail(run, step.name, problem_of(refusal), note, unsure=unsure)
        self._log_outcome(run, "failed", step.name, refusal.code)

    def _log_outcome(
        self, run: Run, outcome: str, step: str | None = None, reason: str | None = None
    ) -> None:
        self._metrics.runs.labels(run.recipe, outcome).inc()
        facts = {"run": str(run.id), "recipe": run.recipe, "outcome": outcome}
        level = logging.WARNING if outcome == "failed" else logging.INFO
        log.log(level, "run", extra={**facts, "step": step, "reason": reason})


def problem_of(refusal: BrokerError) -> dict[str, Any]:
    """A refusal as it is kept with a run."""
    return {"code": refusal.code, "detail": refusal.detail or refusal.title(), **refusal.context}


def refusal_of(problem: Mapping[str, Any]) -> BrokerError:
    """The refusal that was kept with a run."""
    kinds = {each.code: each for each in _kinds(BrokerError)}
    context = {name: value for name, value in problem.items() if name not in {"code", "detail"}}
    return kinds.get(problem["code"], BrokerError)(problem["detail"], **context)


def _kinds(kind: type[BrokerError]) -> Iterator[type[BrokerError]]:
    """Every refusal that is made of a detail and context, wherever it is defined."""
    for each in kind.__subclasses__():
        yield from _kinds(each)
        if "code" in vars(each) and each.__init__ is BrokerError.__init__:
            yield each

"""Do what follows the end of runs: any kind of task, with one claim and one retry for all."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from broker.concurrency.backoff import Backoff
from broker.domain.runs import RetryLater, RunTask
from broker.errors import BrokerError, OtherAccount, RecipeNotFound
from broker.stores.recipes.tasks import TaskStore

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=30)
BATCH = 20
FINAL = (OtherAccount, RecipeNotFound)
"""Refusals that no retry heals."""


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What a kind of task does. `work` returns None when it is done, or why it never can be; it
    raises RetryLater, or a BrokerError, after which `retries` applies.
    """

    name: str
    retries: Backoff
    work: Callable[[RunTask], Awaitable[str | None]]


class TaskWorker:
    """Works through due tasks of some kinds."""

    def __init__(self, store: TaskStore, kinds: Sequence[TaskKind]) -> None:
        self._store = store
        self._kinds = {each.name: each for each in kinds}

    async def work_due(self) -> int:
        """Do due tasks; how many were claimed."""
        claimed = await self._store.claim(list(self._kinds), BATCH, LEASE)
        await asyncio.gather(*(self._work(task) for task in claimed))
        return len(claimed)

    async def _work(self, task: RunTask) -> None:
        kind = self._kinds[task.kind]
        try:
            error = await kind.work(task)
        except RetryLater as later:
            await self._store.reschedule(task, timedelta(seconds=later.after_s), later.reason)
            return
        except BrokerError as refusal:
            error = refusal.code
            if not isinstance(refusal, FINAL) and not kind.retries.is_exhausted(task.attempts):
                pause = timedelta(seconds=kind.retries.pause(task.attempts))
                await self._store.reschedule(task, pause, error)
                return
        if error is not None:
            fields = {"kind": task.kind, "run": str(task.run_id), "reason": error}
            log.warning("run_task_given_up", extra=fields)
        await self._store.settle(task, error)

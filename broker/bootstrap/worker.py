"""Periodic background tasks, and how they are stopped."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from broker.concurrency.task_set import TaskSet
from broker.errors import BrokerError, Busy
from broker.stores.core.postgres.gates import BACKGROUND

log = logging.getLogger(__name__)

BUSY_INTERVAL_S = 0.05
"""The pause after a run of a task that found something to do."""

STOP_GRACE_S = 10.0
"""How long tasks under way may take to end once the worker is stopping."""


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Something to do every `every_s` seconds. `work` may return how much it did: while that is
    more than nothing, the next run follows at once.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[Any]]


class Worker:
    """Repeats its tasks, each at its own interval; a failing one does not disturb the others."""

    def __init__(
        self, tasks: Sequence[PeriodicTask], on_stop: Sequence[Callable[[], Awaitable[Any]]] = ()
    ) -> None:
        """`on_stop`: what else ends with the worker, each within a grace of its own: whatever the
        tasks only begin, such as deliveries.
        """
        self._periodic = tasks
        self._on_stop = on_stop
        self._loops: TaskSet[str] = TaskSet()
        self._stopped = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self, grace_s: float = STOP_GRACE_S) -> AsyncIterator[None]:
        """Work while the block runs; then `stop`."""
        for task in self._periodic:
            self._loops.spawn(self._repeat(task), task.name)
        try:
            yield
        finally:
            await self.stop(grace_s)

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Begin no further run, let those under way end, and cancel what outlasts the grace."""
        self._stopped.set()
        cut, *_ = await asyncio.gather(
            self._loops.stop(grace_s), *(stop() for stop in self._on_stop)
        )
        for name in cut:
            log.warning("periodic_task_cancelled", extra={"task": name, "grace_s": grace_s})

    async def _repeat(self, task: PeriodicTask) -> None:
        BACKGROUND.set(True)
        while not self._stopped.is_set():
            pause = task.every_s
            try:
                if await task.work():
                    pause = BUSY_INTERVAL_S
            except Busy as error:
                # Why the database was not there is logged once, and not by each task.
                log.debug("periodic_task_deferred", extra={"task": task.name, "reason": error.code})
            except BrokerError as error:
                log.warning(
                    "periodic_task_deferred", extra={"task": task.name, "reason": error.code}
                )
            except Exception:
                log.exception("periodic_task_failed", extra={"task": task.name})
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopped.wait()


BackgroundTask = Callable[[], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def background_tasks(jobs: Sequence[BackgroundTask]) -> AsyncIterator[None]:
    """Run endless jobs while the block runs; then cancel them."""
    tasks = [asyncio.create_task(job()) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

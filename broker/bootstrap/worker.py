"""Periodic background tasks, and how they are stopped."""

import asyncio
import contextlib
import logging
import math
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
    more than nothing, the next run follows at once. `woken`, when it is set, makes it run before
    its time, but not sooner than `rest_s` after it ended.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[Any]]
    woken: asyncio.Event | None = None
    rest_s: float = BUSY_INTERVAL_S


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
        for task in self._periodic:
            if task.woken is not None:
                task.woken.set()
        cut, *_ = await asyncio.gather(
            self._loops.stop(grace_s), *(stop() for stop in self._on_stop)
        )
        for name in cut:
            log.warning("periodic_task_cancelled", extra={"task": name, "grace_s": grace_s})

    async def _repeat(self, task: PeriodicTask) -> None:
        BACKGROUND.set(True)
        while not self._stopped.is_set():
            if task.woken is not None:
                task.woken.clear()
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
            if task.woken is None or pause == BUSY_INTERVAL_S:
                await _wait(self._stopped, pause)
            else:
                await _wait(self._stopped, task.rest_s)
                await _wait(task.woken, max(0, pause - task.rest_s))


async def _wait(event: asyncio.Event, at_most_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if math.isinf(at_most_s) else at_most_s):
            await event.wait()


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

"""How time gets in: renewals, events, deliveries, forgetting, on any number of processes."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from broker.errors import BrokerError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Something to do again and again. `work` may say how much it did: then it is asked again at
    once, until nothing is left.
    """

    name: str
    every_s: float
    work: Callable[[], Awaitable[Any]]


class Worker:
    """Does its chores, each at its own pace, whatever becomes of the others."""

    def __init__(self, chores: list[PeriodicTask]) -> None:
        self._chores = chores

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for chore in self._chores:
                group.create_task(self._repeat(chore), name=chore.name)

    async def _repeat(self, chore: PeriodicTask) -> None:
        while True:
            pause = chore.every_s
            try:
                if await chore.work():
                    pause = 0.05
            except BrokerError as error:
                log.warning("chore put off", extra={"chore": chore.name, "reason": error.code})
            except Exception:
                log.exception("chore failed", extra={"chore": chore.name})
            await asyncio.sleep(pause)


BackgroundTask = Callable[[], Coroutine[Any, Any, None]]


@contextlib.asynccontextmanager
async def background_tasks(jobs: Sequence[BackgroundTask]) -> AsyncIterator[None]:
    """Jobs that run while something else does."""
    tasks = [asyncio.create_task(job()) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

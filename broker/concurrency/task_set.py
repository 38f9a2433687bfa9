"""Tasks that an owner tracks until they end, and the one way to stop them gracefully."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Stopping(Exception):
    """The process is stopping; nothing new begins."""


class TaskSet(Generic[S]):
    """Tasks under way, each with its subject: what it is about, which the owner counts by."""

    def __init__(self, on_end: Callable[[S, "asyncio.Task[Any]"], None] | None = None) -> None:
        """`on_end` is called with the subject and the ended task, whose failure it may log. A
        failure is marked as retrieved in any case: whoever awaited the task has raised it, and a
        caller who left does not want it.
        """
        self._on_end = on_end
        self._tasks: dict[asyncio.Task[Any], S] = {}
        self.stopping = False
        """`stop` was called: `spawn` raises."""

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def subjects(self) -> list[S]:
        """The subjects of the tasks under way."""
        return list(self._tasks.values())

    def spawn(self, work: Coroutine[Any, Any, T], subject: S) -> "asyncio.Task[T]":
        """Run a coroutine as a task that `join` and `stop` wait for. Raises Stopping."""
        if self.stopping:
            work.close()
            raise Stopping
        task = asyncio.create_task(work)
        self._tasks[task] = subject
        task.add_done_callback(self._ended)
        return task

    async def wait_any(self, timeout_s: float) -> None:
        """Wait until one of the tasks ends, for so long at most."""
        if self._tasks:
            await asyncio.wait(
                list(self._tasks), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )

    async def join(self) -> None:
        """Wait until none is under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self, grace_s: float) -> list[S]:
        """Begin nothing more, let what is under way end within the grace, cancel the rest and wait
        for its end; the subjects of what was cancelled.
        """
        self.stopping = True
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=grace_s)
        rest = dict(self._tasks)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return list(rest.values())

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        subject = self._tasks.pop(task)
        if not task.cancelled():
            task.exception()
        if self._on_end is not None:
            self._on_end(subject, task)

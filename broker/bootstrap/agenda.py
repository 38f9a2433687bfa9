"""When background work is due, and what makes a task look for it.

A process without work asks one statement now and then when the earliest work of each kind is due,
and a task looks only then. What a process writes itself wakes its own tasks at once. A process that
does no background work notifies those that do, a few times a second however much it writes: all
commits of a server wait for the lock that NOTIFY takes. A notification that is missed costs the
pause between two questions.
"""

import asyncio
import contextvars
from contextlib import suppress

from broker.concurrency.task_set import Stopping, TaskSet
from broker.domain.work import NewWork
from broker.errors import BrokerError
from broker.stores.core.due_work import DueWork

LEAST_PAUSE_S = 0.25
"""Between two questions, however much is written."""

NOTIFY_EVERY_S = 0.25
"""Between two notifications of one process."""

SLACK_S = 0.005
"""How long after its time work is looked for: clocks and timers are not exact."""


class Agenda:
    """Wakes the tasks of one process, each known by its name, which is the kind of its work."""

    def __init__(self, due_work: DueWork, pause_s: float) -> None:
        """`pause_s`: the longest time between two questions."""
        self._due_work = due_work
        self._pause_s = pause_s
        self._tasks: dict[str, asyncio.Event] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._untold: set[str] = set()
        self._notifying: TaskSet[str] = TaskSet()
        self._works = False
        self.changed = asyncio.Event()
        """Set when work was written that is due later, so that the agenda is to be read again."""

    def woken(self, kind: str) -> asyncio.Event:
        """What is set when a task should look."""
        return self._tasks.setdefault(kind, asyncio.Event())

    async def look(self) -> None:
        """Wake the tasks whose work is due, and set timers for those whose work will be soon."""
        self._works = True
        for kind, seconds in (await self._due_work.next_due()).items():
            if (timer := self._timers.pop(kind, None)) is not None:
                timer.cancel()
            if seconds is None or seconds > self._pause_s + LEAST_PAUSE_S:
                continue
            if seconds <= 0:
                self._wake(kind)
            else:
                later = asyncio.get_running_loop().call_later
                self._timers[kind] = later(seconds + SLACK_S, self._wake, kind)

    def written(self, work: NewWork) -> None:
        """This process has committed work."""
        if self._works:
            for kind in work.due:
                self._wake(kind)
            if work.planned:
                self.changed.set()
        elif work.due:
            self._untold |= work.due
            if not self._notifying:
                # In no request's context: its share of the database is not to be used.
                with suppress(Stopping):
                    contextvars.Context().run(self._notifying.spawn, self._notify(), "work")

    def notified(self, kinds: str) -> None:
        """Another process has committed work of these kinds (separated by commas), or, without any,
        may have.
        """
        for kind in filter(None, kinds.split(",")):
            self._wake(kind)
        if not kinds:
            self.changed.set()

    async def stop(self) -> None:
        """Wake nothing more: from now on others are notified."""
        self._works = False
        for timer in self._timers.values():
            timer.cancel()

    async def close(self) -> None:
        """Notify nobody more; what was not told is found by the next question."""
        await self._notifying.stop(0)

    def _wake(self, kind: str) -> None:
        if (event := self._tasks.get(kind)) is not None:
            event.set()

    async def _notify(self) -> None:
        while self._untold:
            kinds, self._untold = self._untold, set()
            with suppress(BrokerError):
                await self._due_work.notify(kinds)
            await asyncio.sleep(NOTIFY_EVERY_S)

"""Waits for runs to finish in any process: one query for all waiters."""

import asyncio
import time
from uuid import UUID

from broker.domain.runs import RunRecord
from broker.errors import Busy
from broker.stores.recipes.run_records import RunRecords

POLL_S = 0.1


class RunWaiters:
    """The waiters of one process."""

    def __init__(self, records: RunRecords) -> None:
        self._records = records
        self._waiting: dict[tuple[UUID, UUID], list[asyncio.Event]] = {}
        self._poll_task: asyncio.Task[None] | None = None

    async def wait(self, workspace_id: UUID, run_id: UUID, within_s: float) -> RunRecord:
        """The run when it has ended, or as it is after so many seconds. Raises RunNotFound."""
        until, key = time.monotonic() + within_s, (workspace_id, run_id)
        while True:
            woken = asyncio.Event()
            self._waiting.setdefault(key, []).append(woken)
            try:
                # Read after registering, so that an end in between is not missed.
                record = await self._records.get(workspace_id, run_id)
                left = until - time.monotonic()
                if record.state != "running" or left <= 0:
                    return record
                if self._poll_task is None or self._poll_task.done():
                    self._poll_task = asyncio.create_task(self._poll())
                async with asyncio.timeout(left):
                    await woken.wait()
            except TimeoutError:
                return await self._records.get(workspace_id, run_id)
            finally:
                self._leave(key, woken)

    def wake(self, workspace_id: UUID, run_id: UUID) -> None:
        """Let the waiters of a run read it again."""
        for woken in self._waiting.get((workspace_id, run_id), ()):
            woken.set()

    def _leave(self, key: tuple[UUID, UUID], woken: asyncio.Event) -> None:
        others = [each for each in self._waiting.get(key, ()) if each is not woken]
        if others:
            self._waiting[key] = others
        else:
            self._waiting.pop(key, None)

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(POLL_S)
            try:
                ended = set(await self._records.ended(list(self._waiting)))
            except Busy:
                continue
            for workspace_id, run_id in list(self._waiting):
                if run_id in ended:
                    self.wake(workspace_id, run_id)

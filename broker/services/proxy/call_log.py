"""The call log, off the hot path: calls are noted in memory and written in batches."""

import asyncio
import logging
import time
from collections import deque

from broker.errors import Busy
from broker.providers.hubspot.templates import template_of
from broker.stores.proxy.calls import CallRecord, Calls
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

BATCH = 200
"""How many calls a statement writes: more at once would hold up every call meanwhile for
milliseconds, here and where Postgres shares the machine.
"""

MAX_BUFFERED = 20_000
"""How many calls wait to be written at most; while the database is slow, later ones are counted in
a metric and lost."""


class CallLog:
    """The calls of this process that are not written yet."""

    def __init__(self, calls: Calls, metrics: Metrics) -> None:
        self._calls = calls
        self._metrics = metrics
        self._buffer: deque[CallRecord] = deque()

    def record(self, record: CallRecord) -> None:
        """Remember a call that has ended."""
        if len(self._buffer) >= MAX_BUFFERED:
            self._metrics.calls_dropped.inc()
        else:
            self._buffer.append(record)

    async def flush(self) -> None:
        """Write what was noted, or keep it for the next time when the database is away."""
        # Those noted meanwhile wait for the next time, or each would cost a statement.
        left = len(self._buffer)
        while left:
            batch = [self._buffer.popleft() for _ in range(min(BATCH, left))]
            left -= len(batch)
            for record in batch:
                record.path = template_of(record.path.partition("?")[0])
            began = time.monotonic()
            try:
                await self._calls.write(batch)
            except (Busy, asyncio.CancelledError):
                room = max(0, MAX_BUFFERED - len(self._buffer))
                self._metrics.calls_dropped.inc(max(0, len(batch) - room))
                self._buffer.extendleft(reversed(batch[:room]))
                raise
            except Exception:
                # One that cannot be written must not keep the others.
                self._metrics.calls_dropped.inc(len(batch))
                log.exception("calls not logged", extra={"calls": len(batch)})
            if time.monotonic() - began > 1:
                return

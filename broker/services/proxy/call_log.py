"""The call log, off the hot path: calls are buffered in memory and written in batches."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping

from broker.errors import Busy
from broker.providers.base import Provider
from broker.services.proxy.trace import CallTrace
from broker.stores.proxy.calls import CallRecord, Calls
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

BATCH = 200
"""How many calls a statement writes: more at once would delay every call meanwhile for
milliseconds, here and where Postgres shares the machine.
"""

MAX_BUFFERED = 20_000
"""How many calls wait to be written at most; while the database is slow, later ones are counted in
a metric and lost."""


class CallLog:
    """The calls of this process that are not written yet."""

    def __init__(
        self,
        calls: Calls,
        providers: Mapping[str, Provider],
        metrics: Metrics,
        *,
        kept: bool = True,
    ) -> None:
        """`kept`: whether calls are written at all."""
        self._kept = kept
        self._calls = calls
        self._providers = providers
        self._metrics = metrics
        self._buffer: deque[CallTrace] = deque()

    def record(self, trace: CallTrace) -> None:
        """Buffer a call that has ended; one of which no app is known is not logged, and counted
        where that is the database's fault.
        """
        if not self._kept:
            return
        if trace.app_id is None:
            if trace.error == Busy.code:
                self._metrics.calls_dropped.inc()
            return
        if len(self._buffer) >= MAX_BUFFERED:
            self._metrics.calls_dropped.inc()
        else:
            self._buffer.append(trace)

    async def flush(self) -> None:
        """Write the buffered calls, or keep them for the next time when the database is away."""
        # Those buffered meanwhile wait for the next time, or each would cost a statement.
        left = len(self._buffer)
        while left:
            batch = [self._buffer.popleft() for _ in range(min(BATCH, left))]
            left -= len(batch)
            began = time.monotonic()
            try:
                await self._calls.write([self._row(trace) for trace in batch])
            except (Busy, asyncio.CancelledError):
                room = max(0, MAX_BUFFERED - len(self._buffer))
                self._metrics.calls_dropped.inc(max(0, len(batch) - room))
                self._buffer.extendleft(reversed(batch[:room]))
                raise
            except Exception:
                # One that cannot be written must not keep the others.
                self._metrics.calls_dropped.inc(len(batch))
                log.exception("calls_not_logged", extra={"calls": len(batch)})
            if time.monotonic() - began > 1:
                return

    def _row(self, trace: CallTrace) -> CallRecord:
        assert trace.app_id is not None  # noqa: S101  # `record` lets no other in
        return CallRecord(
            trace.workspace_id,
            trace.app_id,
            trace.at,
            trace.connection_id,
            trace.user_ref,
            trace.key_id,
            trace.request_id,
            trace.method,
            self._providers[trace.provider].template_of(trace.target),
            trace.status,
            trace.error,
            trace.bytes,
            trace.ms,
            trace.retries,
            trace.renewed,
            trace.provider_request_id,
        )

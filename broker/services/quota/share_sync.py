"""Exchanges with the database that keep one quota's share right: when, and how often at most.

An exchange moves permits between this process's share and what is left of the quota, in one
transaction under the lock of the quota's row. It runs at once when a call has no permit, when
another process waits and this one has free permits, and when HubSpot reported something new; and
again while it gains and calls still wait. One that changed nothing is repeated by polling only, at
growing intervals and at a pace that all quotas of the process share.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from broker.concurrency.backoff import Backoff
from broker.errors import AppNotFound, Busy
from broker.services.quota.bucket import Bucket
from broker.stores.proxy.quotas import Quotas
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

POLL = Backoff(first=0.2, longest=1.0, jitter=(1, 1))
"""How often a process repeats exchanges that gain nothing while calls wait."""

LATER = Backoff(first=1.0, jitter=(0.2, 1.0))
"""When a poll runs again that the pace of the process has deferred."""

RETURN_INTERVAL_S = 0.2
"""How often permits that cool down are returned to processes that wait."""

BURST_S = 0.5
"""How long polls that were not made add up to others at once."""

DB_TIMEOUT_S = 1.0
"""How long the database may take before calls go on without it."""


class Pace:
    """Bounds of all exchanges of a process: how many at a time, and how many polls a second."""

    def __init__(self, concurrent: int = 4, polls_per_second: float = 50.0) -> None:
        """`concurrent`: each holds a database session, so this must stay below half the pool."""
        self._permits = asyncio.Semaphore(concurrent)
        self._interval = 1 / polls_per_second
        self._next = 0.0
        self._running = 0
        self._silent_since = 0.0

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        """Room for an exchange, once others have ended."""
        async with self._permits:
            if not self._running:
                self._silent_since = time.monotonic()
            self._running += 1
            try:
                yield
            finally:
                self._running -= 1

    def record_answer(self, now: float) -> None:
        """The database has committed an exchange."""
        self._silent_since = now

    def database_answers(self, now: float) -> bool:
        """Whether exchanges get answers: one that takes long then only waits for room."""
        return not self._running or now - self._silent_since < DB_TIMEOUT_S

    def allows_poll(self, now: float) -> bool:
        """Take the right to one poll, if the pace allows it now."""
        if now < self._next:
            return False
        self._next = max(self._next, now - BURST_S) + self._interval
        return True


class ShareSync:
    """Keeps this process's share of one quota in step with the other processes."""

    def __init__(self, bucket: Bucket, quotas: Quotas, pace: Pace, metrics: Metrics) -> None:
        self._bucket = bucket
        self._quotas = quotas
        self._pace = pace
        self._exchanges = metrics.quota_exchanges
        self._task: asyncio.Task[None] | None = None
        self._vain = 0
        """How many exchanges in a row gained nothing for calls that waited."""
        self._ended_at = 0.0
        self._serve_timer: asyncio.TimerHandle | None = None
        self._poll_timer: asyncio.TimerHandle | None = None
        self._return_timer: asyncio.TimerHandle | None = None

    async def ensure(self) -> None:
        """Ask for permits for a call that has none, unless that was in vain a moment ago; not for
        long.
        """
        if not self._bucket.lacking or (
            self._task is None and self._in_vain_until() > time.monotonic()
        ):
            self.schedule()
            return
        task = self.now("call")
        await asyncio.wait({task}, timeout=DB_TIMEOUT_S)
        now = time.monotonic()
        if not task.done() and not self._pace.database_answers(now):
            self._bucket.use_fallback_share(now)

    def on_wanted(self) -> None:
        """Another process waits for permits: give what is free at once, the rest as it cools."""
        self._bucket.request()
        if self._bucket.has_surplus(time.monotonic()):
            self.now("wanted")
        else:
            self.schedule()

    def on_available(self) -> None:
        """Another process has returned permits."""
        if self._bucket.lacking:
            self.now("available")

    def now(self, cause: str) -> "asyncio.Task[None]":
        """Exchange at once, unless an exchange is under way; that one's task."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(cause))
        return self._task

    def close(self) -> None:
        """Let no timer of this quota fire any more."""
        for timer in (self._serve_timer, self._poll_timer, self._return_timer):
            if timer is not None:
                timer.cancel()

    def schedule(self) -> None:
        """Serve waiting calls now and whenever a permit may be free, and exchange when due."""
        now, bucket = time.monotonic(), self._bucket
        loop = asyncio.get_running_loop()
        bucket.serve(now)
        if bucket.waiting and self._serve_timer is None:
            at = bucket.next_permit_at(now)
            if at is not None:
                self._serve_timer = loop.call_later(max(0.001, at - now), self._serve)
        if bucket.needs_exchange and self._poll_timer is None and self._task is None:
            at = self._in_vain_until() if bucket.lacking else self._ended_at + RETURN_INTERVAL_S
            self._poll_timer = loop.call_later(max(0.0, at - now), self._poll)
        at = bucket.surplus_at(now)
        if at is not None and self._return_timer is None and self._task is None:
            at = max(at, self._ended_at + RETURN_INTERVAL_S)
            self._return_timer = loop.call_later(max(0.001, at - now), self._return)

    def _in_vain_until(self) -> float:
        return self._ended_at + POLL.pause(self._vain) if self._vain else 0.0

    def _serve(self) -> None:
        self._serve_timer = None
        self.schedule()

    def _poll(self) -> None:
        self._poll_timer = None
        if not self._bucket.needs_exchange:
            return
        if self._pace.allows_poll(time.monotonic()):
            self.now("poll" if self._bucket.lacking else "upkeep")
        else:
            pause = LATER.pause(1)
            self._poll_timer = asyncio.get_running_loop().call_later(pause, self._poll)

    def _return(self) -> None:
        self._return_timer = None
        if self._bucket.has_surplus(time.monotonic()):
            self.now("surplus")
        else:
            self.schedule()

    async def _run(self, cause: str) -> None:
        try:
            async with self._pace.exchange(), asyncio.timeout(DB_TIMEOUT_S * 5):
                while await self._exchange(cause) and self._bucket.lacking:
                    pass  # it gained, or these calls came after it began
        except AppNotFound:
            self._vain += 1
            log.info("quota_of_removed_app", extra={"app": str(self._bucket.name.app_id)})
        except (Busy, TimeoutError):
            self._fall_back()
        except Exception:
            log.exception("quota_exchange_failed")
            self._fall_back()
        finally:
            self._task = None
            self._ended_at = time.monotonic()
            self.schedule()

    def _fall_back(self) -> None:
        self._vain += 1
        self._bucket.use_fallback_share(time.monotonic())

    async def _exchange(self, cause: str) -> bool:
        """One transaction; whether another may give waiting calls more."""
        bucket = self._bucket
        self._exchanges.labels(cause).inc()
        async with self._quotas.lock(bucket.name, bucket.facts) as locked:
            exchange = bucket.begin_exchange(
                locked.facts, locked.exhausted_for, locked.others, time.monotonic()
            )
            if exchange.facts is not None:
                await locked.set_size(exchange.facts)
            if exchange.exhausted_for is not None:
                await locked.mark_exhausted(exchange.exhausted_for)
            await locked.write(exchange.permits, exchange.users, waiting=exchange.waiting)
            if exchange.requests_permits:
                await locked.notify_wanted()
            if exchange.offers:
                await locked.notify_available()
        now = time.monotonic()
        self._pace.record_answer(now)
        bucket.finish_exchange(exchange, now)
        if exchange.gain:
            self._vain = 0
        elif exchange.needed:
            self._vain += 1
        return exchange.gain > 0 or not exchange.needed

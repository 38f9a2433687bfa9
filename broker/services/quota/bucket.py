"""One quota as this process sees it: its limit, its permits, and the calls that wait. No I/O.

Times are seconds on the monotonic clock.
"""

import asyncio
import time
from collections.abc import Hashable
from dataclasses import dataclass
from uuid import UUID

from broker.providers.calls.limits import QuotaLimit, RateLimitInfo
from broker.services.quota.account_limit import AccountLimit
from broker.services.quota.fair_queue import FairQueue, Waiter
from broker.services.quota.retry_budget import RetryBudget
from broker.services.quota.shares import fair_share, idle_reserve, lends_all, rebalance
from broker.services.quota.sliding_window import SlidingWindow
from broker.stores.proxy.quotas import OtherHolders, QuotaFacts, QuotaName

MAX_WAITING = 2_000
"""How many calls may wait for one quota in one process."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one exchange with the database writes, and what it changes here once committed."""

    facts: QuotaFacts | None
    """The size to write, where HubSpot reported another than the database knows."""
    exhausted_for: float | None
    """For how many seconds the daily limit is used up, where HubSpot reported that."""
    gain: int
    returned: int
    needed: int
    """How many permits were lacking when it began."""
    permits: int
    users: int
    waiting: bool
    """Whether calls are left without a permit after it."""
    requests_permits: bool
    """Whether to request permits from other processes."""
    offers: bool
    """Whether to notify processes that wait of returned permits."""


class Bucket:
    """A quota's permits in this process, and the calls that wait for one."""

    def __init__(self, name: QuotaName, limit: QuotaLimit) -> None:
        self.name = name
        self.retry_budget = RetryBudget()
        self.used_at = time.monotonic()
        self._limit = AccountLimit(limit)
        self._permits = SlidingWindow(limit.interval)
        self._queue = FairQueue()
        self._users: dict[UUID, float] = {}
        self._on_fallback = False
        self._others_wait = False
        self._wanted = False
        """A process has requested permits since the last exchange."""
        self._lend_all = False
        """The processes that wait have less than their fair share."""
        self._marked_waiting = False
        """The row says that calls wait here."""
        self._has_share = False

    @property
    def facts(self) -> QuotaFacts:
        """The limit as far as it is known here."""
        return self._limit.facts

    @property
    def limit_known(self) -> asyncio.Event:
        """Set while calls need not wait for HubSpot's first answer about the account."""
        return self._limit.known

    def acquire(self, user: UUID, now: float) -> bool:
        """Take a permit for a call that is sent at once, unless there is none or others wait."""
        self.used_at = self._users[user] = now
        return not self._queue and self._take(now)

    def exhausted_for(self, now: float) -> float:
        """For how many seconds the daily limit is used up."""
        return self._limit.exhausted_for(now)

    def join(self, user: UUID, lane: Hashable, wait_s: float) -> Waiter | None:
        """Enqueue a call; its future is done when it has a permit. None where so many are ahead
        that it could not be served within `wait_s`, had this process all the permits.
        """
        if len(self._queue) >= MAX_WAITING:
            return None
        served = self.facts.size * (1 + wait_s / self.facts.interval)
        if self._queue.ahead_of(user, lane) > served:
            return None
        return self._queue.join(user, lane)

    def leave(self, user: UUID, lane: Hashable, waiter: Waiter) -> None:
        """Remove a call that gives up waiting."""
        self._queue.leave(user, lane, waiter)

    def serve(self, now: float) -> None:
        """Give free permits to waiting calls, in turn."""
        while self._queue and self._take(now):
            self._queue.serve()

    def wait_time(self, user: UUID, lane: Hashable, now: float) -> float:
        """Seconds until a new call could be served, as far as can be known here."""
        size, interval = self.facts.size, self.facts.interval
        at, ahead = self.next_permit_at(now), self._queue.ahead_of(user, lane)
        first = interval / 2 if at is None else max(0.0, at - now)
        # However the permits are divided, all of them are free once in an interval.
        return min(first + ahead * interval / size, max(first, interval * (1 + ahead // size)))

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._queue)

    @property
    def lacking(self) -> int:
        """How many permits waiting calls need besides those that are free, if not yet usable."""
        return max(0, len(self._queue) - self._permits.free)

    def next_permit_at(self, now: float) -> float | None:
        """When a permit may be usable next; None when none of this process's will be."""
        if now < self._limit.paused_until:
            return self._limit.paused_until
        return self._permits.next_free_at()

    def _take(self, now: float) -> bool:
        limit = self._limit
        if not limit.admits(now) or not self._permits.use(now):
            return False
        if not limit.known.is_set():
            limit.record_probe()
        return True

    def observe(self, limits: RateLimitInfo | None, now: float) -> bool:
        """Learn from the limits in HubSpot's answer (None: no answer, or it named none); whether
        other processes must learn it too, by an exchange now.
        """
        limit = self._limit
        known = limit.known.is_set()
        news = limit.observe(limits, now)
        if news:
            self._permits.interval = limit.facts.interval
        if not known:
            self.serve(now)
        return news

    def stop_probing(self, now: float) -> None:
        """Go on without HubSpot's first answer, which does not come."""
        self._limit.assume()
        self.serve(now)

    @property
    def needs_exchange(self) -> bool:
        """Whether an exchange could change something: for calls here, for the row, for others."""
        return bool(self.lacking or self._limit.changed or self._marked_waiting or self._wanted)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and no permit is in use."""
        return not self._queue and not self._permits.in_use

    @property
    def has_share(self) -> bool:
        """Whether the database has a row for this process that must not expire."""
        return self._has_share

    def request(self) -> None:
        """Another process waits for permits."""
        self._others_wait = self._wanted = self._lend_all = True

    def has_surplus(self, now: float) -> bool:
        """Whether there are free permits that processes which wait should have."""
        self._permits.sweep(now)
        if self._permits.returnable:
            return True
        reserve = idle_reserve(self._permits.in_use, lend_all=self._lend_all)
        return not self._queue and self._permits.held > reserve

    def surplus_at(self, now: float) -> float | None:
        """When there may be such a surplus; None when no process waits or there will be none."""
        if not self._others_wait:
            return None
        if self.has_surplus(now):
            return now
        cooling = self._permits.to_return or not self._queue
        return self._permits.next_free_at() if cooling else None

    def begin_exchange(
        self, known: QuotaFacts, exhausted_for: float, others: OtherHolders, now: float
    ) -> Exchange:
        """What to write, under the lock of the quota's row. Permits to be returned can no longer
        be used; permits gained may be used after `finish_exchange`, once it is committed.
        """
        limit, permits, users = self._limit, self._permits, self._active_users(now)
        limit.adopt(known, exhausted_for, now)
        permits.interval = self.facts.interval
        permits.sweep(now)
        need, size = self.lacking, self.facts.size
        # A free permit that a waiting call has not yet been able to use is as good as in use.
        in_use = permits.in_use + len(self._queue) - need
        change = rebalance(size, permits.held, in_use, need, users, others)
        permits.return_permits(max(0, -change))
        gain, returned, waiting = max(0, change), permits.returnable, need > max(0, change)
        self._others_wait, self._wanted = others.waiting > 0, False
        self._lend_all = lends_all(size, users, others)
        share = fair_share(size, users, others)
        return Exchange(
            facts=self.facts if limit.changed else None,
            exhausted_for=limit.exhausted_for(now) if limit.exhaustion_changed else None,
            gain=gain,
            returned=returned,
            needed=need,
            permits=permits.held + gain,
            users=users,
            waiting=waiting,
            requests_permits=waiting and permits.held + gain < share,
            offers=self._others_wait and returned > 0,
        )

    def finish_exchange(self, exchange: Exchange, now: float) -> None:
        """Take in what was committed."""
        self._permits.free += exchange.gain
        self._permits.returnable -= exchange.returned
        self._limit.written(exchange.facts, exchange.exhausted_for)
        self._marked_waiting = exchange.waiting
        self._on_fallback, self._has_share = False, True
        self.serve(now)

    def use_fallback_share(self, now: float) -> None:
        """Go on without the database: half of the quota, until an exchange succeeds again."""
        if not self._on_fallback:
            self._on_fallback = True
            self._limit.assume()
            self._permits.free += max(0, self.facts.size // 2 - self._permits.held)
        self.serve(now)

    def release(self) -> bool:
        """Give up the whole share; whether permits of it are still in use, so that the row must
        outlive their interval.
        """
        permits = self._permits
        permits.free = permits.returnable = permits.to_return = 0
        self._has_share = self._marked_waiting = False
        return permits.in_use > 0

    def sweep(self, now: float) -> None:
        """Drop what is older than an interval."""
        self._permits.sweep(now)
        self._active_users(now)

    def _active_users(self, now: float) -> int:
        """How many users called within the interval, or wait; at least one."""
        since = now - self.facts.interval
        for user in [user for user, at in self._users.items() if at < since]:
            del self._users[user]
        return max(1, len(self._users), self._queue.users)

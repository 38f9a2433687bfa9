"""One quota as this process sees it: its places, who waits for them, and what HubSpot said."""

import asyncio
import math
import time
from uuid import UUID

from broker.providers.calls.limits import QuotaLimit, RateLimitInfo
from broker.services.quota.fair_queue import FairQueue
from broker.services.quota.retry_budget import RetryBudget
from broker.services.quota.sliding_window import SlidingWindow
from broker.stores.proxy.quotas import QuotaFacts, QuotaName

PROBE_CALLS = 5
"""How many calls go out before HubSpot's first answer tells the size."""

QUARTER_S = 900.0
"""Midnight is at a quarter of an hour in every time zone; a daily limit ends at one of them."""


class Bucket:
    """A quota's places here, with the line of those who wait. Times are on the monotonic clock."""

    def __init__(self, name: QuotaName, limit: QuotaLimit) -> None:
        self.name = name
        self.limit = limit
        self.facts = QuotaFacts(limit.size, limit.interval)
        self.permits = SlidingWindow(limit.interval)
        self.queue = FairQueue()
        self.retry_budget = RetryBudget()
        self.users: dict[UUID, float] = {}
        self.used_at = time.monotonic()
        self.limit_known = asyncio.Event()
        """HubSpot has answered and the database knows the size that it told."""
        self.probes_sent = 0
        self.limit_changed = False
        """HubSpot told another size than the database knows; nobody is served meanwhile."""
        self.paused_until = 0.0
        self.daily_exhausted_until = 0.0
        self.daily_changed = False
        self.consecutive_429 = 0
        self.sync_task: asyncio.Task[None] | None = None
        self.synced_at = 0.0
        self.poll_interval = 0.0
        self.on_fallback = False
        self.timer: asyncio.TimerHandle | None = None
        self.poll_timer: asyncio.TimerHandle | None = None

    def take(self, now: float) -> bool:
        """A place for a call, if one may be used now."""
        if self.limit_changed or now < self.paused_until:
            return False
        if not self.limit_known.is_set():
            if self.probes_sent >= PROBE_CALLS:
                return False
            if self.permits.use(now):
                self.probes_sent += 1
                return True
            return False
        return self.permits.use(now)

    def serve(self, now: float) -> None:
        """Give free places to those who wait, in turn."""
        while self.queue and self.take(now):
            self.queue.serve()

    def next_at(self, now: float) -> float | None:
        """When somebody may be served again, as far as can be known here."""
        if now < self.paused_until:
            return self.paused_until
        return self.permits.next_free_at()

    def active_users(self, now: float) -> int:
        """How many users called within the interval, or wait; at least one."""
        since = now - self.facts.interval
        for user in [user for user, at in self.users.items() if at < since]:
            del self.users[user]
        return max(1, len(self.users), self.queue.users)

    def set_size(self, size: int, interval: float) -> bool:
        """Take in what HubSpot's headers say of the size; whether it is new."""
        if self.facts.size_known and (size, interval) == (self.facts.size, self.facts.interval):
            return False
        self.facts = QuotaFacts(size, interval, size_known=True)
        self.permits.interval = interval
        self.limit_changed = True
        self.limit_known.clear()
        return True

    def adopt(self, facts: QuotaFacts) -> None:
        """Take in what the database knows, which another process learnt."""
        self.facts = facts
        self.permits.interval = facts.interval
        if facts.size_known and not self.limit_changed:
            self.limit_known.set()

    def refused(self, info: RateLimitInfo, now: float) -> None:
        """HubSpot answered 429: pause, and longer when it does so again."""
        self.consecutive_429 += 1
        pause = info.retry_after
        if pause is None:
            pause = min(2.0 ** (self.consecutive_429 - 1), self.facts.interval)
        self.paused_until = max(self.paused_until, now + min(pause, 60.0))

    def spend(self, now: float, resets_in: float | None = None) -> None:
        """The daily limit is used up: for so many seconds, else until the next quarter of an hour,
        when one call may try.
        """
        if resets_in is None:
            wall = time.time()
            resets_in = (math.floor(wall / QUARTER_S) + 1) * QUARTER_S - wall + 2
        self.daily_exhausted_until = now + resets_in
        self.daily_changed = True

    def wait_for(self, user: UUID, now: float) -> float:
        """Seconds until a new call of this user's could be served, as far as can be known here."""
        size, interval = self.facts.size, self.facts.interval
        at, before = self.next_at(now), self.queue.ahead_of(user)
        first = interval / 2 if at is None else max(0.0, at - now)
        # However the places are parted, all of them are free once in an interval.
        return min(first + before * interval / size, max(first, interval * (1 + before // size)))

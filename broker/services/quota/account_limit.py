"""What a provider has reported of one quota: its size, pauses after a 429, the daily limit. No I/O.

Times are seconds on the monotonic clock.
"""

import asyncio
import math
import time

from broker.concurrency.backoff import Backoff
from broker.providers.calls.limits import QuotaLimit, RateLimitInfo
from broker.stores.proxy.quotas import QuotaFacts

PROBE_CALLS = 5
"""How many calls are sent before the provider's first answer tells the size."""

QUARTER_S = 900.0
"""Midnight is at a quarter of an hour in every time zone; a daily limit ends at one of them."""

PAUSE_AFTER_429 = Backoff(first=1, longest=60, jitter=(1, 1))
LONGEST_PAUSE_S = 60.0


class AccountLimit:
    """The limit that a quota divides, as far as this process knows it."""

    def __init__(self, limit: QuotaLimit) -> None:
        self.facts = QuotaFacts(limit.size, limit.interval)
        self.known = asyncio.Event()
        """HubSpot has answered, and the database knows the size that it reported."""
        self.changed = False
        """It reported another size than the database knows: no call is sent meanwhile."""
        self.exhaustion_changed = False
        self.paused_until = 0.0
        self._limit = limit
        self._probes_sent = 0
        self._exhausted_until = 0.0
        self._consecutive_429 = 0

    def admits(self, now: float) -> bool:
        """Whether a call that has a permit may be sent."""
        if self.changed or now < self.paused_until:
            return False
        return self.known.is_set() or self._probes_sent < PROBE_CALLS

    def record_probe(self) -> None:
        """A call is sent before the size is known."""
        self._probes_sent += 1

    def exhausted_for(self, now: float) -> float:
        """For how many seconds the daily limit is used up."""
        return max(0.0, self._exhausted_until - now)

    def observe(self, limits: RateLimitInfo | None, now: float) -> bool:
        """Learn from the limits in an answer (None: no answer, or it named none); whether other
        processes must learn it too.
        """
        news = False
        if limits is None:
            self._consecutive_429 = 0
        else:
            if limits.size and self._limit.announced:
                news = self._learn(limits.size, limits.interval)
            if limits.daily_exhausted:
                self._exhaust(now, limits.resets_in)
                news = True
            elif limits.refused_by is not None:
                self._pause(limits, now)
                if self._limit.smallest is not None and not self.facts.size_known:
                    news = self._learn(*self._limit.smallest)
            else:
                self._consecutive_429 = 0
        if not self.changed:
            self.known.set()
        return news

    def assume(self) -> None:
        """Go on with what is known here: HubSpot or the database does not answer."""
        self.changed = False
        self.known.set()

    def adopt(self, facts: QuotaFacts, exhausted_for: float, now: float) -> None:
        """Take in what the database knows, where nothing newer was reported here."""
        if not self.changed and facts != self.facts:
            self.facts = facts
            if facts.size_known:
                self.known.set()
        if not self.exhaustion_changed and exhausted_for > 0:
            self._exhausted_until = now + exhausted_for

    def written(self, facts: QuotaFacts | None, exhausted_for: float | None) -> None:
        """The database knows what was reported here."""
        if facts is self.facts:
            self.assume()
        if exhausted_for is not None:
            self.exhaustion_changed = False

    def _learn(self, size: int, interval: float) -> bool:
        if self.facts.size_known and (size, interval) == (self.facts.size, self.facts.interval):
            return False
        self.facts = QuotaFacts(size, interval, size_known=True)
        self.changed = True
        self.known.clear()
        return True

    def _pause(self, limits: RateLimitInfo, now: float) -> None:
        self._consecutive_429 += 1
        pause = limits.retry_after
        if pause is None:
            pause = min(PAUSE_AFTER_429.pause(self._consecutive_429), self.facts.interval)
        self.paused_until = max(self.paused_until, now + min(pause, LONGEST_PAUSE_S))

    def _exhaust(self, now: float, resets_in: float | None) -> None:
        """No call for so many seconds, else until the next quarter of an hour, when one may try."""
        if resets_in is None:
            wall = time.time()
            resets_in = (math.floor(wall / QUARTER_S) + 1) * QUARTER_S - wall + 2
        self._exhausted_until = now + resets_in
        self.exhaustion_changed = True

"""One quota as this process sees it: its places, who waits for them, and what HubSpot said."""

import asyncio
import math
import time
from uuid import UUID

from broker.providers.hubspot.limits import Said
from broker.services.quota.fair_queue import Turns
from broker.services.quota.retry_budget import Budget
from broker.services.quota.sliding_window import Places
from broker.stores.proxy.quotas import QuotaFacts, QuotaName

TRIAL = 5
"""How many calls go out before HubSpot's first answer tells the size."""

QUARTER_S = 900.0
"""Midnight is at a quarter of an hour in every time zone; a daily limit ends at one of them."""


class Bucket:
    """A quota's places here, with the line of those who wait. Times are on the monotonic clock."""

    def __init__(self, name: QuotaName, assumed: QuotaFacts) -> None:
        self.name = name
        self.facts = assumed
        self.places = Places(assumed.interval)
        self.turns = Turns()
        self.budget = Budget()
        self.users: dict[UUID, float] = {}
        self.used_at = time.monotonic()
        self.known = asyncio.Event()
        """HubSpot has answered and the database knows the size that it told."""
        self.tried = 0
        self.news = False
        """HubSpot told another size than the database knows; nobody is served meanwhile."""
        self.paused_until = 0.0
        self.spent_until = 0.0
        self.spent_news = False
        self.strikes = 0
        self.settling: asyncio.Task[None] | None = None
        self.settled_at = 0.0
        self.pace = 0.0
        self.lent = False
        self.timer: asyncio.TimerHandle | None = None
        self.beat: asyncio.TimerHandle | None = None

    def take(self, now: float) -> bool:
        """A place for a call, if one may be used now."""
        if self.news or now < self.paused_until:
            return False
        if not self.known.is_set():
            if self.tried >= TRIAL:
                return False
            if self.places.use(now):
                self.tried += 1
                return True
            return False
        return self.places.use(now)

    def serve(self, now: float) -> None:
        """Give free places to those who wait, in turn."""
        while self.turns and self.take(now):
            self.turns.serve()

    def next_at(self, now: float) -> float | None:
        """When somebody may be served again, as far as can be known here."""
        if now < self.paused_until:
            return self.paused_until
        return self.places.next_free_at()

    def active_users(self, now: float) -> int:
        """How many users called within the interval, or wait; at least one."""
        since = now - self.facts.interval
        for user in [user for user, at in self.users.items() if at < since]:
            del self.users[user]
        return max(1, len(self.users), self.turns.users)

    def learn(self, size: int, interval: float) -> bool:
        """Take in what HubSpot's headers say of the size; whether it is new."""
        if self.facts.learnt and (size, interval) == (self.facts.size, self.facts.interval):
            return False
        self.facts = QuotaFacts(size, interval, learnt=True)
        self.places.interval = interval
        self.news = True
        self.known.clear()
        return True

    def adopt(self, facts: QuotaFacts) -> None:
        """Take in what the database knows, which another process learnt."""
        self.facts = facts
        self.places.interval = facts.interval
        if facts.learnt and not self.news:
            self.known.set()

    def refused(self, said: Said, now: float) -> None:
        """HubSpot answered 429: pause, and longer when it does so again."""
        self.strikes += 1
        pause = said.retry_after
        if pause is None:
            pause = min(2.0 ** (self.strikes - 1), self.facts.interval)
        self.paused_until = max(self.paused_until, now + min(pause, 60.0))

    def spend(self, now: float) -> None:
        """The daily limit is used up until the next quarter of an hour, when one call may ask."""
        wall = time.time()
        until_quarter = (math.floor(wall / QUARTER_S) + 1) * QUARTER_S - wall
        self.spent_until = now + until_quarter + 2
        self.spent_news = True

    def wait_for(self, user: UUID, now: float) -> float:
        """Seconds until a new call of this user's could be served, as far as can be known here."""
        size, interval = self.facts.size, self.facts.interval
        at, before = self.next_at(now), self.turns.before(user)
        first = interval / 2 if at is None else max(0.0, at - now)
        # However the places are parted, all of them are free once in an interval.
        return min(first + before * interval / size, max(first, interval * (1 + before // size)))

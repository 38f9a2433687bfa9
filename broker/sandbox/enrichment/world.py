"""What the five vendors share: people, keys with credits, levers, and what was billed."""

import re
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.sandbox.core.simulation import Simulation
from broker.sandbox.enrichment.people import Person

VENDORS = ("hunter", "peopledatalabs", "apollo", "fullcontact", "clearbit")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
MINUTE_S = 60.0


@dataclass(slots=True)
class Levers:
    """What can go wrong. `queued` is how many lookups of each address Clearbit and FullContact
    answer with 202, in the form `queued_form` (`empty`, or `error` with a body). `null_person`
    leaves the person out of a hit; `likelihood` replaces everyone's; `credits` is how many hits
    each vendor still bills (None: without end); `placeholder_email` masks values as Apollo does;
    `opted_out` lists the addresses that get 451. `plan_lacks_api` makes Apollo refuse the plan.
    `second_limit` and `minute_limit` replace the vendors' own.
    """

    queued: int = 0
    queued_form: str = "empty"
    null_person: bool = False
    likelihood: int | None = None
    credits: int | None = None
    placeholder_email: bool = False
    opted_out: list[str] = field(default_factory=list)
    plan_lacks_api: bool = False
    second_limit: int | None = None
    minute_limit: int | None = None


class Enrichment(Simulation):
    """The vendors' state."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.people: dict[str, Person] = {}
        self.keys: dict[str, set[str]] = {vendor: set() for vendor in VENDORS}
        self.billed: dict[str, list[str]] = {vendor: [] for vendor in VENDORS}
        self._queued: dict[tuple[str, str], int] = defaultdict(int)
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def add(self, person: Person) -> Person:
        """Let the vendors know a person."""
        self.people[person.email.lower()] = person
        return person

    def add_key(self, vendor: str, key: str) -> str:
        """Let a vendor accept a key."""
        self.keys[vendor].add(key)
        return key

    def has_key(self, vendor: str, key: str | None) -> bool:
        """Whether a vendor accepts a key."""
        return key is not None and key in self.keys[vendor]

    def find(self, email: str) -> Person | None:
        """The person with an address, in any letter case."""
        return self.people.get(email.strip().lower())

    def bill(self, vendor: str, email: str) -> bool:
        """Bill a hit; False when no credits are left."""
        if self.levers.credits is not None:
            if self.levers.credits <= 0:
                return False
            self.levers.credits -= 1
        self.billed[vendor].append(email.lower())
        self.count(f"{vendor}.billed")
        return True

    def is_queued(self, vendor: str, email: str) -> bool:
        """Whether this lookup of an address is answered with 202."""
        self._queued[vendor, email] += 1
        return self._queued[vendor, email] <= self.levers.queued

    def is_opted_out(self, email: str) -> bool:
        """Whether the address's owner has objected."""
        return email.strip().lower() in self.levers.opted_out

    def over(self, vendor: str, a_second: int | None, a_minute: int | None) -> bool:
        """Count a call; whether it is over a limit."""
        a_second = self.levers.second_limit or a_second
        a_minute = self.levers.minute_limit or a_minute
        calls, now = self._calls[vendor], self.now()
        while calls and calls[0] <= now - MINUTE_S:
            calls.popleft()
        second = sum(1 for at in calls if at > now - 1)
        if (a_second and second >= a_second) or (a_minute and len(calls) >= a_minute):
            self.count(f"{vendor}.throttled")
            return True
        calls.append(now)
        return False

    def left(self, vendor: str, a_minute: int) -> tuple[int, int]:
        """The limit of a minute and how many calls are left of it."""
        limit = self.levers.minute_limit or a_minute
        return limit, max(0, limit - len(self._calls[vendor]))

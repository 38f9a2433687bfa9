"""What a backfill may take of an org's day. Salesforce counts the calls of the last 24 hours, of
all programs together, and says so with every answer: `Sforce-Limit-Info: api-usage=18/15000`
(https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_api_usage.htm).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.crm.partners import PartnerAnswer, PartnerCalls, PartnerUser

USAGE = re.compile(r"(?:^|[ ,])api-usage=(\d{1,10})/(\d{1,10})")
DAY, HOUR = timedelta(hours=24), timedelta(hours=1)

MOST_OF_ALL = 0.8
MOST_OF_RECORD = 10
"""Which part of the day must be used by all programs for a backfill to pause; how many calls one
record may cost.
"""

PAUSE_S = 1800.0
"""How long a backfill pauses while others use the day up."""


@dataclass(slots=True)
class CallCount:
    """Calls to an org since the count began; how many calls all programs have made in the last 24
    hours, and may make, as far as an answer has said.
    """

    calls: int = 0
    used: int | None = None
    most: int | None = None


_COUNT: ContextVar[CallCount | None] = ContextVar("org_calls", default=None)


@contextmanager
def counting() -> Iterator[CallCount]:
    """Count this task's calls to an org."""
    count = CallCount()
    token = _COUNT.set(count)
    try:
        yield count
    finally:
        _COUNT.reset(token)


class OrgCalls:
    """Calls to orgs, counted where they should be."""

    def __init__(self, partners: PartnerCalls) -> None:
        self._partners = partners

    async def read(
        self, user: PartnerUser, method: str, target: str, body: Any = None
    ) -> PartnerAnswer:
        """As `PartnerCalls.read`."""
        return _counted(await self._partners.read(user, method, target, body))

    async def send(
        self, user: PartnerUser, method: str, target: str, body: Any, headers: Mapping[str, str]
    ) -> PartnerAnswer:
        """As `PartnerCalls.send`."""
        return _counted(await self._partners.send(user, method, target, body, headers))


def _counted(answer: PartnerAnswer) -> PartnerAnswer:
    count = _COUNT.get()
    if count is not None:
        count.calls += 1
        found = USAGE.search(answer.headers.get("sforce-limit-info", ""))
        if found is not None:
            count.used, count.most = int(found[1]), int(found[2])
    return answer


class Share:
    """The calls that a backfill has made in the last 24 hours, by the hour, and how many it may."""

    def __init__(self, spent: Mapping[str, int], share: float, count: CallCount) -> None:
        self._spent = dict(spent)
        self._share = share
        self._count = count
        self._charged = 0

    @property
    def allowed(self) -> int:
        """How many calls of 24 hours are the backfill's."""
        return max(int((self._count.most or 0) * self._share), MOST_OF_RECORD)

    def spent(self) -> dict[str, int]:
        """What was used, by the beginning of the hour; hours that are over do not count."""
        now = datetime.now(UTC)
        hour = now.replace(minute=0, second=0, microsecond=0).isoformat()
        self._spent[hour] = self._spent.get(hour, 0) + self._count.calls - self._charged
        self._charged = self._count.calls
        over = now - DAY - HOUR
        self._spent = {
            begin: calls
            for begin, calls in self._spent.items()
            if calls and datetime.fromisoformat(begin) > over
        }
        return self._spent

    def pause(self) -> tuple[float, str] | None:
        """For how long the next record must wait, in seconds, and why; None when it need not."""
        spent, most = self.spent(), self._count.most or 0
        if sum(spent.values()) + MOST_OF_RECORD > self.allowed and spent:
            free = datetime.fromisoformat(min(spent)) + DAY + HOUR
            seconds = (free - datetime.now(UTC)).total_seconds()
            return max(seconds, 1.0), "the backfill's share of the org's day is used"
        if (self._count.used or 0) >= most * MOST_OF_ALL:
            return PAUSE_S, "the org's calls of the day are nearly used up"
        return None

"""Which answers are worth another attempt of the same call, and after how long.

A call that may have been executed is repeated only where repeating changes nothing.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from broker.concurrency.backoff import Backoff
from broker.providers.calls.effects import Effect
from broker.providers.calls.limits import RateLimitInfo

MAX_ATTEMPTS = 3
"""How often a call is sent at most."""

LONGEST_S = 5.0
"""The longest `Retry-After` that is waited for; a longer one is the caller's."""

TOO_MANY = 429

BACKOFF = Backoff(first=0.25)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """A provider's answers by what they mean for a repeat.

    `not_executed`: the call was not run, with the least pause in seconds before the next attempt;
    `timed`: those of them that say in `Retry-After` when they end, and are final without it;
    `transient`: the call may have been run. `retryable` is all of them.
    """

    not_executed: Mapping[int, float] = field(default_factory=lambda: {TOO_MANY: 0.0})
    timed: frozenset[int] = frozenset()
    transient: frozenset[int] = frozenset({502, 503, 504, 520, 521, 522, 523, 524})
    retryable: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        """Compute what is looked up for every answer."""
        object.__setattr__(self, "retryable", self.transient | self.not_executed.keys())

    def pause_after(
        self,
        status: int,
        attempts: int,
        limits: RateLimitInfo | None,
        retry_after: float | None,
        *,
        safe: bool,
    ) -> float | None:
        """Seconds to wait before the next attempt; None when the answer should be the caller's.

        `attempts` counts those that were made. After a 429 the wait for quota comes on top.
        """
        if attempts >= MAX_ATTEMPTS or (status in self.transient and not safe):
            return None
        if status == TOO_MANY:
            daily = limits is not None and limits.daily_exhausted
            short = retry_after is None or retry_after <= 2 * LONGEST_S
            return random.uniform(0.02, 0.2) if short and not daily else None  # noqa: S311
        if retry_after is not None and retry_after > LONGEST_S:
            return None
        if status in self.timed and retry_after is None:
            return None
        if least := self.not_executed.get(status, 0.0):
            return max(least, retry_after or 0) + random.uniform(0.05, 0.4)  # noqa: S311
        return (retry_after or 0) + BACKOFF.pause(attempts)


def is_safe_to_retry(method: str, effect: Effect) -> bool:
    """Whether a provider may run a call twice with the same result as once."""
    return effect == "read" or method in {"PUT", "DELETE"}


def pause_unsent(attempts: int) -> float | None:
    """Seconds to wait before the next attempt of a call that never left; None after the last."""
    return BACKOFF.pause(attempts) if attempts < MAX_ATTEMPTS else None

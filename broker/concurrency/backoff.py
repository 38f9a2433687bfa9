"""Pauses between attempts: how long, with how much jitter, and after how many to stop."""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Growing pauses after failures in a row, in seconds.

    The pause after the n-th failure is `first * factor ** (n - 1)`, at most `longest`. `schedule`
    replaces that rule by a list of pauses and bounds the attempts to one more than it has. Each
    pause is multiplied by a random number between the two of `jitter`, so that many who failed
    together do not return together. `attempts` counts the first one too; None means no bound.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = math.inf
    jitter: tuple[float, float] = (0.5, 1.0)
    attempts: int | None = None
    schedule: tuple[float, ...] = ()

    def pause(self, failures: int, at_least: float = 0.0) -> float:
        """Seconds to wait after so many failures in a row (one or more).

        `at_least` is a bound that the other side set, such as a `Retry-After`; it is not shortened.
        """
        return max(self._nominal(failures) * random.uniform(*self.jitter), at_least)  # noqa: S311

    def is_exhausted(self, attempts: int) -> bool:
        """Whether no further attempt follows so many."""
        bound = len(self.schedule) + 1 if self.schedule else self.attempts
        return bound is not None and attempts >= bound

    def _nominal(self, failures: int) -> float:
        if self.schedule:
            return self.schedule[min(failures, len(self.schedule)) - 1]
        # An unbounded exponent overflows a float after a thousand failures.
        return min(self.first * self.factor ** min(failures - 1, 100), self.longest)

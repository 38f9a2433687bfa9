"""Token bucket that bounds the retries of one account's calls."""

import time

PER_CALL = 0.07
"""What a call adds."""

CAPACITY, IDLE_CAPACITY = 5.0, 2.0
"""The most that accumulates; and what a quiet account has anyway, one more each half minute."""

REFILL_S = 30.0


class RetryBudget:
    """Retries left. Over a hundred calls and more, attempts are at most 1.1 times calls."""

    def __init__(self) -> None:
        self._left = IDLE_CAPACITY
        self._at = time.monotonic()

    def record_call(self) -> None:
        """Add what a call earns."""
        if self._left < CAPACITY:
            self._left += PER_CALL

    def spend(self) -> bool:
        """Take one retry, if there is one."""
        now = time.monotonic()
        if self._left < IDLE_CAPACITY:
            self._left = min(IDLE_CAPACITY, self._left + (now - self._at) / REFILL_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

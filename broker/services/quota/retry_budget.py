"""How many second tries an account's calls may cause."""

import time

PER_CALL = 0.07
"""What a call adds."""

MOST, LEAST = 5.0, 2.0
"""What may be saved up; and what a quiet account has anyway, one more each half minute."""

REFILL_S = 30.0


class RetryBudget:
    """Second tries in hand. Over a hundred calls and more, tries are at most 1.1 times calls."""

    def __init__(self) -> None:
        self._left = LEAST
        self._at = time.monotonic()

    def note_call(self) -> None:
        """A call comes in."""
        if self._left < MOST:
            self._left += PER_CALL

    def spend(self) -> bool:
        """Take one second try, if there is one."""
        now = time.monotonic()
        if self._left < LEAST:
            self._left = min(LEAST, self._left + (now - self._at) / REFILL_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

"""A clock that can be moved ahead."""

import time
from collections.abc import Callable


class Clock:
    """The time of a sandbox: `now` is where it begins from, `ahead` how far it was moved."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.ahead = 0.0

    def now(self) -> float:
        """Seconds since 1970 on the sandbox's own clock."""
        return self._now() + self.ahead

    def jump(self, seconds: float) -> None:
        """Move the clock."""
        self.ahead += seconds

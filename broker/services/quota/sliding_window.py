"""The permits of a quota that this process holds: which are free, and when others will be.

A call uses a permit. HubSpot counts the call for an interval (ten seconds, rolling), so the permit
is free again when the interval is over, and a little later: two calls may take unlike times on
their way, and the later must not overtake the earlier one's end. Permits move between processes
only while they are free, so that a permit received may be used at once. Times are seconds on the
caller's clock.
"""

from collections import deque

SLACK = 0.025
"""How much longer than the interval a permit cools down, as a part of it: 0.25 s of 10 s, which is
more than the way to HubSpot takes. It is what the broker leaves unused of a quota."""

LEAST_SLACK_S = 0.08

TICKS = 500
"""Into how many parts an interval is divided, so that a large quota is a short list."""


class SlidingWindow:
    """One process's permits of one quota."""

    def __init__(self, interval: float) -> None:
        self.free = 0
        self.to_return = 0
        self.returnable = 0
        self._cooling_down: deque[list[float]] = deque()
        self._in_use = 0
        self.interval = interval

    @property
    def held(self) -> int:
        """All permits, free or cooling down, less those set aside to be returned."""
        return self.free + self._in_use

    @property
    def in_use(self) -> int:
        return self._in_use

    @property
    def _cool_down(self) -> float:
        return self.interval + max(LEAST_SLACK_S, self.interval * SLACK)

    def sweep(self, now: float) -> None:
        """Free the permits that have cooled down; of them, set aside those to be returned."""
        cooling, ended = self._cooling_down, now - self._cool_down
        while cooling and cooling[0][0] <= ended:
            count = int(cooling.popleft()[1])
            self._in_use -= count
            returned = min(self.to_return, count)
            self.to_return -= returned
            self.returnable += returned
            self.free += count - returned

    def use(self, now: float) -> bool:
        """Take a free permit, if there is one."""
        if not self.free:
            self.sweep(now)
            if not self.free:
                return False
        self.free -= 1
        self._in_use += 1
        if self._cooling_down and self._cooling_down[-1][0] >= now:
            # With the first of its tick, which counts as used at its end.
            self._cooling_down[-1][1] += 1
        else:
            self._cooling_down.append([now + self.interval / TICKS, 1])
        return True

    def next_free_at(self) -> float | None:
        """When a permit will be free again; None when none is in use."""
        return self._cooling_down[0][0] + self._cool_down if self._cooling_down else None

    def return_permits(self, count: int) -> None:
        """Set aside so many permits: free ones now, others as they cool down."""
        free_now = min(self.free, count)
        self.free -= free_now
        self.returnable += free_now
        self.to_return = min(count - free_now, self._in_use)

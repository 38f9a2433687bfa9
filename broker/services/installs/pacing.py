"""A pace for what strangers can cause: so many a second for each subject, none beyond it."""

from uuid import UUID

MAX_SUBJECTS = 10_000


class Pacer:
    """Admits `per_second` for each subject, in bursts of as many; the rest is not admitted."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._burst = 1.0
        self._due: dict[UUID, float] = {}

    def admits(self, subject: UUID, now: float) -> bool:
        """Whether one more may happen now. `now` is in seconds on any steady clock."""
        # The generic cell rate algorithm: one time for each subject says it all.
        due = max(self._due.get(subject, now), now)
        if due - now > self._burst - self._interval:
            return False
        if len(self._due) >= MAX_SUBJECTS:
            self._due = {each: at for each, at in self._due.items() if at > now}
        self._due[subject] = due + self._interval
        return True

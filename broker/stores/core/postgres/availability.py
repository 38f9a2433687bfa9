"""Whether Postgres answers, as the last statements found; a line in the log when it changes."""

import logging
import time

from broker.errors import Busy
from broker.stores.core.postgres.failures import (
    FULL,
    LOCKED,
    LOST_SESSION,
    READ_ONLY,
    SESSIONS,
    reason_of,
)

log = logging.getLogger(__name__)

REPEAT_S = 30.0
"""How often a reason that goes on is logged again, with a count, while Postgres answers."""

RECENT_S = 10.0
"""How long a refused write counts as a problem that may go on."""

SETTLED_S = 0.5
"""How long after the last failed connection a success means that Postgres is back."""

DETAILS = {
    LOCKED: "Another change of the same record is under way. Retry later.",
    READ_ONLY: "The database does not accept writes at the moment. Retry later.",
    FULL: "The database has run out of disk or memory. Retry later.",
}


class Availability:
    """What is known about Postgres in this process."""

    def __init__(self) -> None:
        self._down_since: float | None = None
        self._failed_at = 0.0
        self._failures = 0
        self._refusing: str | None = None
        self._refused_at = 0.0
        self._counts: dict[str, int] = {}
        self._logged_at: dict[str, float] = {}

    @property
    def problem(self) -> str | None:
        """Why statements fail, in a word; None when the last ones did not."""
        if self._down_since is not None:
            return "unreachable"
        recent = time.monotonic() - self._refused_at < RECENT_S
        return self._refusing if recent else None

    def not_connected(self, error: BaseException) -> Busy:
        """Note that no session could be opened; the refusal for whoever needed it."""
        if reason_of(error) == SESSIONS:
            self.refused(SESSIONS)
            return Busy()
        self._failed_at = time.monotonic()
        self._failures += 1
        if self._down_since is None:
            self._down_since = self._failed_at
            log.warning(
                "database_unavailable",
                extra={"reason": reason_of(error), "error": type(error).__name__},
            )
        return Busy()

    def statement_failed(self, error: BaseException) -> Busy:
        """Note that Postgres did not do a statement; the refusal for whoever needed it."""
        reason = reason_of(error)
        if reason in {READ_ONLY, FULL}:
            self._refusing, self._refused_at = reason, time.monotonic()
        level = logging.INFO if reason in {LOCKED, LOST_SESSION} else logging.WARNING
        self.refused(reason, level)
        return Busy(DETAILS.get(reason))

    def refused(self, reason: str, level: int = logging.WARNING) -> None:
        """Log why something was refused, each reason at most once in a while."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        now = time.monotonic()
        if self._down_since is not None or now - self._logged_at.get(reason, -REPEAT_S) < REPEAT_S:
            return
        log.log(
            level, "database_refused", extra={"reason": reason, "times": self._counts.pop(reason)}
        )
        self._logged_at[reason] = now

    def answered(self, *, written: bool = False) -> None:
        """Note that Postgres answered; `written` that it took a change."""
        if written and self._refusing is not None:
            log.info("database_accepts_writes", extra={"reason": self._refusing})
            self._logged_at.pop(self._refusing, None)
            self._refusing = None
        if self._down_since is None:
            return
        now = time.monotonic()
        if now - self._failed_at >= SETTLED_S:
            log.info(
                "database_available",
                extra={"after_s": round(now - self._down_since, 1), "failures": self._failures},
            )
            self._down_since, self._failures = None, 0

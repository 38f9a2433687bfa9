"""File descriptors, of which every connection costs one: as many as the system allows, some of them
reserved for connections to HubSpot and Postgres.
"""

import logging
import sys
import time
from collections.abc import Iterable
from typing import Protocol

from prometheus_client import Counter

log = logging.getLogger(__name__)

RESERVED = 256
"""How many descriptors callers' connections leave free; of a low limit, a quarter."""

MAX_LIMIT = 1_048_576
"""The limit that is set where the system has none."""

SHED_FRACTION = 64
"""One in so many connections is shed at a time, so that a flood costs one look for many."""

LOG_INTERVAL_S = 10.0


class Sheddable(Protocol):
    """A caller's connection."""

    @property
    def silent_since(self) -> tuple[bool, float] | None:
        """Whether it has ever sent a request, and when it was last heard; None while a request is
        under way.
        """

    def shed(self) -> None: ...


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one; the limit that holds."""
    if sys.platform == "win32":
        return MAX_LIMIT
    import resource  # noqa: PLC0415  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_LIMIT if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return min(soft, MAX_LIMIT) if soft != resource.RLIM_INFINITY else MAX_LIMIT
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # some systems have a lower limit than they report
        return soft
    return wanted


class DescriptorGuard:
    """Closes callers' longest silent connections when descriptors run short.

    A new descriptor is the lowest free one, so its number says how many are open at least.
    """

    def __init__(self, limit: int, shed: Counter) -> None:
        """`limit`: how many the process may have open. `shed` counts what was closed."""
        self._highest = limit - min(RESERVED, limit // 4)
        self._shed = shed
        self._unreported = 0
        self._reported_at = -LOG_INTERVAL_S

    def runs_short(self, descriptor: int) -> bool:
        """Whether a descriptor that was just opened is one of the last."""
        return descriptor >= self._highest

    def make_room(self, connection: Sheddable, others: Iterable[Sheddable]) -> None:
        """Shed some of the others for a new connection; or itself, where all are busy."""
        silent = [
            (since, each)
            for each in others
            if each is not connection and (since := each.silent_since) is not None
        ]
        silent.sort(key=lambda pair: pair[0])
        chosen = [each for _, each in silent[: len(silent) // SHED_FRACTION + 1]] or [connection]
        for each in chosen:
            each.shed()
        self._report(len(chosen))

    def _report(self, count: int) -> None:
        self._shed.inc(count)
        self._unreported += count
        now = time.monotonic()
        if now - self._reported_at >= LOG_INTERVAL_S:
            log.warning("connections_shed", extra={"connections": self._unreported})
            self._unreported, self._reported_at = 0, now

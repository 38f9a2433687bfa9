"""Ids in the order of time: UUIDv7 (RFC 9562), whose first 48 bits are milliseconds since 1970."""

import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

RANDOM_BITS = 74
TIME_SHIFT = 80
"""Where the time stands in the 128 bits; version and variant are among the bits below."""

LAST_MS = 2**48 - 1
MAX_AHEAD_MS = 60_000
"""How far ids may run ahead of the clock to stay in order after it was put back."""

LAST_ID = UUID(int=2**128 - 1)
"""After every id."""


class IdSequence:
    """Ids of one process, each greater than the one before, also within a millisecond and after the
    clock was put back by less than a minute. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, now_ms: int) -> UUID:
        """The next id, at a time in milliseconds since 1970."""
        # Half of the random numbers: those that count up from one stay within its millisecond.
        fresh = now_ms << RANDOM_BITS | secrets.randbits(RANDOM_BITS - 1)
        with self._lock:
            if (self._last >> RANDOM_BITS) - now_ms > MAX_AHEAD_MS:
                self._last = 0
            self._last = max(fresh, self._last + 1)
            value = self._last
        high, low = value >> 62, value & (2**62 - 1)
        return UUID(int=high >> 12 << TIME_SHIFT | 7 << 76 | (high & 0xFFF) << 64 | 2 << 62 | low)


_ids = IdSequence()


def uuid7() -> UUID:
    """An id of now."""
    return _ids.next(time.time_ns() // 1_000_000)


def another_uuid7_of(value: UUID) -> UUID:
    """Another id of the same millisecond."""
    other = uuid4().int & (1 << TIME_SHIFT - 4) - 1
    return UUID(int=value.int >> TIME_SHIFT << TIME_SHIFT | 7 << TIME_SHIFT - 4 | other)


def first_id(moment: datetime) -> UUID:
    """The least id of a moment, which is cut up to the whole millisecond: ids of this moment and
    later are not less, earlier ones are.
    """
    milliseconds = -((EPOCH - moment) // MILLISECOND)
    return UUID(int=min(max(milliseconds, 0), LAST_MS) << TIME_SHIFT)


def ids_of_the_same_moment(value: UUID) -> tuple[UUID, UUID]:
    """The least and the greatest id of an id's millisecond."""
    first = value.int >> TIME_SHIFT << TIME_SHIFT
    return UUID(int=first), UUID(int=first | (1 << TIME_SHIFT) - 1)


def time_of(value: UUID) -> datetime:
    """When an id was made, to the millisecond; the last moment of the calendar for one beyond."""
    try:
        return EPOCH + (value.int >> TIME_SHIFT) * MILLISECOND
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)

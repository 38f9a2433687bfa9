"""When events say that a grant ends: 30, 7 and 1 days ahead, each once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.domain.grants import Tokens

AHEAD = tuple(timedelta(days=days) for days in (30, 7, 1))


@dataclass(frozen=True, slots=True)
class EndNotice:
    """What is to be said now and when to look again. `ends_at` is None where nothing is to be said:
    the end has moved away meanwhile. `why` is lifetime, for an end that nothing moves, or idle.
    """

    ends_at: datetime | None
    why: str
    next_at: datetime | None


def first_notice(tokens: Tokens) -> timedelta | None:
    """After how long the end of new tokens' grant is first to be said; None for a grant without an
    end. An end that each renewal moves is not said before half of its time is over.
    """
    waits = []
    if (idle := tokens.refresh_expires_in) is not None:
        end = timedelta(seconds=idle)
        waits += [end - ahead for ahead in AHEAD if end - ahead >= end / 2]
    if (life := tokens.ends_in) is not None:
        end = timedelta(seconds=life)
        waits += [end - ahead for ahead in AHEAD if end > ahead]
    return min(waits, default=None)


def notice_of(now: datetime, idle_end: datetime | None, final_end: datetime | None) -> EndNotice:
    """What a notice that is due says, by the ends of the grant as they are now."""
    ends = [end for end in (idle_end, final_end) if end is not None]
    if not ends:
        return EndNotice(None, "", None)
    end = min(ends)
    # What is left of an idle time ends with the lifetime: providers count both to the second.
    final = final_end is not None and final_end - end < timedelta(hours=1)
    later = [each - ahead for each in ends for ahead in AHEAD if each - ahead > now]
    near = end - now <= max(AHEAD)
    return EndNotice(
        end if near else None, "lifetime" if final else "idle", min(later, default=None)
    )

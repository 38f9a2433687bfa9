"""Limits on calls, as providers announce them."""

from collections.abc import Mapping
from dataclasses import dataclass

MAX_DIGITS = 4_300
"""Of more, Python makes no number."""

LARGEST = 2_000_000_000


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """A limit that a provider counts apart from its others.

    `size` and `interval` (seconds) hold until answers announce others; where `announced` is false
    they never do. `smallest` is the smallest limit that the provider documents: it holds after a
    429 that names no limit.
    """

    kind: str
    size: int
    interval: float
    announced: bool = False
    smallest: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class RateLimitInfo:
    """What an answer says of limits. `refused_by` names the limit of a refusal (empty for a refusal
    that names none), None for an answer that refuses nothing. `resets_in` is the seconds until an
    exhausted daily limit is whole again, None where the provider does not say.
    """

    size: int | None
    interval: float
    daily_exhausted: bool
    refused_by: str | None
    retry_after: float | None
    resets_in: float | None = None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a `Retry-After`, if there is one in seconds."""
    return number(headers.get("retry-after", ""))


def number(text: str) -> int | None:
    """A count in a header; None for anything else than ASCII digits."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        return None
    return min(int(text), LARGEST) if len(text) <= MAX_DIGITS else LARGEST

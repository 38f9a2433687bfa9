"""What HubSpot says of its limits: which calls it counts together, and what its headers and its 429
tell.

Sources: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines (sizes,
intervals, headers, that searches are counted apart and say nothing of it in their headers).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from broker.providers.hubspot.destination import decoded

Kind = Literal["calls", "search"]

LARGEST = 2_000_000_000

ASSUMED: dict[Kind, tuple[int, float]] = {"calls": (LARGEST, 10.0), "search": (5, 1.0)}
"""Size and seconds until HubSpot's headers say otherwise. A search's never do; any other answer
without them is to a call that HubSpot does not count."""

SMALLEST = 100, 10.0
"""The smallest limit on calls that HubSpot documents: what holds when a 429 is all that it says."""

SEARCH = re.compile(r"/crm/.*/search/*$")
OTHER_LIMITS = re.compile(r"/associations(/|$)")
"""Calls with further limits of their own, whose headers may speak of those."""

MAX = "x-hubspot-ratelimit-max"
INTERVAL = "x-hubspot-ratelimit-interval-milliseconds"
DAILY_LEFT = "x-hubspot-ratelimit-daily-remaining"


def kind_of(method: str, target: str) -> Kind:
    """Which of HubSpot's limits counts a call."""
    if method != "POST" or "search" not in target:
        return "calls"
    return "search" if SEARCH.match(decoded(target.partition("?")[0])) else "calls"


@dataclass(frozen=True, slots=True)
class RateLimitInfo:
    """What an answer tells of limits. `refused_by` is the policy that a 429 names (`DAILY`,
    `SECONDLY`, `TEN_SECONDLY_ROLLING`; empty for a 429 that names none), None without a 429.
    """

    size: int | None
    interval: float
    daily_spent: bool
    refused_by: str | None
    retry_after: float | None


def read_rate_limit(
    target: str, status: int, headers: Mapping[str, str], body: bytes
) -> RateLimitInfo | None:
    """What an answer tells of limits, None when nothing. Names in `headers` have no case; `body`
    is looked at in a 429 only.
    """
    most, daily_left = headers.get(MAX), headers.get(DAILY_LEFT)
    if status == 429:
        policy = _policy(body)
        said = _read(most, headers.get(INTERVAL), daily_left)
        return replace(
            said,
            daily_spent=said.daily_spent or policy == "DAILY",
            refused_by=policy,
            retry_after=retry_after(headers),
        )
    if most is None and daily_left is None:
        return None
    return _read(None if OTHER_LIMITS.search(target) else most, headers.get(INTERVAL), daily_left)


@lru_cache(maxsize=256)
def _read(most: str | None, interval: str | None, daily_left: str | None) -> RateLimitInfo:
    return RateLimitInfo(
        (_number(most or "") or None),
        (_number(interval or "") or 10_000) / 1000,
        daily_left is not None and daily_left.strip() == "0",
        None,
        None,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a `Retry-After`, if there is one in seconds."""
    return _number(headers.get("retry-after", ""))


def _policy(body: bytes) -> str:
    try:
        said = json.loads(body)
        return str(said.get("policyName", "")).upper() if isinstance(said, dict) else ""
    except (ValueError, RecursionError):
        return ""


def _number(text: str) -> int | None:
    text = text.strip()
    return min(int(text), LARGEST) if text.isascii() and text.isdecimal() else None

"""Which of HubSpot's limits counts a call, what its headers and its 429 say of them, and which of
its answers may be repeated.

Sources: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines (sizes,
intervals, headers, and that searches are counted apart and have no headers);
https://developers.hubspot.com/docs/api-reference/error-handling (423 lasts two seconds, 477 says in
`Retry-After` when it ends, 502 to 504 and 52x pass in seconds); the retry rules of HubSpot's SDKs.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from broker.providers.calls.destination import decoded
from broker.providers.calls.limits import (
    LARGEST,
    QuotaLimit,
    RateLimitInfo,
    number,
    retry_after,
)
from broker.providers.calls.retrying import RetryRules

CALLS = QuotaLimit("calls", LARGEST, 10.0, announced=True, smallest=(100, 10.0))
"""Every call but a search. HubSpot does not count calls whose answers are without its headers."""

SEARCH = QuotaLimit("search", 5, 1.0)

RETRIES = RetryRules(not_executed={423: 2.0, 429: 0.0, 477: 0.0}, timed=frozenset({477}))

SEARCH_PATH = re.compile(r"/crm/.*/search/*$")
OTHER_LIMITS = re.compile(r"/associations(/|$)")
"""Calls with further limits of their own, whose headers may speak of those."""

MAX = "x-hubspot-ratelimit-max"
INTERVAL = "x-hubspot-ratelimit-interval-milliseconds"
DAILY_LEFT = "x-hubspot-ratelimit-daily-remaining"


def quota_of(method: str, target: str) -> QuotaLimit:
    """The limit that counts a call."""
    if method != "POST" or "search" not in target:
        return CALLS
    return SEARCH if SEARCH_PATH.match(decoded(target.partition("?")[0])) else CALLS


def read_rate_limit(
    target: str, status: int, headers: Mapping[str, str], body: bytes
) -> RateLimitInfo | None:
    """What an answer says of limits, None when nothing. Names in `headers` are in lower case;
    `body` counts in a 429 only. The policies that a 429 names are `DAILY`, `SECONDLY` and
    `TEN_SECONDLY_ROLLING`.
    """
    most, daily_left = headers.get(MAX), headers.get(DAILY_LEFT)
    if status == 429:
        policy = _policy(body)
        info = _read(most, headers.get(INTERVAL), daily_left)
        return replace(
            info,
            daily_exhausted=info.daily_exhausted or policy == "DAILY",
            refused_by=policy,
            retry_after=retry_after(headers),
        )
    if most is None and daily_left is None:
        return None
    return _read(None if OTHER_LIMITS.search(target) else most, headers.get(INTERVAL), daily_left)


@lru_cache(maxsize=256)
def _read(most: str | None, interval: str | None, daily_left: str | None) -> RateLimitInfo:
    return RateLimitInfo(
        (number(most or "") or None),
        (number(interval or "") or 10_000) / 1000,
        daily_left is not None and daily_left.strip() == "0",
        None,
        None,
    )


def _policy(body: bytes) -> str:
    try:
        payload = json.loads(body)
        return str(payload.get("policyName", "")).upper() if isinstance(payload, dict) else ""
    except (ValueError, RecursionError):
        return ""

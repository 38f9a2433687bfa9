"""Xero's APIs: limits, what answers mean, paths for the log. No I/O.

Source: Xero's page on limits: for an organisation 60 calls a minute, 5 at a time and a number a day
that depends on the tier; 10,000 a minute for an app. Sizes are not announced; what is left is.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from broker.providers.calls.destination import decoded
from broker.providers.calls.limits import QuotaLimit, RateLimitInfo, retry_after
from broker.providers.calls.retrying import RetryRules

API_URL = "https://api.xero.com"

TENANT = "Xero-Tenant-Id"

CALLS = QuotaLimit("calls", 60, 60.0)

RETRIES = RetryRules()

PROBLEM = "x-rate-limit-problem"
DAY_LEFT = "x-daylimit-remaining"

ENDED = (b"TokenExpired", b"AuthenticationUnsuccessful")
"""What a 401 says of a token that is over; `AuthorizationUnsuccessful` is a missing scope."""

FIRST = re.compile(r"[a-z]{2,20}\.xro|connections", re.IGNORECASE)
VERSION = re.compile(r"\d{1,2}\.\d{1,2}")
WORD = re.compile(r"[A-Za-z]{2,30}")


def rejects_token(status: int, body: bytes) -> bool:
    """Whether a refusal says that the token ran out, which a renewal cures."""
    return status == 401 and any(sign in body for sign in ENDED)


def read_rate_limit(status: int, headers: Mapping[str, str]) -> RateLimitInfo | None:
    """What an answer says of limits. A 429 names the one that is reached: `minute`, `day`,
    `concurrent` or `appminute`, with the seconds until it is whole again.
    """
    wait = retry_after(headers)
    if status == 429:
        problem = headers.get(PROBLEM, "").lower()
        daily = problem == "day"
        return RateLimitInfo(
            None, 60.0, daily, problem.upper(), None if daily else wait, wait if daily else None
        )
    if headers.get(DAY_LEFT, "").strip() == "0":
        return RateLimitInfo(None, 60.0, True, None, None)
    return None


@lru_cache(maxsize=4096)
def template_of(path: str) -> str:
    """The template of a raw path: an API with its version, then a resource's name and words."""
    parts = [part.partition(";")[0] for part in decoded(path).split("/") if part][:8]
    return "/" + "/".join(
        part if _stays(place, part) else "{id}" for place, part in enumerate(parts)
    )


def _stays(place: int, part: str) -> bool:
    pattern = {0: FIRST, 1: VERSION, 2: WORD, 4: WORD}.get(place)
    return pattern is not None and pattern.fullmatch(part) is not None

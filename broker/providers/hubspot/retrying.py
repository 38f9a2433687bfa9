"""Which answers of HubSpot are worth another try of the same call, and after how long.

Sources: https://developers.hubspot.com/docs/api-reference/error-handling (423 lasts two seconds,
477 tells its end in `Retry-After`, 502 to 504 and 52x pass in seconds) and the retry rules of
HubSpot's own SDKs. A call that may have been run is repeated only when repeating changes nothing.
"""

import random

from broker.providers.hubspot.limits import RateLimitInfo
from broker.providers.hubspot.policy import Effect

MAX_ATTEMPTS = 3
"""How often a call is sent at most."""

LONGEST_S = 5.0
"""The longest `Retry-After` that is waited for; a longer one is the caller's."""

LOCKED, MIGRATING, TOO_MANY = 423, 477, 429
NOT_EXECUTED = frozenset({LOCKED, MIGRATING, TOO_MANY})
"""Answers that say that the call was not run."""

TRANSIENT = frozenset({502, 503, 504, 520, 521, 522, 523, 524})
RETRYABLE = NOT_EXECUTED | TRANSIENT


def is_safe_to_retry(method: str, effect: Effect) -> bool:
    """Whether HubSpot may run a call twice with the same result as once."""
    return effect == "read" or method in {"PUT", "DELETE"}


def pause_after(
    status: int, tries: int, limits: RateLimitInfo | None, retry_after: float | None, *, safe: bool
) -> float | None:
    """Seconds to wait before the next try; None when the answer should be the caller's.

    `tries` counts those that were made. After a 429 the wait for quota comes on top.
    """
    if tries >= MAX_ATTEMPTS or (status in TRANSIENT and not safe):
        return None
    if status == TOO_MANY:
        daily = limits is not None and limits.daily_spent
        patient = retry_after is None or retry_after <= 2 * LONGEST_S
        return random.uniform(0.02, 0.2) if patient and not daily else None  # noqa: S311
    if retry_after is not None and retry_after > LONGEST_S:
        return None
    if status == LOCKED:
        return max(2.0, retry_after or 0) + random.uniform(0.05, 0.4)  # noqa: S311
    if status == MIGRATING and retry_after is None:
        return None
    return (retry_after or 0) + backoff(tries)


def pause_unsent(tries: int) -> float | None:
    """Seconds to wait before the next try of a call that never left; None after the last."""
    return backoff(tries) if tries < MAX_ATTEMPTS else None


def backoff(tries: int) -> float:
    """A growing pause with jitter, so that many who failed together do not return together."""
    return random.uniform(0.5, 1.0) * 0.25 * 2.0 ** (tries - 1)  # noqa: S311

"""QuickBooks' accounting API: hosts, limits, what its answers mean, paths for the log. No I/O.

Sources: Intuit's pages on limits (500 calls a minute for a company, 10 a second and 40 batches a
minute for a company and an app) and errors; python-quickbooks #250 and #83 for the gateway's
refusals, which come in an envelope of their own.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from broker.providers.calls.destination import decoded
from broker.providers.calls.effects import Effect, effect_of_method
from broker.providers.calls.limits import QuotaLimit, RateLimitInfo, retry_after
from broker.providers.calls.retrying import RetryRules

HOSTS = {
    "production": "https://quickbooks.api.intuit.com",
    "sandbox": "https://sandbox-quickbooks.api.intuit.com",
}
"""The API by the app's environment. Development keys work in the sandbox only."""

MINOR_VERSION = 75
"""The oldest that is served since August 2025; older ones are answered as this one."""

CALLS = QuotaLimit("calls", 8, 1.0)
"""Eight a second keep 480 a minute: within both limits, and without a second count."""

BATCHES = QuotaLimit("batches", 40, 60.0)

THROTTLE_S = 60.0
"""How long to wait after a refusal: Intuit promises no `Retry-After`, and counts minutes."""

RETRIES = RetryRules()

READING_POST = re.compile(r"/v3/company/[^/]+/query/*$", re.IGNORECASE)
BATCH = re.compile(r"/v3/company/[^/]+/batch/*$", re.IGNORECASE)

EXPIRED = (b"3200", b'"code":"100"', b'code="100"')
"""Token expired or malformed, in JSON or XML."""

WORD = re.compile(r"[A-Za-z]{2,30}")


def effect_of(method: str, target: str) -> Effect:
    """What a call does: a posted query only reads. A deletion is a POST with `operation=delete`."""
    if method != "POST":
        return effect_of_method(method)
    path, _, query = target.partition("?")
    if READING_POST.search(decoded(path)):
        return "read"
    return "delete" if "operation=delete" in decoded(query).lower() else "write"


def quota_of(target: str) -> QuotaLimit:
    """The limit that counts a call."""
    return BATCHES if BATCH.search(decoded(target.partition("?")[0])) else CALLS


def rejects_token(status: int, body: bytes) -> bool:
    """Whether a refusal says that the token ran out, which a renewal cures."""
    return status == 401 and any(sign in body for sign in EXPIRED)


def read_rate_limit(status: int, headers: Mapping[str, str]) -> RateLimitInfo | None:
    """What an answer says of limits: only refusals do."""
    if status != 429:
        return None
    return RateLimitInfo(None, 60.0, False, "THROTTLE", retry_after(headers) or THROTTLE_S)


@lru_cache(maxsize=4096)
def template_of(path: str) -> str:
    """The template of a raw path: `/v3/company/{id}`, then an entity's name and words in turn."""
    parts = [part.partition(";")[0] for part in decoded(path).split("/") if part][:8]
    shown = [
        part if (place < 2 and part in {"v3", "company"}) or _is_word(place, part) else "{id}"
        for place, part in enumerate(parts)
    ]
    return "/" + "/".join(shown)


def _is_word(place: int, part: str) -> bool:
    return place in {3, 5} and WORD.fullmatch(part) is not None

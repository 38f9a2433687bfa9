"""Salesforce's REST API: what calls do, limits, what its refusals mean, paths for the log. No I/O.

Sources: REST API Developer Guide, "Status Codes and Error Responses", "Composite Resources", "Limit
Info Header"; "API Request Limits and Allocations" (calls are counted over the last 24 hours).
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from broker.providers.calls.destination import decoded
from broker.providers.calls.effects import Effect, effect_of_method, plain_path
from broker.providers.calls.limits import QuotaLimit, RateLimitInfo, number, retry_after
from broker.providers.calls.retrying import RetryRules

VERSION = "66.0"
"""The API version of the broker's own requests; 31.0 to 68.0 are served."""

CALLS = QuotaLimit("calls", 250, 1.0)
"""Salesforce counts days and calls that run at the same time, not seconds: a size that no org meets
in a day of such calls, so that it only evens out bursts."""

RETRIES = RetryRules()

CONCURRENT_WAIT_S = 2.0
"""How long to wait for one of the calls that run for more than 20 seconds to end."""

USAGE = re.compile(r"(?:^|[ ,])api-usage=(\d{1,10})/(\d{1,10})")

PEEKED = frozenset({401, 403, 404})
"""Refusals that are looked into."""

METHOD_OVERRIDE = "_httpmethod"

DELETING = re.compile(
    r"""(?ix)
    /services/(
        data/v[\d.]+/(
            composite(/batch|/graph)?
          | graphql
          | jobs/ingest(/.*)?
          | tooling/(executeAnonymous|runTests(As|S)ynchronous|composite(/batch|/graph)?)
        )
      | soap/.*
      | async/.*
      | oauth2/revoke
    )/*
    """
)
"""What may delete, whatever the method: requests that hold others, and code that is executed."""

READING_POST = re.compile(r"(?i)/services/data/v[\d.]+/(parameterizedsearch|search)/*")

KNOWN = frozenset(
    re.findall(
        r"\S+",
        """
    services data async apexrest soap oauth2 sobjects query queryall search parameterizedsearch
    describe updated deleted limits recent tabs theme composite tree batch graph collections jobs
    ingest results failedresults successfulresults unprocessedrecords actions standard custom
    invocable tooling analytics reports dashboards ui-api graphql process rules approvals
    quickactions layouts compactlayouts listviews relevantitems userinfo introspect knowledge
    chatter connect wave metadata executeanonymous blob
    """,
    )
)
"""Words of Salesforce's paths (its REST API reference), in lower case."""

OBJECT = re.compile(r"[A-Z][A-Za-z0-9]{1,39}")
NUMBER = re.compile(r"v?\d{1,3}\.\d")


def effect_of(method: str, target: str) -> Effect:
    """What a call does; the gravest that it may do where it holds other requests or code."""
    path = plain_path(target)
    # A server that decodes before it looks for the query would see a shorter path.
    if DELETING.fullmatch(path) or DELETING.fullmatch(re.split("[?#]", path, maxsplit=1)[0]):
        return "delete"
    if method == "POST" and READING_POST.fullmatch(path):
        return "read"
    return effect_of_method(method)


def token_header(target: str) -> str:
    """Where a call's token goes: the first Bulk API has a header of its own."""
    is_bulk = plain_path(target).lower().startswith("/services/async/")
    return "X-SFDC-Session" if is_bulk else "Authorization"


def rejects_token(method: str, status: int, body: bytes) -> bool:
    """Whether a refusal says that the session is over or the org has moved: both are cured by the
    next token answer. The answer to a HEAD says nothing.
    """
    if status == 401:
        return method == "HEAD" or b"INVALID_SESSION_ID" in body or b"InvalidSessionId" in body
    return status == 404 and b"URL_NOT_RESET" in body


def read_rate_limit(status: int, headers: Mapping[str, str], body: bytes) -> RateLimitInfo | None:
    """What an answer says of limits, None when nothing.

    The day's calls are those of the last 24 hours, so that some come back all the time; Salesforce
    does not say when.
    """
    if status == 403 and b"REQUEST_LIMIT_EXCEEDED" in body:
        if b"Concurrent" in body:
            wait = retry_after(headers) or CONCURRENT_WAIT_S
            return RateLimitInfo(None, 1.0, False, "CONCURRENT", wait)
        return RateLimitInfo(None, 1.0, True, "DAILY", None)
    if status == 429:
        return RateLimitInfo(None, 1.0, False, "", retry_after(headers))
    usage = headers.get("sforce-limit-info")
    found = None if usage is None else USAGE.search(usage)
    if found is None:
        return None
    used, most = number(found[1]), number(found[2])
    exhausted = bool(most) and (used or 0) >= (most or 0)
    return RateLimitInfo(None, 1.0, exhausted, None, None) if exhausted else None


@lru_cache(maxsize=4096)
def template_of(path: str) -> str:
    """The template of a raw path: Salesforce's words, versions and names of objects stay."""
    parts = [part.partition(";")[0] for part in decoded(path).split("/") if part][:12]
    shown: list[str] = []
    for part in parts:
        after = shown[-1].lower() if shown else ""
        is_object = after == "sobjects" and OBJECT.fullmatch(part) is not None
        stays = is_object or part.lower() in KNOWN or NUMBER.fullmatch(part) is not None
        shown.append(part if stays else "{id}")
    return "/" + "/".join(shown)

"""Hunter's combined enrichment, which answers in Clearbit's shape (https://hunter.io/api-documentation).

Its 403 is the rate limit and its 429 the plan's quota, the other way round than elsewhere.
"""

from typing import Any

from broker.providers.enrichment.base import (
    EnrichmentVendor,
    Later,
    Lookup,
    LookupRequest,
    LookupResponse,
    LookupResult,
    NotFound,
    Refused,
    message_of,
    object_at,
    throttled,
    unavailable,
)
from broker.providers.enrichment.clearbit import read_combined

SEARCHING_S = 60.0
CALLS_A_MINUTE = 75
"""Fifteen may come in one second, which is Hunter's limit; a minute's is 500."""


def request(lookup: Lookup) -> LookupRequest:
    return LookupRequest("GET", "/v2/combined/find", {"email": lookup.email})


def read(response: LookupResponse) -> LookupResult:
    fields, status = response.fields, response.status
    message = _message(fields)
    if status == 200:
        data = object_at(fields, "data") or fields
        if "person" in data or "company" in data:
            return read_combined(data)
    if status == 202:
        return Later(SEARCHING_S)
    if status == 404:
        return NotFound()
    if status == 401:
        return Refused("key", message)
    if status in {402, 429}:
        return Refused("out-of-credits", message)
    if status in {400, 422}:
        return Refused("input", message)
    if status == 451:
        return Refused("opted-out", message)
    if status == 403:
        raise throttled(response, 2.0)
    raise unavailable("Hunter", response)


def _message(fields: dict[str, Any]) -> str:
    errors = fields.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return message_of()
    return message_of(first.get("details"), first.get("code"), first.get("id"))


HUNTER = EnrichmentVendor(
    name="hunter",
    title="Hunter",
    origin="https://api.hunter.io",
    key_header="X-API-KEY",
    calls_a_minute=CALLS_A_MINUTE,
    request=request,
    read=read,
)

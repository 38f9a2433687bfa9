"""Hunter's combined enrichment, which answers in Clearbit's shape (https://hunter.io/api-documentation).

Its 403 is the rate limit and its 429 the plan's quota, the other way round than elsewhere.
"""

from collections.abc import Mapping
from typing import Any

from broker.providers.enrichment.base import (
    EnrichmentVendor,
    Later,
    Lookup,
    LookupRequest,
    LookupResponse,
    LookupResult,
    NotFound,
    Reason,
    message_of,
    object_at,
    refusal,
    throttled,
)
from broker.providers.enrichment.clearbit import read_combined

SEARCHING_S = 60.0
CALLS_A_MINUTE = 75
"""Fifteen may come in one second, which is Hunter's limit; a minute's is 500."""


REASONS: Mapping[int, Reason] = {
    400: "input",
    401: "key",
    402: "out-of-credits",
    422: "input",
    429: "out-of-credits",
    451: "opted-out",
}


def request(lookup: Lookup) -> LookupRequest:
    return LookupRequest("GET", "/v2/combined/find", {"email": lookup.email})


def read(response: LookupResponse) -> LookupResult:
    fields, status = response.fields, response.status
    data = object_at(fields, "data") or fields
    if status == 200 and ("person" in data or "company" in data):
        return read_combined(data)
    if status == 202:
        return Later(SEARCHING_S)
    if status == 404:
        return NotFound()
    if status == 403 and "errors" in fields:  # a firewall before Hunter answers 403 as well
        raise throttled(response, 2.0)
    return refusal("Hunter", response, REASONS, _message(fields))


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

"""FullContact's person enrichment (https://docs.fullcontact.com/docs/person-enrich).

It delays what comes too fast, and bills every repeat.
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
    found,
    handle_of,
    message_of,
    object_at,
    profile_url,
    refusal,
    throttled,
)

QUEUED_S = 60.0
QUOTA_WORDS = ("quota", "credit", "limit", "usage")


REASONS: Mapping[int, Reason] = {
    400: "input",
    401: "key",
    402: "out-of-credits",
    403: "key",
    422: "input",
    451: "opted-out",
}


def request(lookup: Lookup) -> LookupRequest:
    return LookupRequest("POST", "/v3/person.enrich", body={"email": lookup.email})


def read(response: LookupResponse) -> LookupResult:
    fields, status = response.fields, response.status
    if status == 200 and fields:
        return found(_person(fields))
    if status == 202:
        return Later(QUEUED_S)
    if status in {404, 410}:
        return NotFound()
    if status in {429, 503}:
        raise throttled(response, 10.0)
    message = message_of(fields.get("message"))
    is_quota = status == 403 and any(word in message.lower() for word in QUOTA_WORDS)
    reasons = {**REASONS, 403: "out-of-credits"} if is_quota else REASONS
    return refusal("FullContact", response, reasons, message)


def _person(fields: dict[str, Any]) -> dict[str, Any]:
    details = object_at(fields, "details")
    name = object_at(details, "name")
    places = details.get("locations")
    place = places[0] if isinstance(places, list) and places else {}
    place = place if isinstance(place, dict) else {}
    return {
        "first_name": name.get("given"),
        "last_name": name.get("family"),
        "full_name": fields.get("fullName"),
        "job_title": fields.get("title"),
        "company_name": fields.get("organization"),
        "city": place.get("city"),
        "state": place.get("region"),
        "country": place.get("country"),
        "country_code": place.get("countryCode"),
        "linkedin_url": profile_url("www.linkedin.com/in", fields.get("linkedin")),
        "twitter_handle": handle_of(fields.get("twitter")),
        "website": fields.get("website"),
        "bio": fields.get("bio"),
    }


FULLCONTACT = EnrichmentVendor(
    name="fullcontact",
    title="FullContact",
    origin="https://api.fullcontact.com",
    key_header="Authorization",
    key_prefix="Bearer ",
    calls_a_minute=60,
    request=request,
    read=read,
)

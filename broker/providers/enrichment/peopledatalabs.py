"""People Data Labs' person enrichment (https://docs.peopledatalabs.com/docs/person-enrichment-api).

A match is billed, a miss is not; so the least likelihood goes with the request.
"""

import math
from collections.abc import Mapping
from typing import Any

from broker.providers.enrichment.base import (
    EnrichmentVendor,
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

HIGHEST = 10
"""Likelihoods go from 1 to 10."""

REASONS: Mapping[int, Reason] = {
    400: "input",
    401: "key",
    402: "out-of-credits",
    403: "plan",
    405: "input",
    422: "input",
    451: "opted-out",
}


def request(lookup: Lookup) -> LookupRequest:
    likelihood = max(1, math.ceil(round(lookup.min_confidence * HIGHEST, 6)))
    query = {"email": lookup.email, "min_likelihood": str(likelihood)}
    return LookupRequest("GET", "/v5/person/enrich", query)


def read(response: LookupResponse) -> LookupResult:
    fields, status = response.fields, response.status
    if status == 200 and isinstance(fields.get("data"), dict):
        return found(_person(fields["data"]), _confidence(fields.get("likelihood")))
    if status == 404:
        return NotFound()
    if status == 429:
        raise throttled(response, 60.0)
    message = message_of(object_at(fields, "error").get("message"))
    return refusal("People Data Labs", response, REASONS, message)


def _person(data: dict[str, Any]) -> dict[str, Any]:
    levels = data.get("job_title_levels")
    return {
        "first_name": data.get("first_name"),
        "last_name": data.get("last_name"),
        "full_name": data.get("full_name"),
        "job_title": data.get("job_title"),
        "role": data.get("job_title_role"),
        "seniority": levels[0] if isinstance(levels, list) and levels else None,
        "company_name": data.get("job_company_name"),
        "company_domain": data.get("job_company_website"),
        "company_industry": data.get("job_company_industry"),
        "company_size": data.get("job_company_size"),
        "city": data.get("location_locality"),
        "state": data.get("location_region"),
        "country": data.get("location_country"),
        "linkedin_url": profile_url("www.linkedin.com/in", data.get("linkedin_url")),
        "twitter_handle": handle_of(data.get("twitter_username") or data.get("twitter_url")),
        "github_handle": handle_of(data.get("github_username") or data.get("github_url")),
        "bio": data.get("summary"),
    }


def _confidence(likelihood: Any) -> float | None:
    if isinstance(likelihood, bool) or not isinstance(likelihood, int | float):
        return None
    return min(max(likelihood / HIGHEST, 0.0), 1.0)


PEOPLEDATALABS = EnrichmentVendor(
    name="peopledatalabs",
    title="People Data Labs",
    origin="https://api.peopledatalabs.com",
    key_header="X-Api-Key",
    calls_a_minute=100,
    request=request,
    read=read,
)

"""Clearbit's person and company in one answer, which others answer in the same shape
(https://dashboard.clearbit.com/docs, version 2019-12-19; keys of accounts made in 2023 or earlier
still work, new ones are not issued).
"""

from collections.abc import Mapping
from typing import Any

from broker.providers.enrichment.base import (
    EnrichmentVendor,
    Found,
    Later,
    Lookup,
    LookupRequest,
    LookupResponse,
    LookupResult,
    NotFound,
    Reason,
    found,
    message_of,
    object_at,
    profile_url,
    refusal,
    throttled,
)

QUEUED_S = 120.0
"""A queued lookup is ready within minutes."""

FUZZY = 0.5
"""The confidence of a person whom Clearbit marks as a fuzzy match."""

CLOSED = (
    "Clearbit issues no new keys: only those of accounts made in 2023 or earlier work. Check the "
    "key, or choose another vendor."
)


REASONS: Mapping[int, Reason] = {
    400: "input",
    401: "key",
    402: "out-of-credits",
    403: "plan",
    422: "input",
    451: "opted-out",
}


def request(lookup: Lookup) -> LookupRequest:
    return LookupRequest("GET", "/v2/combined/find", {"email": lookup.email})


def read(response: LookupResponse) -> LookupResult:
    fields, status = response.fields, response.status
    error = object_at(fields, "error")
    if status == 202 or error.get("type") == "queued":
        return Later(QUEUED_S)
    if status == 200 and ("person" in fields or "company" in fields):
        return read_combined(fields)
    if status == 404 and error.get("type") == "unknown_record":
        return NotFound()
    if status == 429:
        raise throttled(response, 60.0)
    message = message_of(error.get("message"))
    if status == 401:
        message = f"{CLOSED} It said: {message}"
    return refusal("Clearbit", response, REASONS, message)


def read_combined(fields: Mapping[str, Any]) -> Found | NotFound:
    """A person and a company in Clearbit's shape; either may be null."""
    person, company = object_at(fields, "person"), object_at(fields, "company")
    if not person:
        return NotFound()
    name, job, place = (object_at(person, each) for each in ("name", "employment", "geo"))
    linkedin = object_at(person, "linkedin").get("handle")
    metrics = object_at(company, "metrics")
    return found(
        {
            "first_name": name.get("givenName"),
            "last_name": name.get("familyName"),
            "full_name": name.get("fullName"),
            "job_title": job.get("title"),
            "role": job.get("role"),
            "seniority": job.get("seniority"),
            "company_name": job.get("name") or company.get("name"),
            "company_domain": job.get("domain") or company.get("domain"),
            "company_industry": object_at(company, "category").get("industry"),
            "company_size": metrics.get("employeesRange") or metrics.get("employees"),
            "city": place.get("city"),
            "state": place.get("state"),
            "country": place.get("country"),
            "country_code": place.get("countryCode"),
            "time_zone": person.get("timeZone"),
            "linkedin_url": profile_url("www.linkedin.com/in", linkedin),
            "twitter_handle": object_at(person, "twitter").get("handle"),
            "github_handle": object_at(person, "github").get("handle"),
            "website": person.get("site"),
            "bio": person.get("bio"),
        },
        FUZZY if person.get("fuzzy") is True else None,
    )


CLEARBIT = EnrichmentVendor(
    name="clearbit",
    title="Clearbit",
    origin="https://person.clearbit.com",
    stand_in_path="/person",
    key_header="Authorization",
    key_prefix="Bearer ",
    calls_a_minute=600,
    request=request,
    read=read,
)

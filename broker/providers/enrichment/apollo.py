"""Apollo's people match (https://docs.apollo.io/reference/people-enrichment).

A miss is a 200 with no person or an empty one. Phone numbers are never asked for: they cost eight
credits more and arrive by an unsigned callback.
"""

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

REASONS: Mapping[int, Reason] = {
    400: "input",
    401: "key",
    402: "out-of-credits",
    403: "plan",
    422: "input",
    451: "opted-out",
}


def request(lookup: Lookup) -> LookupRequest:
    body = {
        "email": lookup.email,
        "reveal_personal_emails": False,
        "reveal_phone_number": False,
    }
    return LookupRequest("POST", "/api/v1/people/match", body=body)


def read(response: LookupResponse) -> LookupResult:
    fields, status = response.fields, response.status
    if status == 200 and "person" in fields:
        person = object_at(fields, "person")
        return found(_person(person)) if person else NotFound()
    if status == 429:
        raise throttled(response, 60.0)
    text = response.body[:300].decode(errors="replace")
    message = message_of(fields.get("error"), fields.get("message"), text)
    no_credits = status in {403, 422} and "credit" in message.lower()
    reasons = {**REASONS, status: "out-of-credits"} if no_credits else REASONS
    return refusal("Apollo", response, reasons, message)


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    company = object_at(person, "organization")
    return {
        "first_name": person.get("first_name"),
        "last_name": person.get("last_name"),
        "full_name": person.get("name"),
        "job_title": person.get("title"),
        "seniority": person.get("seniority"),
        "company_name": company.get("name"),
        "company_domain": company.get("primary_domain"),
        "company_industry": company.get("industry"),
        "company_size": company.get("estimated_num_employees"),
        "city": person.get("city"),
        "state": person.get("state"),
        "country": person.get("country"),
        "time_zone": person.get("time_zone"),
        "linkedin_url": profile_url("www.linkedin.com/in", person.get("linkedin_url")),
        "twitter_handle": handle_of(person.get("twitter_url")),
        "github_handle": handle_of(person.get("github_url")),
        "website": company.get("website_url"),
        "bio": person.get("headline"),
    }


APOLLO = EnrichmentVendor(
    name="apollo",
    title="Apollo",
    origin="https://api.apollo.io",
    key_header="x-api-key",
    calls_a_minute=50,
    request=request,
    read=read,
)

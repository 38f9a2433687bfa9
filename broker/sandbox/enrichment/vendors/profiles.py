"""A person in Clearbit's shape, in which Hunter answers too."""

from typing import Any

from broker.sandbox.enrichment.people import Person


def person_profile(person: Person) -> dict[str, Any]:
    """A person as Clearbit's `person` attribute."""
    return {
        "id": f"p-{person.email}",
        "name": {
            "fullName": person.full_name,
            "givenName": person.first_name,
            "familyName": person.last_name,
        },
        "email": person.email,
        "location": ", ".join(filter(None, (person.city, person.state, person.country_code))),
        "timeZone": None,
        "utcOffset": None,
        "geo": {
            "city": person.city or None,
            "state": person.state or None,
            "stateCode": None,
            "country": person.country or None,
            "countryCode": person.country_code or None,
            "lat": None,
            "lng": None,
        },
        "bio": person.bio or None,
        "site": None,
        "avatar": None,
        "employment": {
            "domain": person.domain or None,
            "name": person.company or None,
            "title": person.title or None,
            "role": person.role or None,
            "subRole": None,
            "seniority": person.seniority or None,
        },
        "facebook": {"handle": None},
        "github": {"handle": person.github or None},
        "twitter": {"handle": person.twitter or None},
        "linkedin": {"handle": f"in/{person.linkedin}" if person.linkedin else None},
        "fuzzy": person.fuzzy,
        "emailProvider": False,
        "indexedAt": "2026-08-13T00:00:00.000Z",
    }


def company_profile(person: Person) -> dict[str, Any] | None:
    """A person's employer as Clearbit's `company` attribute; None without one."""
    if not person.domain:
        return None
    return {
        "id": f"c-{person.domain}",
        "name": person.company,
        "domain": person.domain,
        "category": {"industry": person.industry or None},
        "metrics": {"employees": None, "employeesRange": person.size or None},
        "geo": {"city": person.city or None, "country": person.country or None},
    }

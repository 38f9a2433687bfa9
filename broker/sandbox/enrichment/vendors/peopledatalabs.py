"""People Data Labs: `GET /v5/person/enrich`; a miss is 404 and not billed
(https://docs.peopledatalabs.com/docs/reference-person-enrichment-api).
"""

from typing import Any

from aiohttp import web

from broker.sandbox.enrichment.people import Person
from broker.sandbox.enrichment.world import EMAIL, Enrichment

VENDOR = "peopledatalabs"
A_MINUTE = 100
PARAMETERS = {
    "api_key", "email", "min_likelihood", "required", "pretty", "titlecase", "name", "company",
    "first_name", "last_name", "profile", "data_include", "include_if_matched",
}  # fmt: skip
MISS = "No records were found matching your request"
HIGHEST = 10


class PeopleDataLabsEndpoints:
    """People Data Labs' API."""

    def __init__(self, world: Enrichment) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.route("*", "/peopledatalabs/v5/person/enrich", self.enrich),
            web.route("*", "/peopledatalabs/{rest:.*}", self.unknown),
        ]

    async def unknown(self, _request: web.Request) -> web.Response:
        """What is answered for a path that there is not."""
        return _error(404, "not_found", "The requested resource does not exist")

    async def enrich(self, request: web.Request) -> web.Response:
        """The person of an address, from a likelihood on."""
        key = request.headers.get("X-Api-Key") or request.query.get("api_key")
        if not self._world.has_key(VENDOR, key):
            return _error(401, "authentication_error", "Request contained a missing or invalid key")
        if self._world.over(VENDOR, None, A_MINUTE):
            response = _error(
                429,
                "rate_limit_error",
                "An error occurred due to requests hitting the API too quick",
            )
        else:
            response = self._answer(request)
        limit, left = self._world.left(VENDOR, A_MINUTE)
        response.headers["x-ratelimit-limit"] = str(limit)
        response.headers["x-ratelimit-remaining"] = str(left)
        return response

    def _answer(self, request: web.Request) -> web.Response:
        world = self._world
        if request.method != "GET":
            return _error(405, "invalid_request_error", "Request method not allowed")
        unknown = set(request.query) - PARAMETERS
        email = request.query.get("email", "")
        wanted = request.query.get("min_likelihood", "2")
        if unknown or not EMAIL.fullmatch(email):
            return _error(400, "invalid_request_error", "Request contained invalid parameters")
        if not wanted.isdecimal() or not 1 <= int(wanted) <= HIGHEST:
            return _error(400, "invalid_request_error", "min_likelihood must be from 1 to 10")
        if world.is_opted_out(email):
            return _error(451, "unavailable_for_legal_reasons", "The person has opted out")
        found = world.find(email)
        if found is None or world.levers.null_person:
            return _error(404, "not_found", MISS)
        likelihood = world.levers.likelihood or found.likelihood
        if likelihood < int(wanted):
            return _error(404, "not_found", MISS)
        if not world.bill(VENDOR, email):
            return _error(402, "payment_required", "You have no credits remaining")
        return web.json_response({"status": 200, "likelihood": likelihood, "data": _data(found)})


def _data(person: Person) -> dict[str, Any]:
    return {
        "id": f"pdl-{person.email}",
        "full_name": person.full_name.lower(),
        "first_name": person.first_name.lower(),
        "last_name": person.last_name.lower(),
        "job_title": person.title.lower() or None,
        "job_title_role": person.role or None,
        "job_title_levels": [person.seniority] if person.seniority else [],
        "job_company_name": person.company.lower() or None,
        "job_company_website": person.domain or None,
        "job_company_industry": person.industry.lower() or None,
        "job_company_size": person.size or None,
        "location_locality": person.city.lower() or None,
        "location_region": person.state.lower() or None,
        "location_country": person.country.lower() or None,
        "linkedin_url": f"linkedin.com/in/{person.linkedin}" if person.linkedin else None,
        "twitter_username": person.twitter or None,
        "github_username": person.github or None,
        "summary": person.bio or None,
        "mobile_phone": True,
        "personal_emails": True,
    }


def _error(status: int, kind: str, message: str) -> web.Response:
    error = {"type": kind, "message": message}
    return web.json_response({"status": status, "error": error}, status=status)

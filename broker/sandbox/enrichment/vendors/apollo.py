"""Apollo: `POST /api/v1/people/match`; a miss is 200 without a person
(https://docs.apollo.io/reference/people-enrichment).
"""

import json
from typing import Any

from aiohttp import web

from broker.sandbox.enrichment.people import Person
from broker.sandbox.enrichment.world import EMAIL, Enrichment

VENDOR = "apollo"
A_MINUTE = 50
PARAMETERS = {
    "email", "first_name", "last_name", "name", "organization_name", "domain", "linkedin_url",
    "reveal_personal_emails", "reveal_phone_number", "webhook_url",
}  # fmt: skip
MASKED = "email_not_unlocked@domain.com"


class ApolloEndpoints:
    """Apollo's API."""

    def __init__(self, world: Enrichment) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post("/apollo/api/v1/people/match", self.match),
            web.route("*", "/apollo/{rest:.*}", self.unknown),
        ]

    async def unknown(self, _request: web.Request) -> web.Response:
        """What is answered for a path that there is not."""
        return web.json_response({"error": "Not found"}, status=404)

    async def match(self, request: web.Request) -> web.Response:
        """The person of an address."""
        world = self._world
        if not world.has_key(VENDOR, request.headers.get("x-api-key")):
            return web.Response(status=401, text="Invalid access credentials.")
        if world.levers.plan_lacks_api:
            return _error(
                403, "API_INACCESSIBLE", "people/match is not accessible with this api_key"
            )
        if world.over(VENDOR, None, A_MINUTE):
            response = _error(429, "RATE_LIMITED", "The maximum number of api calls allowed")
            response.headers["retry-after"] = "60"
            return response
        try:
            fields = json.loads(await request.read())
        except ValueError:
            return _error(400, "BAD_REQUEST", "The body is not JSON")
        email = fields.get("email") if isinstance(fields, dict) else None
        if not isinstance(email, str) or not EMAIL.fullmatch(email) or set(fields) - PARAMETERS:
            return _error(422, "INVALID_PARAMETERS", "Parameters are missing or unknown")
        if fields.get("reveal_phone_number") and not fields.get("webhook_url"):
            return _error(
                422, "INVALID_PARAMETERS", "webhook_url is needed to reveal a phone number"
            )
        if world.is_opted_out(email):
            return _error(451, "OPTED_OUT", "The person has opted out")
        found = world.find(email)
        if found is None or world.levers.null_person:
            return web.json_response({"person": None})
        if not world.bill(VENDOR, email):
            return _error(422, "INSUFFICIENT_CREDITS", "You have insufficient credits")
        return web.json_response({"person": _person(found, masked=world.levers.placeholder_email)})


def _person(person: Person, *, masked: bool) -> dict[str, Any]:
    company = None
    if person.domain:
        company = {
            "id": f"org-{person.domain}",
            "name": person.company,
            "primary_domain": person.domain,
            "website_url": f"http://www.{person.domain}",
            "industry": person.industry.lower() or None,
            "estimated_num_employees": 120,
        }
    return {
        "id": f"apollo-{person.email}",
        "first_name": person.first_name,
        "last_name": person.last_name,
        "name": person.full_name,
        "title": person.title or None,
        "seniority": person.seniority or None,
        "headline": MASKED if masked else person.bio or None,
        "email": MASKED if masked else person.email,
        "email_status": "verified",
        "linkedin_url": f"http://www.linkedin.com/in/{person.linkedin}"
        if person.linkedin
        else None,
        "twitter_url": None,
        "github_url": None,
        "city": person.city or None,
        "state": person.state or None,
        "country": person.country or None,
        "organization": company,
    }


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": message, "error_code": code}, status=status)

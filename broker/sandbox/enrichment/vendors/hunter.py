"""Hunter: `/v2/combined/find`, `/v2/people/find` and `/v2/companies/find`. 403 is its rate limit,
429 its quota (https://hunter.io/api-documentation).
"""

from typing import Any

from aiohttp import web

from broker.sandbox.enrichment.vendors.profiles import company_profile, person_profile
from broker.sandbox.enrichment.world import EMAIL, Enrichment

VENDOR = "hunter"
A_SECOND, A_MINUTE = 15, 500
PARAMETERS = {"email", "domain", "linkedin_handle", "api_key", "clearbit_format"}


class HunterEndpoints:
    """Hunter's API."""

    def __init__(self, world: Enrichment) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/hunter/v2/combined/find", self.combined),
            web.get("/hunter/v2/people/find", self.person),
            web.get("/hunter/v2/companies/find", self.company),
            web.route("*", "/hunter/{rest:.*}", self.unknown),
        ]

    async def combined(self, request: web.Request) -> web.Response:
        """Person and company of an address."""
        return self._find(request, lambda person, company: {"person": person, "company": company})

    async def person(self, request: web.Request) -> web.Response:
        """The person of an address."""
        return self._find(request, lambda person, _: person)

    async def company(self, request: web.Request) -> web.Response:
        """The company of a domain."""
        refusal = self._refusal(request)
        domain = request.query.get("domain", "")
        if refusal is not None:
            return refusal
        if not domain:
            return _error(400, "wrong_params", "You are missing the domain parameter")
        for person in self._world.people.values():
            if person.domain == domain:
                if not self._world.bill(VENDOR, domain):
                    return _error(429, "too_many_requests", "You have used up your plan's requests")
                return web.json_response({"data": company_profile(person), "meta": {}})
        return _error(404, "not_found", "The company was not found")

    async def unknown(self, _request: web.Request) -> web.Response:
        """What Hunter answers for a path that it does not have."""
        return _error(404, "not_found", "The requested resource doesn't exist")

    def _find(self, request: web.Request, shape: Any) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        email = request.query.get("email", "")
        if not email:
            return _error(400, "wrong_params", "You are missing the email parameter")
        if not EMAIL.fullmatch(email):
            return _error(400, "invalid_email", "The email supplied is invalid")
        if self._world.is_opted_out(email):
            return _error(451, "claimed_email", "The person asked not to be processed")
        found = self._world.find(email)
        if found is None:
            return _error(404, "not_found", "The person was not found")
        if not self._world.bill(VENDOR, email):
            return _error(429, "too_many_requests", "You have used up your plan's requests")
        person = None if self._world.levers.null_person else person_profile(found)
        data = shape(person, company_profile(found))
        if request.query.get("clearbit_format") in {"1", "true", "True"}:
            return web.json_response(data)
        return web.json_response({"data": data, "meta": {"email": email}})

    def _refusal(self, request: web.Request) -> web.Response | None:
        unknown = set(request.query) - PARAMETERS
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        key = request.query.get("api_key") or request.headers.get("X-API-KEY")
        key = key or (bearer if scheme == "Bearer" else None)
        if key is None:
            return _error(401, "authentication_failed", "No API key was provided")
        if not self._world.has_key(VENDOR, key):
            return _error(401, "authentication_failed", "The API key is invalid")
        if self._world.over(VENDOR, A_SECOND, A_MINUTE):
            return _error(403, "too_many_requests", "You have reached the rate limit")
        if unknown:
            return _error(400, "wrong_params", f"Unknown parameters: {', '.join(sorted(unknown))}")
        return None


def _error(status: int, name: str, details: str) -> web.Response:
    error = {"id": name, "code": status, "details": details}
    return web.json_response({"errors": [error]}, status=status)

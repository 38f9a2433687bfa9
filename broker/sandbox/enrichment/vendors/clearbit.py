"""Clearbit's hosts as folders: `/person/v2/people/find`, `/person/v2/combined/find` and
`/company/v2/companies/find` (version 2019-12-19).
"""

import base64
import binascii
from typing import Any

from aiohttp import web

from broker.sandbox.enrichment.vendors.profiles import company_profile, person_profile
from broker.sandbox.enrichment.world import EMAIL, Enrichment

VENDOR = "clearbit"
A_MINUTE = 600


class ClearbitEndpoints:
    """Clearbit's API."""

    def __init__(self, world: Enrichment) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/clearbit/person/v2/combined/find", self.combined),
            web.get("/clearbit/person/v2/people/find", self.person),
            web.get("/clearbit/company/v2/companies/find", self.company),
            web.route("*", "/clearbit/{rest:.*}", self.unknown),
        ]

    async def unknown(self, _request: web.Request) -> web.Response:
        """What is answered for a path that there is not, with or without a key."""
        return _error(404, "unknown_route", "Unknown route")

    async def combined(self, request: web.Request) -> web.Response:
        """Person and company of an address; either may be null."""
        return self._find(request, lambda person, company: {"person": person, "company": company})

    async def person(self, request: web.Request) -> web.Response:
        """The person of an address."""
        return self._find(request, lambda person, _: person)

    async def company(self, request: web.Request) -> web.Response:
        """The company of a domain."""
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        domain = request.query.get("domain", "")
        for person in self._world.people.values():
            if person.domain and person.domain == domain:
                self._world.bill(VENDOR, domain)
                return self._with_limits(web.json_response(company_profile(person)))
        return self._with_limits(_error(404, "unknown_record", "Unknown company"))

    def _find(self, request: web.Request, shape: Any) -> web.Response:
        return self._refusal(request) or self._with_limits(self._answer(request, shape))

    def _answer(self, request: web.Request, shape: Any) -> web.Response:
        world, email = self._world, request.query.get("email", "")
        if not EMAIL.fullmatch(email):
            return _error(422, "email_invalid", "Invalid email")
        if world.is_opted_out(email):
            return _error(451, "opted_out", "The person has opted out")
        if world.is_queued(VENDOR, email):
            if world.levers.queued_form == "error":
                return _error(202, "queued", "We are looking up this person")
            return web.Response(status=202)
        found = world.find(email)
        if found is None:
            return _error(404, "unknown_record", "Unknown person")
        if not world.bill(VENDOR, email):
            return _error(402, "over_quota", "Your account is over its quota")
        person = None if world.levers.null_person else person_profile(found)
        return web.json_response(shape(person, company_profile(found)))

    def _refusal(self, request: web.Request) -> web.Response | None:
        key = _key(request.headers.get("Authorization", ""))
        if key is None:
            return self._with_limits(_error(401, "auth_required", "Authentication required"))
        if not self._world.has_key(VENDOR, key):
            return self._with_limits(_error(401, "invalid_api_key", "Invalid API key provided"))
        if self._world.over(VENDOR, None, A_MINUTE):
            return self._with_limits(_error(429, "rate_limit", "Too many requests"))
        return None

    def _with_limits(self, response: web.Response) -> web.Response:
        limit, left = self._world.left(VENDOR, A_MINUTE)
        response.headers["x-api-version"] = "2019-12-19"
        response.headers["x-ratelimit-limit"] = str(limit)
        response.headers["x-ratelimit-remaining"] = str(left)
        response.headers["x-ratelimit-reset"] = str(int(self._world.now()) + 60)
        return response


def _key(header: str) -> str | None:
    scheme, _, value = header.partition(" ")
    if scheme == "Bearer" and value:
        return value
    if scheme != "Basic":
        return None
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0] or None
    except (binascii.Error, ValueError):
        return None


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message}}, status=status)

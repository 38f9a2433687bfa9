"""FullContact: `POST /v3/person.enrich`; 202 while it searches, 404 when it found nothing
(https://docs.fullcontact.com/docs/person-enrich).
"""

import json
from typing import Any

from aiohttp import web

from broker.sandbox.enrichment.people import Person
from broker.sandbox.enrichment.world import EMAIL, Enrichment

VENDOR = "fullcontact"
A_MINUTE = 300


class FullContactEndpoints:
    """FullContact's API."""

    def __init__(self, world: Enrichment) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post("/fullcontact/v3/person.enrich", self.enrich),
            web.route("*", "/fullcontact/{rest:.*}", self.unknown),
        ]

    async def unknown(self, _request: web.Request) -> web.Response:
        """What is answered for a path that there is not."""
        return _answer(404, "Not Found")

    async def enrich(self, request: web.Request) -> web.Response:
        """The person of an address."""
        world = self._world
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not world.has_key(VENDOR, key):
            return _answer(401, "API key is missing or invalid")
        if world.over(VENDOR, None, A_MINUTE):
            return _answer(429, "Too many requests")
        try:
            fields = json.loads(await request.read())
        except ValueError:
            return _answer(400, "Unable to parse JSON")
        email = fields.get("email") if isinstance(fields, dict) else None
        if not isinstance(email, str) or not EMAIL.fullmatch(email):
            return _answer(400, "Input must contain one of: email, phone, twitter")
        if world.is_opted_out(email):
            return _answer(451, "The person has opted out")
        if world.is_queued(VENDOR, email):
            return _answer(202, "Queued for search")
        found = world.find(email)
        if found is None or world.levers.null_person:
            return _answer(404, "Profile not found")
        if not world.bill(VENDOR, email):
            return _answer(403, "You have reached your monthly quota")
        return web.json_response(_profile(found))


def _profile(person: Person) -> dict[str, Any]:
    place = {
        "city": person.city or None,
        "region": person.state or None,
        "country": person.country or None,
        "countryCode": person.country_code or None,
    }
    return {
        "fullName": person.full_name,
        "ageRange": None,
        "gender": None,
        "location": ", ".join(filter(None, (person.city, person.state, person.country))),
        "title": person.title or None,
        "organization": person.company or None,
        "twitter": f"https://twitter.com/{person.twitter}" if person.twitter else None,
        "linkedin": f"https://www.linkedin.com/in/{person.linkedin}" if person.linkedin else None,
        "bio": person.bio or None,
        "website": None,
        "details": {
            "name": {
                "given": person.first_name,
                "family": person.last_name,
                "full": person.full_name,
            },
            "locations": [place] if any(place.values()) else [],
            "employment": [],
        },
    }


def _answer(status: int, message: str) -> web.Response:
    return web.json_response({"status": status, "message": message}, status=status)

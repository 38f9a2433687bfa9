"""`/_sandbox` for people, keys and levers, and the page at `/` that shows them."""

from dataclasses import asdict, fields

from aiohttp import web

from broker.sandbox.core.control.levers import LeverEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object
from broker.sandbox.enrichment.pages import render
from broker.sandbox.enrichment.people import Person
from broker.sandbox.enrichment.world import VENDORS, Enrichment

SHOWN = 50


class ControlEndpoints:
    """The control API of the enrichment vendors."""

    def __init__(self, world: Enrichment) -> None:
        self._world = world
        self._levers = LeverEndpoints(world, None, (world.levers,), {})

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("POST", "/_sandbox/people", self.put_person),
            ("DELETE", "/_sandbox/people/{email}", self.delete_person),
            ("POST", "/_sandbox/keys", self.put_key),
            ("GET", "/_sandbox/billed", self.billed),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *self._levers.routes()]

    async def home(self, _request: web.Request) -> web.Response:
        """Show people, what was billed, levers and requests."""
        world = self._world
        return render(
            "home.html",
            people=list(world.people.values()),
            billed=world.billed,
            levers=self._levers.values(),
            seen=list(world.seen)[:-SHOWN:-1],
        )

    async def put_person(self, request: web.Request) -> web.Response:
        """Make or replace a person: email, first_name, last_name, and any other field."""
        payload = await read_object(request)
        unknown = set(payload) - {each.name for each in fields(Person)}
        if unknown:
            raise ValueError(f"a person has no {', '.join(sorted(unknown))}")
        return web.json_response(asdict(self._world.add(Person(**payload))), status=201)

    async def delete_person(self, request: web.Request) -> web.Response:
        """Let the vendors forget a person."""
        del self._world.people[request.match_info["email"]]
        return web.Response(status=204)

    async def put_key(self, request: web.Request) -> web.Response:
        """Let a vendor accept a key: vendor, key."""
        payload = await read_object(request)
        if payload["vendor"] not in VENDORS:
            raise ValueError(f"the vendors are {', '.join(VENDORS)}")
        self._world.add_key(payload["vendor"], str(payload["key"]))
        return web.json_response({"vendor": payload["vendor"]}, status=201)

    async def billed(self, _request: web.Request) -> web.Response:
        """List what each vendor billed, in order."""
        return web.json_response(self._world.billed)

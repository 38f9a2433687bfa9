"""The control API under `/_sandbox`: levers, faults, requests, and the page at `/`."""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.faults import FaultEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object, set_levers
from broker.sandbox.salesforce.oauth.parameters import HOST
from broker.sandbox.salesforce.org import Org
from broker.sandbox.salesforce.pages import render
from broker.sandbox.salesforce.world import Salesforce

ACTIONS = ("jump", "revoke", "expire_sessions", "drop_cursors")
SHOWN = 100


class ControlEndpoints:
    """The control API of Salesforce."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("GET", "/_sandbox/levers", self.show_levers),
            ("POST", "/_sandbox/levers", self.levers),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/counters", self.counters),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *FaultEndpoints(self._world.faults).routes()]

    async def home(self, request: web.Request) -> web.Response:
        """Show orgs with their leads and users, apps, requests and levers to a person."""
        world = self._world
        leads = {
            org.id: list(org.tables["Lead"].values())[: -SHOWN - 1 : -1]
            for org in world.orgs.values()
        }
        return render(
            "home.html",
            host=request[HOST],
            orgs=world.orgs.values(),
            leads=leads,
            apps=world.apps.values(),
            seen=list(world.seen)[: -SHOWN // 2 : -1],
            levers=asdict(world.levers),
            login_url=world.login_url,
            test_url=world.test_url,
        )

    async def show_levers(self, request: web.Request) -> web.Response:
        """Show the value of every lever: OAuth's and those of one org."""
        org = org_of(self._world, dict(request.query))
        return web.json_response({**asdict(self._world.levers), **asdict(org.levers)})

    async def levers(self, request: web.Request) -> web.Response:
        """Set levers by their names; those of an org for the `org` that is named, else the first.

        Once: `jump` moves the clock by seconds, `revoke` ends the grants of a username (null: all),
        `expire_sessions` ends every session, `drop_cursors` every query's pages.
        """
        payload: dict[str, Any] = await read_object(request)
        world = self._world
        org = org_of(world, payload)
        payload.pop("org", None)
        set_levers(payload, world.levers, org.levers, actions=ACTIONS)
        self._act(payload)
        return web.Response(status=204)

    def _act(self, payload: dict[str, Any]) -> None:
        world = self._world
        world.jump(float(payload.get("jump", 0)))
        if "revoke" in payload:
            self._revoke(payload["revoke"])
        if payload.get("expire_sessions"):
            for session in world.grants.sessions.values():
                session.alive = False
        if payload.get("drop_cursors"):
            world.cursors.clear()

    def _revoke(self, username: str | None) -> None:
        world = self._world
        found = None if username is None else world.find_user(username)
        if username is not None and found is None:
            raise ValueError("no such user")
        for (_, user_id), grants in world.grants.by_user.items():
            if found is None or user_id == found[1]["Id"]:
                for grant in grants:
                    world.grants.revoke(grant)

    async def requests(self, request: web.Request) -> web.Response:
        """List the last requests, newest first, with fingerprints for secrets."""
        part = request.query.get("path", "")
        found = [each for each in reversed(self._world.seen) if part in each.target][:SHOWN]
        return web.json_response([asdict(each) for each in found])

    async def counters(self, _request: web.Request) -> web.Response:
        """Count exchanges, refreshes, reuses and revocations of tokens, and calls by org."""
        calls = {org.name: org.used_calls() for org in self._world.orgs.values()}
        return web.json_response({**self._world.counters, "calls": calls})


def org_of(world: Salesforce, payload: dict[str, Any]) -> Org:
    """The org that a control request names, else the first. Raises KeyError."""
    return world.find_org(str(payload["org"])) if payload.get("org") else world.org

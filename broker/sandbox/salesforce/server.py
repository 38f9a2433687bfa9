"""A running Salesforce, on ports of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.core.serving import make_runner
from broker.sandbox.salesforce.addresses import Addresses
from broker.sandbox.salesforce.control.levers import ControlEndpoints
from broker.sandbox.salesforce.control.people import PeopleEndpoints
from broker.sandbox.salesforce.control.setup import SetupEndpoints
from broker.sandbox.salesforce.endpoints.collections import CollectionEndpoints
from broker.sandbox.salesforce.endpoints.general import GeneralEndpoints
from broker.sandbox.salesforce.endpoints.queries import QueryEndpoints
from broker.sandbox.salesforce.endpoints.searching import SearchEndpoints
from broker.sandbox.salesforce.endpoints.sobjects import SObjectEndpoints
from broker.sandbox.salesforce.errors import (
    ApiError,
    MultipleChoicesError,
    OAuthError,
    error_response,
    not_found,
)
from broker.sandbox.salesforce.oauth.consent import ConsentPages
from broker.sandbox.salesforce.oauth.parameters import HOST
from broker.sandbox.salesforce.oauth.sessions import SessionEndpoints
from broker.sandbox.salesforce.oauth.tokens import TokenEndpoint
from broker.sandbox.salesforce.recording import record
from broker.sandbox.salesforce.seed import plant
from broker.sandbox.salesforce.world import Salesforce

LONGEST_URL = 16_384

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RunningSalesforce:
    """A Salesforce that answers: the first org at `url`, production logins at `login_url`, sandbox
    logins at `test_url`.
    """

    url: str
    login_url: str
    test_url: str
    world: Salesforce
    addresses: Addresses
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(
    host: str,
    port: int,
    world: Salesforce | None = None,
    *,
    login_port: int = 0,
    test_port: int = 0,
    seed: bool = False,
) -> RunningSalesforce:
    """Start; port 0 takes a free one. A world without an org gets one, a production org;
    `seed` adds leads to orgs that have none.

    Raises OSError when a port is taken.
    """
    world = world or Salesforce()
    if not world.orgs:
        world.add_org()
    for org in world.orgs.values():
        if seed and not org.tables["Lead"]:
            plant(org)
    addresses = Addresses(world, host)
    app = web.Application(middlewares=[_play(world, addresses)], client_max_size=8 * 1_048_576)
    # Fixed paths come before those with a variable in the same position.
    for endpoints in (
        ConsentPages(world),
        TokenEndpoint(world),
        SessionEndpoints(world),
        GeneralEndpoints(world),
        QueryEndpoints(world),
        SearchEndpoints(world),
        CollectionEndpoints(world),
        SObjectEndpoints(world),
        ControlEndpoints(world),
        SetupEndpoints(world),
        PeopleEndpoints(world),
        addresses,
    ):
        app.add_routes(endpoints.routes())
    runner = make_runner(app, max_line_size=8 * LONGEST_URL)
    await runner.setup()
    try:
        await addresses.open(runner, port, login_port, test_port)
    except OSError:
        await runner.cleanup()
        raise
    url = world.org.instance_url
    return RunningSalesforce(url, world.login_url, world.test_url, world, addresses, runner)


def _play(world: Salesforce, addresses: Addresses) -> Any:
    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request[HOST] = addresses.of(request)
        if not request.path.startswith(("/services/", "/id/")):
            return await _answered(request, handler)
        if len(request.raw_path) > LONGEST_URL:
            page = "<html><head><title>414 URI Too Long</title></head></html>"
            return web.Response(status=414, text=page, content_type="text/html")
        seen = record(request, host, await request.read(), world.now())
        world.seen.append(seen)
        fault = world.faults.striking(request)
        if fault is None:
            response = await _answered(request, handler)
        else:
            response = await strike(fault, request, lambda passed: _answered(passed, handler))
        seen.status = response.status
        return response

    return play


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (ApiError, MultipleChoicesError, OAuthError) as refused:
        return error_response(refused)
    except web.HTTPNotFound:
        return error_response(not_found())
    except web.HTTPMethodNotAllowed as refused:
        allowed = ", ".join(sorted(refused.allowed_methods))
        problem = f"HTTP Method '{request.method}' not allowed. Allowed are {allowed}"
        return error_response(ApiError(405, "METHOD_NOT_ALLOWED", problem))

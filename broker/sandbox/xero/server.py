"""A running Xero, on a port of its own."""

from dataclasses import dataclass

from aiohttp import web

from broker.sandbox.core.simulation import Answering, Handler, application, listen
from broker.sandbox.xero.api import REMAINING, ApiEndpoints
from broker.sandbox.xero.consent import ConsentPages
from broker.sandbox.xero.control import SESSION, ControlEndpoints
from broker.sandbox.xero.problems import XeroProblem
from broker.sandbox.xero.rendering import answer, wants_json
from broker.sandbox.xero.tokens import TokenEndpoints
from broker.sandbox.xero.world import Xero


@dataclass(frozen=True, slots=True)
class RunningXero:
    """A Xero that answers at `url`."""

    url: str
    world: Xero
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(host: str, port: int, world: Xero | None = None) -> RunningXero:
    """Start; port 0 takes a free one. Raises OSError when the port is taken."""
    world = world or Xero()
    app = application(world, _answering(world), ("/identity/",), "/connect/")
    for endpoints in (
        ControlEndpoints(world),
        ConsentPages(world),
        TokenEndpoints(world),
        ApiEndpoints(world),
    ):
        app.add_routes(endpoints.routes())
    webhooks = world.webhooks
    app.cleanup_ctx.append(webhooks.deliveries.running(webhooks.collect, SESSION))
    runner, url = await listen(app, host, port)
    return RunningXero(url, world, runner)


def _answering(world: Xero) -> Answering:
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except XeroProblem as problem:
            response = _refusal(world, request, problem)
        response.headers.update(request.get(REMAINING, {}))
        return response

    return answering


def _refusal(world: Xero, request: web.Request, problem: XeroProblem) -> web.Response:
    if isinstance(problem.body, str):
        response = web.Response(text=problem.body, status=problem.status, content_type="text/html")
    else:
        # What the gateway refuses is JSON whatever is asked for.
        json = problem.status != 400 or wants_json(request, world.levers.xml_without_accept)
        response = answer(problem.body, json=json, status=problem.status)
    response.headers.update(problem.headers)
    return response

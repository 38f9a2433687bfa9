"""A running Xero, on a port of its own."""

from aiohttp import web

from broker.sandbox.core.sending import sending
from broker.sandbox.core.serving import Running, listen
from broker.sandbox.core.simulation import Answering, Handler, application
from broker.sandbox.xero.api.endpoints import REMAINING, ApiEndpoints
from broker.sandbox.xero.api.problems import XeroProblem
from broker.sandbox.xero.api.rendering import accepts_json, answer
from broker.sandbox.xero.control import ControlEndpoints
from broker.sandbox.xero.oauth.consent import ConsentPages
from broker.sandbox.xero.oauth.tokens import TokenEndpoints
from broker.sandbox.xero.seed import plant
from broker.sandbox.xero.world import Xero


async def serve(
    host: str, port: int, world: Xero | None = None, *, seed: bool = False
) -> Running[Xero]:
    """Start; port 0 takes a free one. `seed` adds contacts and invoices to organisations
    that have none. Raises OSError when the port is taken.
    """
    world = world or Xero()
    if seed:
        plant(world)
    app = application(world, _answering(world), ("/identity/",), "/connect/")
    for endpoints in (
        ControlEndpoints(world),
        ConsentPages(world),
        TokenEndpoints(world),
        ApiEndpoints(world),
    ):
        app.add_routes(endpoints.routes())
    app.cleanup_ctx.append(sending(world.webhooks))
    runner, url = await listen(app, host, port)
    return Running(url, world, runner)


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
        # The gateway's refusals are JSON whatever is accepted.
        json = problem.status != 400 or accepts_json(request, world.levers.xml_without_accept)
        response = answer(problem.body, json=json, status=problem.status)
    response.headers.update(problem.headers)
    return response

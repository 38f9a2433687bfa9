"""A running QuickBooks Online, on a port of its own."""

from aiohttp import web

from broker.sandbox.core.sending import sending
from broker.sandbox.core.serving import Running, listen
from broker.sandbox.core.simulation import Answering, Handler, application
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.api.endpoints import ApiEndpoints
from broker.sandbox.quickbooks.api.rendering import accepts_json, answer, intuit_tid
from broker.sandbox.quickbooks.control import ControlEndpoints
from broker.sandbox.quickbooks.oauth.consent import ConsentPages
from broker.sandbox.quickbooks.oauth.tokens import TokenEndpoints
from broker.sandbox.quickbooks.seed import plant
from broker.sandbox.quickbooks.world import QuickBooks


async def serve(
    host: str, port: int, world: QuickBooks | None = None, *, seed: bool = False
) -> Running[QuickBooks]:
    """Start; port 0 takes a free one. `seed` adds customers and invoices to companies
    that have none. Raises OSError when the port is taken.
    """
    world = world or QuickBooks()
    if seed:
        plant(world)
    app = application(world, _answering(world), ("/connect/",), "/oauth2/")
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


def _answering(world: QuickBooks) -> Answering:
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        json = accepts_json(request, world.levers.xml_without_accept)
        try:
            response = await handler(request)
        except problems.QboFault as fault:
            response = answer(fault.body, world.moment(), json=json, status=fault.status)
        except problems.GatewayFault as fault:
            body = fault.body(int(world.now() * 1000))
            response = answer(body, world.moment(), json=json, status=fault.status)
        response.headers["intuit_tid"] = intuit_tid()
        return response

    return answering

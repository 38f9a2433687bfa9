"""A running QuickBooks Online, on a port of its own."""

from dataclasses import dataclass

import aiohttp
from aiohttp import web

from broker.sandbox.core.simulation import Answering, Handler, application, listen
from broker.sandbox.quickbooks import problems
from broker.sandbox.quickbooks.api import ApiEndpoints
from broker.sandbox.quickbooks.consent import ConsentPages
from broker.sandbox.quickbooks.control import ControlEndpoints
from broker.sandbox.quickbooks.rendering import answer, intuit_tid, wants_json
from broker.sandbox.quickbooks.tokens import TokenEndpoints
from broker.sandbox.quickbooks.world import QuickBooks

SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


@dataclass(frozen=True, slots=True)
class RunningQuickBooks:
    """A QuickBooks Online that answers at `url`."""

    url: str
    world: QuickBooks
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(host: str, port: int, world: QuickBooks | None = None) -> RunningQuickBooks:
    """Start; port 0 takes a free one. Raises OSError when the port is taken."""
    world = world or QuickBooks()
    app = application(world, _answering(world), ("/connect/",), "/oauth2/")
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
    return RunningQuickBooks(url, world, runner)


def _answering(world: QuickBooks) -> Answering:
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        json = wants_json(request, world.levers.xml_without_accept)
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

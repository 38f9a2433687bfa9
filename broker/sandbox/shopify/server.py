"""A running Shopify, on a port of its own."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.core.sending import sending
from broker.sandbox.core.serving import Running, listen
from broker.sandbox.shopify.admin.endpoint import AdminEndpoint
from broker.sandbox.shopify.control import ControlEndpoints
from broker.sandbox.shopify.oauth.consent import ConsentPages
from broker.sandbox.shopify.oauth.tokens import TokenEndpoint
from broker.sandbox.shopify.seed import plant
from broker.sandbox.shopify.shops import ShopEndpoints
from broker.sandbox.shopify.world import Seen, Shopify

OWN_PATHS = ("/_sandbox/", "/press/")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(
    host: str, port: int, world: Shopify | None = None, *, seed: bool = False
) -> Running[Shopify]:
    """Start; port 0 takes a free one. `seed` opens the shop `acme` with orders of every kind when
    there is no shop yet. Raises OSError when the port is taken.
    """
    world = world or Shopify()
    if seed and not world.shops:
        plant(world)
    app = web.Application(middlewares=[_watch(world)])
    for part in (
        ConsentPages(world),
        TokenEndpoint(world),
        AdminEndpoint(world),
        ControlEndpoints(world),
        ShopEndpoints(world),
    ):
        app.add_routes(part.routes())
    app.cleanup_ctx.append(sending(world.webhooks))
    runner, url = await listen(app, host, port)
    return Running(url, world, runner)


def _watch(world: Shopify) -> Any:
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/" or request.path.startswith(OWN_PATHS):
            return await _answered(request, handler)
        body = await request.read()
        token = request.headers.get("X-Shopify-Access-Token", "")
        world.seen.append(
            Seen(
                request.method,
                request.path,
                request.match_info.get("shop") or request.host,
                hashlib.sha256(token.encode()).hexdigest() if token else "",
                "" if "/oauth/" in request.path else body.decode(errors="replace"),
                world.now(),
            )
        )
        fault = world.faults.striking(request)
        if fault is not None:
            return await strike(fault, request, lambda struck: _answered(struck, handler))
        return await _answered(request, handler)

    return watch


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return web.json_response({"errors": "Not Found"}, status=404)

"""A running WooCommerce, on a port of its own."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.core.sending import sending
from broker.sandbox.core.serving import Running, listen
from broker.sandbox.woocommerce.consent import ConsentPages
from broker.sandbox.woocommerce.control import ControlEndpoints
from broker.sandbox.woocommerce.pages import render
from broker.sandbox.woocommerce.rest.router import RestRouter
from broker.sandbox.woocommerce.seed import plant
from broker.sandbox.woocommerce.world import WooCommerce

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def serve(
    host: str, port: int, world: WooCommerce | None = None, *, seed: bool = False
) -> Running[WooCommerce]:
    """Start; port 0 takes a free one. `seed` adds orders when there are none yet. Raises
    OSError when the port is taken.
    """
    world = world or WooCommerce()
    if seed and not world.orders:
        plant(world)
    app = web.Application(middlewares=[_watch(world)])
    control = ControlEndpoints(world)
    app.add_routes(control.routes())
    app.add_routes(ConsentPages(world).routes())
    _add_rest(app, RestRouter(world), control)
    # WordPress sends webhooks by HTTP/1.0.
    app.cleanup_ctx.append(sending(world.webhooks, version=aiohttp.HttpVersion10))
    runner, world.url = await listen(app, host, port)
    return Running(world.url, world, runner)


def _add_rest(app: web.Application, router: RestRouter, control: ControlEndpoints) -> None:
    async def pretty(request: web.Request) -> web.StreamResponse:
        return await router.answer(request, "/" + request.match_info["route"].strip("/"))

    async def root(request: web.Request) -> web.StreamResponse:
        route = request.query.get("rest_route")
        if route is not None:
            return await router.answer(request, "/" + route.strip("/"))
        return control.home()

    app.router.add_route("*", "/wp-json{route:(/.*)?}", pretty)
    app.router.add_route("*", "/", root)


def _watch(world: WooCommerce) -> Any:
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path.startswith("/_sandbox/") or path == "/press":
            return await handler(request)
        if path == "/" and "rest_route" not in request.query:
            return await handler(request)
        if world.levers.maintenance:
            text = "Briefly unavailable for scheduled maintenance. Check back in a minute."
            return render("problem.html", status=503, problem=text)
        if path.startswith("/wp-json") and world.levers.permalinks == "plain":
            return render("problem.html", status=404, problem="Page not found")
        fault = world.faults.striking(request)
        if fault is not None:
            return await strike(fault, request, handler)
        return await handler(request)

    return watch

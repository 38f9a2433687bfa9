"""A running WooCommerce, on a port of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.woocommerce.consent import ConsentPages
from broker.sandbox.woocommerce.control import ControlEndpoints
from broker.sandbox.woocommerce.pages import render
from broker.sandbox.woocommerce.rest.router import RestRouter
from broker.sandbox.woocommerce.seed import plant
from broker.sandbox.woocommerce.webhooks import Webhooks
from broker.sandbox.woocommerce.world import WooCommerce

TICK_S = 0.02

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RunningWooCommerce:
    """A WooCommerce that answers at `url`."""

    url: str
    world: WooCommerce
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(
    host: str, port: int, world: WooCommerce | None = None, *, seed: bool = False
) -> RunningWooCommerce:
    """Start; port 0 takes a free one. `seed` has people buy when there are no orders yet. Raises
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
    app.cleanup_ctx.append(_sending(world.webhooks))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    world.url = f"http://localhost:{runner.addresses[0][1]}"
    return RunningWooCommerce(world.url, world, runner)


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


def _sending(webhooks: Webhooks) -> Any:
    async def running(_app: web.Application) -> AsyncIterator[None]:
        # WordPress sends webhooks by HTTP/1.0.
        async with aiohttp.ClientSession(version=aiohttp.HttpVersion10) as session:
            loop = asyncio.create_task(_send(webhooks, session))
            yield
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    return running


async def _send(webhooks: Webhooks, session: aiohttp.ClientSession) -> None:
    # Not awaited: a receiver that hangs must not hold up the others.
    async with asyncio.TaskGroup() as group:
        while True:
            if webhooks.queue or webhooks.pings:
                group.create_task(webhooks.tick(session))
            await asyncio.sleep(TICK_S)


def _watch(world: WooCommerce) -> Any:
    @web.middleware
    async def watch(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path.startswith("/_sandbox/") or path == "/press":
            return await _answered(request, handler)
        if path == "/" and "rest_route" not in request.query:
            return await handler(request)
        if world.levers.maintenance:
            text = "Briefly unavailable for scheduled maintenance. Check back in a minute."
            return render("problem.html", status=503, problem=text)
        if path.startswith("/wp-json") and world.levers.permalinks == "plain":
            return render("problem.html", status=404, problem="Page not found")
        fault = world.faults.striking(request)
        if fault is not None:
            return await strike(fault, request, lambda struck: _answered(struck, handler))
        return await _answered(request, handler)

    return watch


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"error": str(refused)}, status=refused.status)

"""A running Shopify, on a port of its own."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.shopify.admin.endpoint import AdminEndpoint
from broker.sandbox.shopify.control import ControlEndpoints
from broker.sandbox.shopify.oauth.consent import ConsentPages
from broker.sandbox.shopify.oauth.tokens import TokenEndpoint
from broker.sandbox.shopify.seed import plant
from broker.sandbox.shopify.shops import ShopEndpoints
from broker.sandbox.shopify.webhooks import Webhooks
from broker.sandbox.shopify.world import Seen, Shopify

TICK_S = 0.02
OWN_PATHS = ("/_sandbox/", "/press/")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RunningShopify:
    """A Shopify that answers at `url`."""

    url: str
    world: Shopify
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(
    host: str, port: int, world: Shopify | None = None, *, seed: bool = False
) -> RunningShopify:
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
    app.cleanup_ctx.append(_sending(world.webhooks))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return RunningShopify(f"http://localhost:{runner.addresses[0][1]}", world, runner)


def _sending(webhooks: Webhooks) -> Any:
    async def running(_app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session:
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
            if webhooks.queue:
                group.create_task(webhooks.tick(session))
            await asyncio.sleep(TICK_S)


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
    except Refused as refused:
        return web.json_response({"errors": str(refused)}, status=refused.status)
    except web.HTTPNotFound:
        return web.json_response({"errors": "Not Found"}, status=404)

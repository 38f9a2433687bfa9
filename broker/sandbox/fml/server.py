"""A running First Mile Labs, on a port of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.fml.api import ApiEndpoints
from broker.sandbox.fml.control import ControlEndpoints
from broker.sandbox.fml.sender import Sender
from broker.sandbox.fml.world import FirstMileLabs, Seen
from broker.sandbox.hubspot.answers import Refused

TICK_S = 0.02

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class RunningFml:
    """A First Mile Labs that answers at `url`."""

    url: str
    fml: FirstMileLabs
    sender: Sender
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve(host: str, port: int, fml: FirstMileLabs | None = None) -> RunningFml:
    """Start; port 0 takes a free one. Raises OSError when the port is taken."""
    fml = fml or FirstMileLabs()
    sender = Sender(fml)
    app = web.Application(middlewares=[_play(fml)])
    app.add_routes(ApiEndpoints(fml).routes())
    app.add_routes(ControlEndpoints(fml, sender).routes())
    app.cleanup_ctx.append(_sending(sender))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    return RunningFml(f"http://localhost:{runner.addresses[0][1]}", fml, sender, runner)


def _sending(sender: Sender) -> Any:
    async def running(_app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session:
            loop = asyncio.create_task(_go_on(sender, session))
            yield
            loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await loop

    return running


async def _go_on(sender: Sender, session: aiohttp.ClientSession) -> None:
    # Not awaited: a receiver that hangs must not hold up the others.
    async with asyncio.TaskGroup() as group:
        while True:
            if sender.queue:
                group.create_task(sender.tick(session))
            await asyncio.sleep(TICK_S)


def _play(fml: FirstMileLabs) -> Any:
    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await _answered(request, handler)
        body = await request.read()
        key = request.headers.get("Idempotency-Key")
        fml.seen.append(Seen(request.method, request.path, key, body, fml.now()))
        fault = fml.faults.striking(request)
        if fault is not None:
            return await strike(fault, request, lambda asked: _answered(asked, handler))
        return await _answered(request, handler)

    return play


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return web.json_response({"error": str(refused)}, status=refused.status)

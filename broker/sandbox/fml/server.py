"""A running First Mile Labs, on a port of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.core.sending import sending
from broker.sandbox.core.serving import listen
from broker.sandbox.fml.api import ApiEndpoints
from broker.sandbox.fml.control import ControlEndpoints
from broker.sandbox.fml.sender import Sender
from broker.sandbox.fml.world import FirstMileLabs, Seen

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
    app.cleanup_ctx.append(sending(sender))
    runner, url = await listen(app, host, port)
    return RunningFml(url, fml, sender, runner)


def _play(fml: FirstMileLabs) -> Any:
    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith("/v1/"):
            return await handler(request)
        body = await request.read()
        key = request.headers.get("Idempotency-Key")
        fml.seen.append(Seen(request.method, request.path, key, body, fml.now()))
        fault = fml.faults.striking(request)
        if fault is not None:
            return await strike(fault, request, handler)
        return await handler(request)

    return play

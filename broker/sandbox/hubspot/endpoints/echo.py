"""Endpoints that HubSpot does not have: they show exactly what arrived."""

import hashlib
from collections.abc import AsyncIterator

from aiohttp import web

from broker.sandbox.hubspot.access import authorized
from broker.sandbox.hubspot.answers import answer
from broker.sandbox.hubspot.world import Sandbox


class EchoEndpoints:
    """`/_echo`, `/_bytes/{n}` and `/_status/{code}`; each needs a token as HubSpot's do."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.route("*", "/_echo", self.echo),
            web.route("*", "/_echo/{rest:.*}", self.echo),
            web.get(r"/_bytes/{n:\d+}", self.send_bytes),
            web.route("*", r"/_status/{code:\d+}", self.status),
        ]

    async def echo(self, request: web.Request) -> web.Response:
        """Show method, raw target, headers, and the body's length and SHA-256."""
        authorized(self._sandbox, request)
        digest, length = hashlib.sha256(), 0
        async for part in _body(request):
            digest.update(part)
            length += len(part)
        return answer(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name, value] for name, value in request.headers.items()],
                "bodySha256": digest.hexdigest(),
                "bodyLength": length,
            }
        )

    async def send_bytes(self, request: web.Request) -> web.StreamResponse:
        """Send n bytes without holding them."""
        authorized(self._sandbox, request)
        length = int(request.match_info["n"])
        response = web.StreamResponse(headers={"Content-Length": str(length)})
        await response.prepare(request)
        async for part in _parts(length):
            await response.write(part)
        return response

    async def status(self, request: web.Request) -> web.Response:
        """Answer with a status and an empty or small body."""
        authorized(self._sandbox, request)
        status = int(request.match_info["code"])
        if status in {204, 304}:
            return web.Response(status=status)
        return answer({"status": status}, status)


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    # A small body was read already, to be remembered.
    if request.content.is_eof():
        yield await request.read()
        return
    async for part in request.content.iter_any():
        yield part


async def _parts(length: int) -> AsyncIterator[bytes]:
    part = b"x" * 65_536
    for start in range(0, length, len(part)):
        yield part[: length - start]

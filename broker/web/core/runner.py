"""aiohttp's runner, with connections of the broker's own."""

from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from broker.web.core.descriptors import DescriptorGuard
from broker.web.core.fast_connection import FastConnection, FastPath
from broker.web.core.http_server import ConnectionHandler
from broker.web.core.middleware import Handler


class Server(web.Server):
    """Gives every connection such a protocol."""

    guard: DescriptorGuard
    fast_path: FastPath | None

    def __call__(self) -> RequestHandler:
        if self.fast_path is None:
            return ConnectionHandler(self, self.guard, **self._kwargs)
        return FastConnection(self, self.guard, self.fast_path, **self._kwargs)


class AppRunner(web.AppRunner):
    """Runs an application behind this server."""

    def __init__(
        self,
        app: web.Application,
        around: Callable[[Handler], Handler],
        guard: DescriptorGuard,
        fast_path: FastPath | None = None,
        **settings: Any,
    ) -> None:
        """`around` wraps the handling of every request."""
        super().__init__(app, **settings)
        self._wrap_handler = around
        self._guard = guard
        self._fast_path = fast_path

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = Server  # aiohttp has no other way to name the protocol
        cast(Server, server).guard = self._guard
        cast(Server, server).fast_path = self._fast_path
        server.request_handler = self._wrap_handler(server.request_handler)  # type: ignore[assignment]
        return server

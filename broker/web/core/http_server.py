"""What is no request at all is refused in the broker's own words, for aiohttp's repeat the line
that is wrong, with the key or the code that may stand in it.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from broker.errors import InvalidRequest
from broker.web.core.cut_answers import reset
from broker.web.core.middleware import REQUEST_ID, Handler, problem

log = logging.getLogger(__name__)

FIRST_REQUEST_TIMEOUT_S = 30.0
"""How long a connection may be open before the head of its first request is there; later ones have
the keep-alive time."""

WRITE_STALL_TIMEOUT_S = 130.0
"""How long a caller may leave unread what was written."""


class ConnectionHandler(RequestHandler):
    """One connection of a caller's."""

    __slots__ = ("_first_request_timer", "_write_stall_timer")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request, but not for ever."""
        super().connection_made(transport)
        # Whatever the kernel does not take at once is waited for, and counts as unread.
        cast(asyncio.Transport, transport).set_write_buffer_limits(0)
        self._write_stall_timer: asyncio.TimerHandle | None = None
        self._first_request_timer: asyncio.TimerHandle | None = self._loop.call_later(
            FIRST_REQUEST_TIMEOUT_S, self._give_up
        )

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody is waited for any more."""
        for timer in (self._first_request_timer, self._write_stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """What was written waits for the caller to read, but not for ever."""
        super().pause_writing()
        if self.transport is not None:
            self._write_stall_timer = self._loop.call_later(
                WRITE_STALL_TIMEOUT_S, reset, self.transport
            )

    def resume_writing(self) -> None:
        """All of it is on its way."""
        if self._write_stall_timer is not None:
            self._write_stall_timer.cancel()
        super().resume_writing()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  # as aiohttp
        """Give what goes on so long to end, and cut it then: aiohttp would wait once more."""
        handling = self._task_handler
        cut = None
        if handling is not None and timeout:
            cut = self._loop.call_later(timeout + 0.1, handling.cancel)
        try:
            await super().shutdown(timeout)
        finally:
            if cut is not None:
                cut.cancel()

    def _give_up(self) -> None:
        self._first_request_timer = None
        if not self._request_count:
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Let whoever waits for a body know at once that it cannot be read to its end."""
        super().data_received(data)
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if isinstance(self._messages[-1][0], _ErrInfo):
            self._messages.pop()
            request.content.set_exception(web.RequestPayloadError("broken framing"))
            request.content.feed_eof()
            self.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A problem document for what aiohttp's parser refuses."""
        if status != 400 or not isinstance(request, web.Request) or request.writer.output_size:
            return super().handle_error(request, status, exc, message)
        request[REQUEST_ID] = f"{random.getrandbits(128):032x}"
        long = isinstance(exc, LineTooLong)
        log.info(
            "not HTTP",
            extra={"request_id": request[REQUEST_ID], "reason": type(exc).__name__},
        )
        detail = "The request's line or a header is too long." if long else "This is not HTTP."
        response = problem(request, InvalidRequest(detail))
        response.force_close()
        return response


class Server(web.Server):
    """Gives every connection such a protocol."""

    def __call__(self) -> RequestHandler:
        return ConnectionHandler(self, loop=self._loop, **self._kwargs)


class AppRunner(web.AppRunner):
    """Runs an application behind it, with something around its handling of every request."""

    def __init__(
        self, app: web.Application, around: Callable[[Handler], Handler], **settings: Any
    ) -> None:
        super().__init__(app, **settings)
        self._wrap_handler = around

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = Server  # aiohttp has no other way to name the protocol
        server.request_handler = self._wrap_handler(server.request_handler)  # type: ignore[assignment]
        return server

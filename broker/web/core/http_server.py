"""aiohttp's server, stricter: with deadlines for silent and slow callers, and with refusals of
malformed requests in the broker's own words, because aiohttp's repeat the line that is wrong, with
the key or the code that may stand in it.
"""

import asyncio
import logging
import random
import time
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from broker.errors import BrokerError, InvalidRequest, UriTooLong
from broker.web.core.cut_answers import reset
from broker.web.core.descriptors import DescriptorGuard
from broker.web.core.middleware import REQUEST_ID, problem

log = logging.getLogger(__name__)

FIRST_REQUEST_TIMEOUT_S = 30.0
"""How long a connection may be open before the head of its first request has arrived; later ones
have the keep-alive time."""

WRITE_STALL_TIMEOUT_S = 130.0
"""How long a caller may leave unread what was written."""

MAX_URI_BYTES = 20_480
"""The longest path and query: HubSpot's own answers 414 from about 16,384, and `/proxy/`, a slug
and a user of 255 characters outside ASCII come before HubSpot's part of it."""

MAX_HEADER_BYTES = 16_384
"""The longest header. It differs from the longest path, for the parser names only the limit."""


class ConnectionHandler(RequestHandler):
    """One connection of a caller's."""

    __slots__ = ("_first_request_timer", "_guard", "_last_heard_at", "_write_stall_timer")

    def __init__(self, manager: web.Server, guard: DescriptorGuard, **settings: Any) -> None:
        super().__init__(manager, loop=asyncio.get_running_loop(), **settings)
        self._guard = guard
        self._last_heard_at = 0.0
        self._write_stall_timer: asyncio.TimerHandle | None = None
        self._first_request_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request, but not for ever."""
        super().connection_made(transport)
        # Whatever the kernel does not take at once is waited for, and counts as unread.
        cast(asyncio.Transport, transport).set_write_buffer_limits(0)
        loop = asyncio.get_running_loop()
        self._last_heard_at = time.monotonic()
        self._first_request_timer = loop.call_later(FIRST_REQUEST_TIMEOUT_S, self._give_up)
        line = transport.get_extra_info("socket")
        manager = self._manager
        if line is not None and manager is not None and self._guard.runs_short(line.fileno()):
            self._guard.make_room(self, cast(list[ConnectionHandler], manager.connections))

    @property
    def silent_since(self) -> tuple[bool, float] | None:
        """Whether it has ever sent a request, and when it was last heard; None while a request is
        under way.
        """
        if self._current_request is not None or self._messages:
            return None
        return self._request_count > 0, self._last_heard_at

    def shed(self) -> None:
        """End it, for its descriptor is needed."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop waiting for the caller."""
        for timer in (self._first_request_timer, self._write_stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for the caller to read what was written, but not for ever."""
        super().pause_writing()
        if self.transport is not None:
            loop = asyncio.get_running_loop()
            self._write_stall_timer = loop.call_later(WRITE_STALL_TIMEOUT_S, reset, self.transport)

    def resume_writing(self) -> None:
        """Stop waiting: the kernel has taken all of it."""
        if self._write_stall_timer is not None:
            self._write_stall_timer.cancel()
        super().resume_writing()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  # as aiohttp
        """Give a request under way so long to end, then cancel it: aiohttp would wait once more."""
        handling = self._task_handler
        cut = None
        if handling is not None and timeout:
            loop = asyncio.get_running_loop()
            cut = loop.call_later(timeout + 0.1, handling.cancel)
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
        """Tell a handler that reads a body at once when it cannot be read to its end."""
        self._last_heard_at = time.monotonic()
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
        log.info(
            "malformed_request",
            extra={"request_id": request[REQUEST_ID], "reason": type(exc).__name__},
        )
        refusal: BrokerError = InvalidRequest("Malformed HTTP request.")
        if isinstance(exc, LineTooLong):
            is_uri = MAX_URI_BYTES in exc.args
            refusal = UriTooLong() if is_uri else InvalidRequest("A header is too long.")
        response = problem(request, refusal)
        response.force_close()
        return response

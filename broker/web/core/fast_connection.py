"""Requests answered by plain calls: without a task, a future and a request object each.

A request that is plain and complete (`plain_requests.py`) is offered to the fast path. What that
does not take, or cannot complete, aiohttp gets as it came, from its first byte: its parser decides
what is HTTP, and its handler answers. So the fast path only has to know the plainest requests.
"""

import asyncio
import time
from typing import Any, Protocol, cast

from aiohttp import web

from broker.web.core.descriptors import DescriptorGuard
from broker.web.core.http_server import ConnectionHandler
from broker.web.core.plain_requests import PlainRequest, RequestReader, RequestTracker

MAX_DEFERRED_BYTES = 65_536
"""How much may wait for the end of a call; then nothing is read until it has ended."""


class FastCall(Protocol):
    """A request that the fast path has begun to answer."""

    started: float
    """When, on the clock of `time.perf_counter`."""
    request_id: str
    fields: dict[str, Any]
    """Its log line's."""

    def end(self, *, sent: bool) -> None:
        """The response was sent, or its caller has left before."""


class FastPath(Protocol):
    """Answers the requests that it can answer by plain calls."""

    def begin(self, request: PlainRequest, connection: "FastConnection") -> FastCall | None:
        """Begin to answer a request, later by `connection.respond` or `connection.hand_over`; None,
        and nothing has happened, where it is not for the fast path.
        """


class FastConnection(ConnectionHandler):
    """A connection of a caller's whose requests may take the fast path, one at a time."""

    __slots__ = (
        "_aiohttp_keeps_time",
        "_call",
        "_deferred",
        "_ended",
        "_fast_path",
        "_holds_reading",
        "_idle_since",
        "_idle_timer",
        "_is_last",
        "_reader",
        "_request",
        "_sent",
        "_tracker",
        "handed_over",
    )

    def __init__(
        self, manager: web.Server, guard: DescriptorGuard, fast_path: FastPath, **settings: Any
    ) -> None:
        super().__init__(manager, guard, **settings)
        self._fast_path = fast_path
        self._reader = RequestReader()
        self._tracker = RequestTracker()
        self._call: FastCall | None = None
        self._request: PlainRequest | None = None
        self._sent = False
        self._deferred = b""
        self._holds_reading = False
        """Whether nothing is read until the call has ended."""
        self._is_last = False
        """Whether the connection ends after the call."""
        self._aiohttp_keeps_time = True
        """Whether the keep-alive time is aiohttp's to keep."""
        self._ended: asyncio.Future[None] | None = None
        self._idle_since = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None
        self.handed_over: FastCall | None = None
        """A call that the handler is to go on with, until it does."""

    def respond(self, response: bytes) -> None:
        """Answer the call that was begun; it ends when the kernel has taken the response."""
        if self.transport is None:
            return  # its caller has left, and `connection_lost` ends it
        self.transport.write(response)
        if self.writing_paused:
            self._sent = True
        else:
            self._end_call()

    def hand_over(self) -> None:
        """Let the handler go on with the call that was begun."""
        call, request, self._call, self._request = self._call, self._request, None, None
        if call is None or request is None:
            return
        self.handed_over = call
        if not self._handler_waits:  # there is none any more
            self._end_connection()  # which ends the call
            return
        self._give(request.raw)
        if self._is_last:
            super().close()
        else:
            self._give_deferred()
        if self._ended is not None:
            self._ended.set_result(None)

    # RequestHandler

    @property
    def silent_since(self) -> tuple[bool, float] | None:
        """As for every connection; one with a call is not silent."""
        return None if self._call is not None else super().silent_since

    def data_received(self, data: bytes) -> None:
        """Offer a request to the fast path if the handler waits for one."""
        if not data:
            super().data_received(data)  # aiohttp, which goes on with what it has
        elif self._call is not None or self._deferred:
            self._deferred += data
            if len(self._deferred) > MAX_DEFERRED_BYTES and self.transport is not None:
                self.transport.pause_reading()
                self._holds_reading = True
        elif not self._tracker.between_requests or self._messages:
            self._give(data)
        elif self._handler_waits:
            self._receive(data)
        elif self._waiter is None and self._current_request is None:
            # The handler is about to wait: it begins, or has just answered.
            self._deferred = data
            asyncio.get_running_loop().call_soon(self._receive_deferred)
        else:
            self._give(data)

    @property
    def _handler_waits(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _receive_deferred(self) -> None:
        if not self._handler_waits:
            self._give_deferred()
        elif data := self._take_deferred():
            self._receive(data)

    def _give_deferred(self) -> None:
        if data := self._take_deferred():
            self._give(data)

    def _take_deferred(self) -> bytes:
        data, self._deferred = self._deferred, b""
        if self._holds_reading and self.transport is not None:
            self._holds_reading = False
            self.transport.resume_reading()
        return data

    def _give(self, data: bytes) -> None:
        """Leave it to aiohttp."""
        self._stop_idle_timer()
        self._aiohttp_keeps_time = True
        self._tracker.feed(data)
        super().data_received(data)

    def _receive(self, data: bytes) -> None:
        """Take the fast path with the request that is next, or leave it to aiohttp."""
        request = None if self.writing_paused else self._reader.read(data)
        call = None if request is None else self._fast_path.begin(request, self)
        if call is None or request is None:
            self._give(data)
            return
        self._call, self._request = call, request
        if len(request.raw) < len(data):
            self._deferred = data[len(request.raw) :]
        self._last_heard_at = time.monotonic()
        self._request_count += 1
        cast(web.Server, self._manager).requests_count += 1
        if self._aiohttp_keeps_time:
            self._aiohttp_keeps_time = False
            self.keep_alive(True)  # its timer, which knows nothing of calls here, is stopped

    def _end_call(self) -> None:
        """The response is on its way: on to what came meanwhile."""
        call, request = self._call, self._request
        self._call, self._request, self._sent = None, None, False
        if call is not None:
            call.end(sent=True)
        if self._is_last or (request is not None and not request.headers.keep_alive):
            self._end_connection()
            return
        loop = asyncio.get_running_loop()
        self._idle_since = loop.time()
        if self._idle_timer is None:
            self._idle_timer = loop.call_later(self.keepalive_timeout, self._check_idle)
        if self._deferred:
            self._receive_deferred()

    def _end_connection(self) -> None:
        super().close()
        if self.transport is not None:
            self.transport.close()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _stop_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _check_idle(self) -> None:
        """End a connection on which nothing came for the keep-alive time after a call."""
        self._idle_timer = None
        loop = asyncio.get_running_loop()
        due = self._idle_since + self.keepalive_timeout
        if self.silent_since is None:  # then it is looked at after this one
            due = loop.time() + self.keepalive_timeout
        if loop.time() < due:
            self._idle_timer = loop.call_at(due, self._check_idle)
        else:
            self.force_close()

    def close(self) -> None:
        """End the connection after the call under way."""
        if self._call is None:
            super().close()
        else:
            self._is_last = True

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109  # as aiohttp
        """Give the call under way so long to end, as a request of the handler's."""
        loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        if self._call is not None:
            self._is_last, self._ended = True, loop.create_future()
            await asyncio.wait([self._ended], timeout=timeout)
        left = timeout if timeout is None else max(0.01, timeout - (loop.time() - began))
        await super().shutdown(left)

    def resume_writing(self) -> None:
        """The kernel has taken the response."""
        super().resume_writing()
        if self._sent:
            self._end_call()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End a call whose caller has left."""
        self._deferred = b""
        for call in (self._call, self.handed_over):
            if call is not None:
                call.end(sent=False)
        self._call = self._request = self.handed_over = None
        self._reader.close()
        self._tracker.close()
        self._stop_idle_timer()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        super().connection_lost(exc)

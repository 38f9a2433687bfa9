"""Requests answered by plain calls: without a task, a future and a request object each.

aiohttp's parser decides what is HTTP. A request that is complete is offered to the fast path before
aiohttp's handler is woken for it; what the fast path does not take, or cannot complete, that
handler gets as ever. So the fast path only has to know the plainest requests.
"""

import asyncio
from typing import Any, Protocol, cast

from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from broker.web.core.descriptors import DescriptorGuard
from broker.web.core.http_server import ConnectionHandler

MAX_QUEUED = 8
"""How many requests may wait on a connection; of more, the handler takes care of reading."""


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

    def begin(
        self, message: RawRequestMessage, body: bytes | None, connection: "FastConnection"
    ) -> FastCall | None:
        """Begin to answer a request, later by `connection.respond` or `connection.hand_over`; None,
        and nothing has happened, where it is not for the fast path.
        """


class FastConnection(ConnectionHandler):
    """A connection of a caller's whose requests may take the fast path, one at a time."""

    __slots__ = (
        "_call",
        "_deferred",
        "_ended",
        "_fast_path",
        "_idle_since",
        "_idle_timer",
        "_is_last",
        "_message",
        "_sent",
        "handed_over",
    )

    def __init__(
        self, manager: web.Server, guard: DescriptorGuard, fast_path: FastPath, **settings: Any
    ) -> None:
        super().__init__(manager, guard, **settings)
        self._fast_path = fast_path
        self._call: FastCall | None = None
        self._message: tuple[Any, StreamReader] | None = None
        self._sent = False
        self._deferred = b""
        self._is_last = False
        """Whether the connection ends after the call."""
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
        call, message, self._call, self._message = self._call, self._message, None, None
        if call is None or message is None:
            return
        self.handed_over = call
        if self._waiter is None or self._waiter.done():  # there is no handler any more
            self._end_connection()  # which ends the call
            return
        self._messages.appendleft(message)
        self._wake()
        if self._is_last:
            super().close()
        if self._ended is not None:
            self._ended.set_result(None)

    # RequestHandler

    @property
    def silent_since(self) -> tuple[bool, float] | None:
        """As for every connection; one with a call is not silent."""
        return None if self._call is not None else super().silent_since

    def data_received(self, data: bytes) -> None:
        """Parse what came, and offer the request to the fast path if the handler waits for one."""
        waiter = self._waiter
        if self._deferred:
            self._deferred += data
            return
        if self._call is None and (waiter is None or waiter.done() or self._messages):
            if waiter is None and self._current_request is None and not self._messages:
                # The handler is about to wait: it begins, or has just answered.
                self._deferred = data
                asyncio.get_running_loop().call_soon(self._receive_deferred)
            else:
                super().data_received(data)
            return
        self._receive(data)

    def _receive_deferred(self) -> None:
        data, self._deferred = self._deferred, b""
        if self._waiter is None or self._waiter.done() or self._messages:
            super().data_received(data)
        else:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        waiter, self._waiter = self._waiter, None  # so that it is not woken
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._call is None:
            self._begin()

    def _begin(self) -> None:
        """Take the fast path with the request that is next, or wake the handler for it."""
        if not self._messages:
            return
        message, payload = self._messages[0]
        if (
            self.writing_paused
            or len(self._messages) > MAX_QUEUED
            or not isinstance(message, RawRequestMessage)
            or not (payload is EMPTY_PAYLOAD or payload.is_eof())
        ):
            self._wake()
            return
        body = None if payload is EMPTY_PAYLOAD else self._read(payload)
        call = self._fast_path.begin(message, body, self)
        if call is None:
            if body is not None:
                self._messages[0] = (message, self._complete_payload(body))
            self._wake()
            return
        self._call, self._message = call, self._messages.popleft()
        cast(web.Server, self._manager).requests_count += 1
        self.keep_alive(True)  # its timer, which knows nothing of calls here, is stopped

    def _read(self, payload: StreamReader) -> bytes:
        """A body that is complete."""
        # It makes aiohttp go on parsing, and what that finds must not wake the handler.
        waiter, self._waiter = self._waiter, None
        try:
            return payload.read_nowait()
        finally:
            self._waiter = waiter

    def _complete_payload(self, body: bytes) -> StreamReader:
        # With a limit that it keeps: the parser, which is past it, can no longer be paused for it.
        payload = StreamReader(self, len(body), loop=asyncio.get_running_loop())
        payload.feed_data(body)
        payload.feed_eof()
        return payload

    def _wake(self) -> None:
        """Have the handler take what is next; the keep-alive time after it is aiohttp's to keep."""
        self._stop_idle_timer()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end_call(self) -> None:
        """The response is on its way: on to what came meanwhile."""
        call, message = self._call, self._message
        self._call, self._message, self._sent = None, None, False
        if call is not None:
            call.end(sent=True)
        if self._is_last or (message is not None and message[0].should_close):
            self._end_connection()
            return
        if self._parser is not None:
            self._parser.message_consumed()
        loop = asyncio.get_running_loop()
        self._idle_since = loop.time()
        if self._idle_timer is None:
            self._idle_timer = loop.call_later(self.keepalive_timeout, self._check_idle)
        self._begin()

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
        self._call = self._message = self.handed_over = None
        self._stop_idle_timer()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)
        super().connection_lost(exc)

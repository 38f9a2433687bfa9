"""One kept connection to a provider: a request goes out on it, then its response comes in.

What HTTP means is decided by llhttp (by httptools), in its strict reading; which request is under
way and how much may wait in memory, here. It has no timer: `Pool` checks the times of all.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httptools

from broker.providers.transport.headers import FirstValues, Headers, decoded, lower
from broker.providers.transport.response import InvalidResponse, ResponseCut, UpstreamResponse

MAX_HEAD_BYTES = 65_536
"""How much may come in a row that is no body: a head, of which HubSpot's own servers take a quarter
of it at most, or what stands between chunks and after them.
"""

MAX_HEADERS = 500

CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class UpstreamConnection(asyncio.Protocol):
    """A connection to a provider and the response that comes in on it, if there is one.

    `on_idle` is called when the next request may go out, `on_closed` when none ever will.
    """

    def __init__(
        self,
        on_idle: Callable[["UpstreamConnection"], None],
        on_closed: Callable[["UpstreamConnection"], None],
    ) -> None:
        self._on_idle = on_idle
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: Any = None  # an asyncio.Transport, or None without a connection
        self._since_body = 0
        self._status = b""
        self._raw: list[tuple[bytes, bytes]] = []
        self._paused = False
        self._writable: asyncio.Future[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self.response: UpstreamResponse | None = None
        self.responses = 0
        self.idle_since = self._loop.time()

    @property
    def alive(self) -> bool:
        """Whether a request may still go out on it."""
        return self._transport is not None and not self._transport.is_closing()

    def send(
        self, request: bytes, body: AsyncIterator[bytes] | None, until: float, *, bodiless: bool
    ) -> UpstreamResponse:
        """Send a request, with a body that comes framed and piece by piece if there is one.

        `bodiless`: the answer has no body whatever its headers say, as to HEAD. `until` is on the
        loop's clock.
        """
        response = self.response = UpstreamResponse(self, self._loop, until, no_body=bodiless)
        self._transport.write(request)
        if body is not None:
            self._sending = self._loop.create_task(self._send(response, body))
        return response

    def resume(self) -> None:
        """The reader has caught up."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
            if self.response is not None:
                self.response.last_activity = self._loop.time()
                self.response.waiting_on_upstream = True

    def abort(self, error: BaseException | None = None) -> None:
        """End the connection, and with an error whatever waits for it."""
        self._fail(error or ResponseCut("The response broke off."))

    async def _send(self, response: UpstreamResponse, body: AsyncIterator[bytes]) -> None:
        """Send a body. While its next piece is not there, it is not the provider that is slow."""
        transport = self._transport
        try:
            response.waiting_on_upstream = False
            async for piece in body:
                response.waiting_on_upstream, response.last_activity = True, self._loop.time()
                transport.write(piece)
                if self._writable is not None:
                    await self._writable
                response.waiting_on_upstream = False
            response.waiting_on_upstream, response.last_activity = True, self._loop.time()
            self._sending = None
        except Exception as error:  # noqa: BLE001  # whoever waits for the answer raises it
            if self.response is response:
                self._sending = None
                self._fail(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None:
            self.abort()  # no request is under way
            return
        response.last_activity = self._loop.time()
        self._since_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ResponseCut):
            self.abort(ResponseCut("The response is not HTTP."))
        if self._since_body > MAX_HEAD_BYTES:
            self.abort(ResponseCut("The response has no end of its head or trailer."))
        if response.on_progress is not None:
            response.on_progress()

    def eof_received(self) -> bool:
        response = self.response
        if response is not None and response.status and not response.has_framing:
            # The end of the connection is the end of such an answer.
            self._finish(response, keep=False)
            if response.on_progress is not None:
                response.on_progress()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        response = self.response
        has_begun = response is not None and (response.status or self._raw or self._status)
        failure: OSError = ResponseCut("The response broke off.")
        if not has_begun:
            failure = InvalidResponse("The connection ended.")
        self._fail(failure)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    # httptools

    def on_message_begin(self) -> None:
        if self.response is None or self.response.status:
            raise ResponseCut

    def on_status(self, status: bytes) -> None:
        self._status += status

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        response = self.response
        if status < 100:
            raise ResponseCut  # of no class, so it would be waited for as if another one followed
        if status < 200 or response is None:
            return
        if len(self._raw) > MAX_HEADERS or CONTROL.search(self._status):
            raise ResponseCut
        raw = Headers(self._raw)
        names = raw.by_name
        chunked = b"transfer-encoding" in names
        if chunked and not _is_chunked(raw):
            raise ResponseCut  # a coding that would be neither undone nor passed on
        response.has_framing = chunked or b"content-length" in names
        response.raw, response.headers = raw, FirstValues(raw)
        response.reason = decoded(self._status)
        response.status = status
        if response.no_body and names.get(b"content-length") != b"0":
            # The parser cannot be told that no body follows, so this connection has had its last.
            self._finish(response, keep=False)
        response.wake()

    def on_body(self, part: bytes) -> None:
        response = self.response
        self._since_body = 0
        if response is not None and not response.feed(part) and not self._paused:
            self._paused = True
            response.waiting_on_upstream = False
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        response = self.response
        self._status, self._raw = b"", []
        if response is not None and response.status:
            self._finish(response, keep=self._parser.should_keep_alive())

    def _finish(self, response: UpstreamResponse, *, keep: bool) -> None:
        self.response = None
        transport = self._transport
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()  # the provider answered before the body was sent
        self.responses += 1
        self._since_body = 0
        response.end()
        self.resume()
        all_sent = sending is None and not transport.get_write_buffer_size()
        if keep and all_sent and not transport.is_closing():
            self._on_idle(self)
        else:
            transport.close()

    def _fail(self, error: BaseException) -> None:
        transport, self._transport = self._transport, None
        response, self.response = self.response, None
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
        self.resume_writing()
        if transport is not None:
            transport.abort()
            self._on_closed(self)
        if response is not None:
            response.end(error)
            if response.on_progress is not None:
                response.on_progress()


def _is_chunked(raw: Headers) -> bool:
    """Whether the body is in chunks, and nothing else was done to it on its way."""
    codings = [value for name, value in raw.lines if lower(name) == b"transfer-encoding"]
    return len(codings) == 1 and codings[0].strip().lower() == b"chunked"

"""One answer while it comes in: its head, then its raw body, no faster than it is read."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from broker.providers.transport.headers import FirstValues, Headers

ENOUGH_BYTES = 131_072
"""What may wait for a slow reader before the provider is slowed down."""


NO_HEADERS = Headers()
NONE = FirstValues(NO_HEADERS)


class ResponseCut(OSError):
    """An answer broke off, or is not HTTP."""


class InvalidResponse(OSError):
    """The connection ended before the first byte of an answer."""


class ConnectionControl(Protocol):
    """The connection that an answer comes in on, as the answer knows it."""

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class UpstreamResponse:
    """A response while it comes in. Iterating gives its raw body, undone from transfer encoding;
    `bytes_read` counts the bytes taken. Raises ResponseCut where it breaks off, TimeoutError when
    the provider takes too long. Whoever has one closes it.
    """

    __slots__ = (
        "_chunks",
        "_connection",
        "_ended",
        "_error",
        "_loop",
        "_waiter",
        "_waiting",
        "bytes_read",
        "deadline",
        "has_framing",
        "headers",
        "last_activity",
        "no_body",
        "on_progress",
        "overdue",
        "raw",
        "reason",
        "status",
        "waiting_on_upstream",
    )  # fmt: skip

    def __init__(
        self,
        connection: ConnectionControl,
        loop: asyncio.AbstractEventLoop,
        deadline: float,
        *,
        no_body: bool,
    ) -> None:
        self._loop = loop
        self.status = 0
        self.reason = ""
        self.headers: Mapping[str, str] = NONE
        """By lower-case name; of a name that stands twice, the first."""
        self.raw = NO_HEADERS
        """As they came."""
        self.bytes_read = 0
        self.no_body = no_body
        self.has_framing = False
        self.deadline = deadline
        self.last_activity = loop.time()
        """When a byte last went either way, on the loop's clock."""
        self.waiting_on_upstream = True
        """Whether the next byte is the provider's to send."""
        self.overdue = False
        self.on_progress: Callable[[], None] | None = None
        """Called when something of it has come, until it is None; for who does not await it."""
        self._connection: ConnectionControl | None = connection
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._ended = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for status and headers. Raises InvalidResponse, ResponseCut, TimeoutError, or
        whatever ended the request's own body.
        """
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait_for_data()

    @property
    def is_pending(self) -> bool:
        """Whether neither its head has come nor an error in its place."""
        return not self.status and self._error is None

    async def read(self) -> bytes:
        """What has come since the last time, waiting for some; nothing at the end."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._wait_for_data()
        parts = self._chunks
        taken = parts.popleft() if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self._waiting = 0
        self.bytes_read += len(taken)
        if self._connection is not None:
            self._connection.resume()
        return taken

    def put_back(self, taken: bytes) -> None:
        """Have the next read begin with what was taken already."""
        if taken:
            self._chunks.appendleft(taken)
            self._waiting += len(taken)
            self.bytes_read -= len(taken)

    @property
    def is_complete(self) -> bool:
        """Whether all of it is here, as of a small answer mostly is."""
        return self._ended

    def read_buffered(self) -> bytes:
        """What is here and was not read."""
        rest = b"".join(self._chunks)
        self._chunks.clear()
        self._waiting = 0
        self.bytes_read += len(rest)
        return rest

    def close(self) -> None:
        """Let go: of an answer that is not at its end, by ending its connection."""
        if self._connection is not None:
            self._connection.abort()
        self._chunks.clear()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if taken := await self.read():
            return taken
        raise StopAsyncIteration

    def feed(self, part: bytes) -> bool:
        """Keep a part for the reader; False when that is enough for now."""
        self._chunks.append(part)
        self._waiting += len(part)
        self.wake()
        return self._waiting < ENOUGH_BYTES

    def end(self, error: BaseException | None = None) -> None:
        """There will be no more of it."""
        self._connection = None
        self._ended = error is None
        self._error = error
        self.wake()

    def wake(self) -> None:
        """Have the reader look."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _wait_for_data(self) -> "asyncio.Future[None]":
        waiter = self._waiter = self._loop.create_future()
        return waiter

"""Requests that are complete in one piece, read by llhttp (by httptools) for the fast path.

aiohttp's parser, which is llhttp too, makes a message, a multidict and a URL of each request. What
is read here is bytes, and only the plainest: whatever is not, aiohttp reads from its first byte.
"""

from typing import Any

import httptools

from broker.providers.transport.headers import lower

MAX_HEAD_BYTES = 16_384
"""The longest head that is plain: within all limits that aiohttp's parser is given."""

MAX_HEADERS = 100

NOT_PLAIN = frozenset({b"transfer-encoding", b"upgrade", b"expect"})
"""Headers by which a request is more than its head and a body of a known length."""


class PlainRequest:
    """A complete HTTP/1.1 request, of which no header stands twice."""

    __slots__ = ("body", "fields", "keep_alive", "lines", "method", "path", "raw")

    def __init__(
        self,
        raw: bytes,
        method: str,
        path: str,
        lines: list[tuple[bytes, bytes]],
        fields: dict[bytes, bytes],
        body: bytes | None,
        *,
        keep_alive: bool,
    ) -> None:
        self.raw = raw
        """All of its bytes."""
        self.method = method
        self.path = path
        """Path and query as they came."""
        self.lines = lines
        """Its headers in order."""
        self.fields = fields
        """The same by lower-case name."""
        self.body = body
        self.keep_alive = keep_alive
        """Whether another may follow on its connection."""


class RequestReader:
    """Reads the plain requests of one connection."""

    __slots__ = ("_complete", "_keep_alive", "_lines", "_parser", "_path", "_usable")

    def __init__(self) -> None:
        self._parser: Any = None
        self._usable = False
        """Whether the parser has read the last request to its end."""
        self._path = b""
        self._lines: list[tuple[bytes, bytes]] = []
        self._complete = self._keep_alive = False

    def read(self, data: bytes) -> PlainRequest | None:
        """The request with which `data` begins, if all of it is there and it is plain."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) + 4
        if end < 4:
            return None
        if not self._usable:
            self._parser = httptools.HttpRequestParser(self)
        parser, self._usable = self._parser, False
        self._path, self._lines, self._complete = b"", [], False
        try:
            parser.feed_data(data if end == len(data) else data[:end])
            lines = self._lines
            fields = {lower(name): value for name, value in lines}
            if not (
                # One line each, and no name twice: then no two readers can take it differently.
                data.count(b"\n", 0, end) - 2 == len(lines) == len(fields) <= MAX_HEADERS
                and b"host" in fields
                and NOT_PLAIN.isdisjoint(fields)
                and parser.get_http_version() == "1.1"
            ):
                return None
            body = None
            if not self._complete:
                length = int(fields[b"content-length"])
                body, end = data[end : end + length], end + length
                if end > len(data):
                    return None
                parser.feed_data(body)
            path = self._path.decode("ascii")
        except (
            httptools.HttpParserError,
            httptools.HttpParserUpgrade,
            KeyError,
            UnicodeDecodeError,
        ):
            return None
        if not self._complete:
            return None
        self._usable = True
        return PlainRequest(
            data if end == len(data) else data[:end],
            parser.get_method().decode(),
            path,
            lines,
            fields,
            body,
            keep_alive=self._keep_alive,
        )

    def close(self) -> None:
        """Let go of the parser, which holds this reader."""
        self._parser, self._usable = None, False

    # httptools' protocol

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name, value.rstrip(b" \t")))

    def on_message_complete(self) -> None:
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # which it forgets after this


class RequestTracker:
    """Follows requests that aiohttp reads, to know when none is begun and not yet complete."""

    __slots__ = ("_parser", "between_requests")

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self.between_requests = True
        """Never again on a connection on which something else than requests came."""

    def feed(self, data: bytes) -> None:
        """Follow what aiohttp is given."""
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()

    def close(self) -> None:
        """Follow nothing any more."""
        self._parser, self.between_requests = None, False

    # httptools' protocol

    def on_message_begin(self) -> None:
        self.between_requests = False

    def on_message_complete(self) -> None:
        self.between_requests = True

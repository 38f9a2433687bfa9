"""Requests that are complete in one piece, read by llhttp (by httptools) for the fast path.

aiohttp's parser, which is llhttp too, makes a message, a multidict and a URL of each request. What
is read here is bytes, and only the plainest: whatever is not, aiohttp reads from its first byte.

A backend sends the same headers with each call, so that a request whose header section is byte for
byte its connection's last one is not parsed again but for its first line.
"""

import re
from typing import Any

import httptools

from broker.providers.transport.headers import Headers, lower

MAX_HEAD_BYTES = 16_384
"""The longest head that is plain: within all limits that aiohttp's parser is given."""

MAX_HEADERS = 100

MAX_REMEMBERED_BYTES = 4_096
"""The longest header section that a connection remembers."""

REQUEST_LINE = re.compile(rb"(GET|POST|PUT|PATCH|DELETE) (/[!\"$-~]*) HTTP/1\.1\r\n")
"""First lines that every reader takes for the same: a path of what RFC 9112 lets a URL have."""

NOT_PLAIN = frozenset({b"transfer-encoding", b"upgrade", b"expect"})
"""Headers by which a request is more than its head and a body of a known length."""


class PlainHeaders(Headers):
    """The headers of a request, none of which stands twice."""

    __slots__ = ("keep_alive", "length", "raw")

    def __init__(
        self,
        raw: bytes,
        lines: list[tuple[bytes, bytes]],
        fields: dict[bytes, bytes],
        length: int | None,
        *,
        keep_alive: bool,
    ) -> None:
        super().__init__(lines)
        self._by_name = fields
        self.raw = raw
        """All of the bytes between the first line and the body."""
        self.length = length
        """Of the body in bytes; None where none follows."""
        self.keep_alive = keep_alive
        """Whether another request may follow."""


class PlainRequest:
    """A complete HTTP/1.1 request, of which no header stands twice."""

    __slots__ = ("body", "headers", "method", "path", "raw")

    def __init__(
        self, raw: bytes, method: str, path: str, headers: PlainHeaders, body: bytes | None
    ) -> None:
        self.raw = raw
        """All of its bytes."""
        self.method = method
        self.path = path
        """Path and query as they came."""
        self.headers = headers
        self.body = body


class RequestReader:
    """Reads the plain requests of one connection."""

    __slots__ = ("_complete", "_headers", "_keep_alive", "_lines", "_parser", "_path", "_usable")

    def __init__(self) -> None:
        self._parser: Any = None
        self._usable = False
        """Whether the parser has read the last request to its end."""
        self._path = b""
        self._lines: list[tuple[bytes, bytes]] = []
        self._complete = self._keep_alive = False
        self._headers: PlainHeaders | None = None
        """Those of the last request."""

    def read(self, data: bytes) -> PlainRequest | None:
        """The request with which `data` begins, if all of it is there and it is plain."""
        if self._headers is not None:
            line = REQUEST_LINE.match(data, 0, MAX_HEAD_BYTES - len(self._headers.raw))
            if line is not None and data.startswith(self._headers.raw, line.end()):
                return _with_headers(data, line, self._headers)
        return self._parse(data)

    def _parse(self, data: bytes) -> PlainRequest | None:
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
            raw = data[data.index(b"\n") + 1 : end]
            body = length = None
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
        headers = PlainHeaders(raw, lines, fields, length, keep_alive=self._keep_alive)
        is_remembered = self._keep_alive and len(raw) <= MAX_REMEMBERED_BYTES
        self._headers = headers if is_remembered else None
        raw = data if end == len(data) else data[:end]
        return PlainRequest(raw, parser.get_method().decode(), path, headers, body)

    def close(self) -> None:
        """Let go of the parser, which holds this reader, and of the caller's credentials."""
        self._parser, self._usable, self._headers = None, False, None

    # httptools' protocol

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name, value.rstrip(b" \t")))

    def on_message_complete(self) -> None:
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # which it forgets after this


def _with_headers(data: bytes, line: re.Match[bytes], headers: PlainHeaders) -> PlainRequest | None:
    """The request of a first line with headers that were read before, if all of it is there."""
    end = line.end() + len(headers.raw)
    body = None
    if headers.length is not None:
        body, end = data[end : end + headers.length], end + headers.length
        if end > len(data):
            return None
    raw = data if end == len(data) else data[:end]
    return PlainRequest(raw, line[1].decode(), line[2].decode(), headers, body)


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

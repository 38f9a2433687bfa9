"""A provider's answer as the caller gets it: unchanged, in one write where it is complete."""

from collections.abc import Sequence
from email.utils import formatdate

from aiohttp import web

from broker.providers.calls.answers import Answer
from broker.providers.transport.headers import encoded, lower
from broker.web.core.middleware import REQUEST_ID

SECURITY_HEADERS = (
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
)
"""A provider's answer must not run as a page of the broker's origin."""

BODILESS = frozenset({204, 304})
"""Statuses whose responses have no body, and no framing of one."""

DEFAULT_HEADERS = "Content-Type", "Server"

UPSTREAM_HEADERS = web.ResponseKey("lower-case names of the provider's headers", frozenset)


def can_write_at_once(request: web.Request, answer: Answer) -> bool:
    """Whether the answer is complete and its framing is plain."""
    return (
        answer.chunks.is_complete
        and request.version == (1, 1)
        and request.method != "HEAD"
        and answer.status not in BODILESS
    )


class SingleWriteResponse(web.StreamResponse):
    """A complete answer: one write, past everything that makes a response by steps."""

    def __init__(self, request: web.Request, answer: Answer) -> None:
        super().__init__(status=answer.status, reason=answer.reason)
        self._answer = answer
        self._keeps_alive = bool(request.keep_alive)
        self._whole_body = answer.chunks.read_buffered()
        self._written = False

    @property
    def prepared(self) -> bool:
        """True, so that no header is added."""
        return True

    @property
    def keep_alive(self) -> bool:
        """Whether the caller's connection stays open."""
        return self._keeps_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it, once. Raises ConnectionResetError when the caller has left."""
        if self._written:
            return
        if request.transport is None:
            raise ConnectionResetError
        self._written = True
        whole = encode_complete(
            self._answer, self._whole_body, request[REQUEST_ID], keep_alive=self._keeps_alive
        )
        request.transport.write(whole)
        # It went past the writer, which is asked whether an answer has begun.
        request.writer.output_size += len(whole)
        await request.writer.drain()

    async def write_eof(self, _data: bytes = b"") -> None:
        """Do nothing: it was written to its end."""


def encode_complete(answer: Answer, body: bytes, request_id: str, *, keep_alive: bool) -> bytes:
    """A complete answer as an HTTP/1.1 response to anything but HEAD; its status has a body."""
    lines = answer.headers.lines
    names = {lower(name) for name, _ in lines}
    head = [b"HTTP/1.1 %d %b" % (answer.status, encoded(answer.reason))]
    head += map(b": ".join, lines)
    more = _own_headers(request_id, is_known=b"x-request-id" in names)
    if b"date" not in names:
        more.append(("Date", formatdate(usegmt=True)))
    if not keep_alive:
        more.append(("Connection", "close"))
    if b"content-length" not in names:
        more.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    head.append("\r\n".join(map(": ".join, more)).encode())
    return b"\r\n".join([*head, b"", body])


def begin_stream(
    request: web.Request, answer: Answer, headers: Sequence[tuple[str, str]]
) -> web.StreamResponse:
    """The beginning of an answer that is still arriving, or is wrapped."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    # Head and body leave in one write when both have arrived; else the head does not wait.
    response._send_headers_immediately = not answer.chunks.is_complete  # noqa: SLF001
    names = frozenset(name.lower() for name, _ in headers)
    response.headers.extend(headers)
    response.headers.extend(_own_headers(request[REQUEST_ID], is_known="x-request-id" in names))
    response[UPSTREAM_HEADERS] = names
    return response


async def remove_default_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Remove what aiohttp adds where the provider sent nothing."""
    upstream = response.get(UPSTREAM_HEADERS)
    if upstream is not None:
        for name in DEFAULT_HEADERS:
            if name.lower() not in upstream:
                response.headers.pop(name, None)


def _own_headers(request_id: str, *, is_known: bool) -> list[tuple[str, str]]:
    """The broker's headers. `is_known`: the provider says a request id, which is the caller's then;
    the broker's finds its log line.
    """
    headers = [("Broker-Request-Id", request_id), *SECURITY_HEADERS]
    if not is_known:
        headers.append(("X-Request-Id", request_id))
    return headers

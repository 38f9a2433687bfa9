"""HubSpot's answer as the caller gets it: as it is, in one write where it is all there."""

from collections.abc import Collection, Sequence
from email.utils import formatdate

from aiohttp import web

from broker.providers.calls.answers import Answer
from broker.web.core.middleware import REQUEST_ID

SECURITY_HEADERS = (
    ("Content-Security-Policy", "sandbox; default-src 'none'"),
    ("X-Content-Type-Options", "nosniff"),
)
"""What HubSpot says must not run as a page of ours."""

DEFAULT_HEADERS = "Content-Type", "Server"

UPSTREAM_HEADERS = web.ResponseKey("lower-case names of HubSpot's headers", frozenset)


def can_write_at_once(request: web.Request, answer: Answer) -> bool:
    """Whether the answer is all there and its framing is plain."""
    return (
        answer.chunks.is_complete
        and request.version == (1, 1)
        and request.method != "HEAD"
        and answer.status not in {204, 304}
    )


class SingleWriteResponse(web.StreamResponse):
    """An answer that is all there: one write, past everything that makes a response by steps."""

    def __init__(self, request: web.Request, answer: Answer) -> None:
        super().__init__(status=answer.status, reason=answer.reason)
        self._answer = answer
        self._kept = bool(request.keep_alive)
        self._whole = answer.chunks.read_buffered()
        self._written = False

    @property
    def prepared(self) -> bool:
        """Nobody may add a header."""
        return True

    @property
    def keep_alive(self) -> bool:
        """Whether the caller's connection stays."""
        return self._kept

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write it, once. Raises ConnectionResetError when the caller has left."""
        if self._written:
            return
        if request.transport is None:
            raise ConnectionResetError
        self._written = True
        named = {name.lower() for name, _ in self._answer.headers}
        headers = _response_headers(request, self._answer.headers, named)
        if "date" not in named:
            headers.append(("Date", formatdate(usegmt=True)))
        if not self._kept:
            headers.append(("Connection", "close"))
        body = self._whole
        if "content-length" not in named:
            headers.append(("Transfer-Encoding", "chunked"))
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        head = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = f"HTTP/1.1 {self.status} {self.reason}\r\n{head}\r\n"
        whole = head.encode("utf-8", "surrogateescape") + body
        request.transport.write(whole)
        # It went past the writer, which is asked whether an answer has begun.
        request.writer.output_size += len(whole)
        await request.writer.drain()

    async def write_eof(self, _data: bytes = b"") -> None:
        """It was written to its end."""


def begin_stream(
    request: web.Request, answer: Answer, headers: Sequence[tuple[str, str]]
) -> web.StreamResponse:
    """The beginning of an answer that is still coming, or is made into another."""
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    # Head and body leave in one write when both are there; else the head does not wait.
    response._send_headers_immediately = not answer.chunks.is_complete  # noqa: SLF001
    named = frozenset(name.lower() for name, _ in headers)
    response.headers.extend(_response_headers(request, headers, named))
    response[UPSTREAM_HEADERS] = named
    return response


async def remove_default_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Take back what aiohttp adds where HubSpot said nothing."""
    hubspots = response.get(UPSTREAM_HEADERS)
    if hubspots is not None:
        for name in DEFAULT_HEADERS:
            if name.lower() not in hubspots:
                response.headers.pop(name, None)


def _response_headers(
    request: web.BaseRequest, headers: Sequence[tuple[str, str]], named: Collection[str]
) -> list[tuple[str, str]]:
    """HubSpot's headers and ours. Its request id is the caller's when there is one; ours finds our
    log line.
    """
    request_id = request[REQUEST_ID]
    told = [*headers, ("Broker-Request-Id", request_id), *SECURITY_HEADERS]
    if "x-request-id" not in named:
        told.append(("X-Request-Id", request_id))
    return told

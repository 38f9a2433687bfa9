"""A call as the bytes that go to the provider."""

from collections.abc import AsyncIterator

from broker.errors import InvalidRequest
from broker.providers.transport.headers import Headers, encoded

BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods for which a request that says nothing of a body has none (RFC 9110 section 8.6)."""


def encode_request(
    method: str,
    target: str,
    headers: Headers,
    body: bytes | AsyncIterator[bytes] | None,
    length: str | None,
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The request as far as it is there at once, and the rest of its body, framed.

    `length`: the Content-Length of a body that comes piece by piece, None where it is not known.
    Raises InvalidRequest for what cannot be a head: it must not become two requests.
    """
    lines = [encoded(f"{method} {target} HTTP/1.1")]
    lines += [b"%b: %b" % line for line in headers.lines]
    rest: AsyncIterator[bytes] | None = None
    at_once = b""
    if body is None:
        if method not in BODILESS_METHODS:
            lines.append(b"Content-Length: 0")
    elif isinstance(body, bytes):
        at_once = body
        lines.append(b"Content-Length: %d" % len(body))
    elif length is not None:
        rest = _counted(body, int(length))
        lines.append(b"Content-Length: %b" % length.encode())
    else:
        rest = _chunked(body)
        lines.append(b"Transfer-Encoding: chunked")
    head = b"\r\n".join(lines)
    if head.count(b"\n") >= len(lines) or head.count(b"\r") >= len(lines) or b"\0" in head:
        raise InvalidRequest("A header contains characters that are not allowed in a header.")
    return head + b"\r\n\r\n" + at_once, rest


async def _chunked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in body:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


async def _counted(body: AsyncIterator[bytes], length: int) -> AsyncIterator[bytes]:
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise InvalidRequest("The body is not as long as its Content-Length says.")

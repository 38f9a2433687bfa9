"""A call as the bytes that go to the provider."""

from collections.abc import AsyncIterator, Sequence

from broker.errors import InvalidRequest
from broker.providers.transport.headers import NOT_IN_LINES, Headers, encoded

BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods for which a request that says nothing of a body has none (RFC 9110 section 8.6)."""


def encode_request(
    method: str,
    target: str,
    headers: Sequence[Headers],
    body: bytes | AsyncIterator[bytes] | None,
    length: str | None,
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The request as far as it is there at once, and the rest of its body, framed.

    `headers`: in parts, one after the other. `length`: the Content-Length of a body that comes
    piece by piece, None where it is not known. Raises InvalidRequest for what cannot be a head: it
    must not become two requests.
    """
    line = encoded(f"{method} {target} HTTP/1.1")
    if len(line.translate(None, NOT_IN_LINES)) != len(line):
        raise InvalidRequest("A method or target contains characters that are not allowed there.")
    head = b"".join([line, b"\r\n", *[part.encode() for part in headers]])
    rest: AsyncIterator[bytes] | None = None
    at_once = b""
    if body is None:
        if method not in BODILESS_METHODS:
            head += b"Content-Length: 0\r\n"
    elif isinstance(body, bytes):
        at_once = body
        head += b"Content-Length: %d\r\n" % len(body)
    elif length is not None:
        rest = _counted(body, int(length))
        head += Headers.of([("Content-Length", length)]).encode()
    else:
        rest = _chunked(body)
        head += b"Transfer-Encoding: chunked\r\n"
    return head + b"\r\n" + at_once, rest


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

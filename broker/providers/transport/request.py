"""A call as the bytes that go to the provider."""

from collections.abc import AsyncIterator, Sequence

from broker.errors import InvalidRequest

BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods for which a request that says nothing of a body has none (RFC 9110 section 8.6)."""


def encode_request(
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | AsyncIterator[bytes] | None,
    length: str | None,
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """The request as far as it is there at once, and the rest of its body, framed.

    `length`: the Content-Length of a body that comes piece by piece, None where it is not known.
    Raises InvalidRequest for what cannot be a head: it must not become two requests.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    rest: AsyncIterator[bytes] | None = None
    at_once = b""
    if body is None:
        if method not in BODILESS_METHODS:
            lines.append("Content-Length: 0")
    elif isinstance(body, bytes):
        at_once = body
        lines.append(f"Content-Length: {len(body)}")
    elif length is not None:
        rest = _counted(body, int(length))
        lines.append(f"Content-Length: {length}")
    else:
        rest = _chunked(body)
        lines.append("Transfer-Encoding: chunked")
    head = "\r\n".join(lines)
    if head.count("\n") >= len(lines) or head.count("\r") >= len(lines) or "\0" in head:
        raise InvalidRequest("A header holds characters that no header value has.")
    return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + at_once, rest


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

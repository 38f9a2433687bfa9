"""A proxied call on its way out: its destination, its bytes, and the beginning of a refusal."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from yarl import URL

from broker.domain.model import ProxyCall
from broker.providers.calls.answers import Answer
from broker.providers.calls.headers import HeaderFilter
from broker.providers.transport.failures import Failures
from broker.providers.transport.headers import Headers
from broker.providers.transport.pool import Pool
from broker.providers.transport.pools import Pools
from broker.providers.transport.request import encode_request
from broker.providers.transport.response import UpstreamResponse

REFUSAL_BYTES = 65_536

MAX_DESTINATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where calls go: the connections of an origin, its Host header, and what stands before each
    path.
    """

    pool: Pool
    host: Headers
    prefix: str


class Destinations:
    """Destinations by their base URL, for providers whose connections have hosts of their own."""

    def __init__(self, pools: Pools, *, public_only: bool = False) -> None:
        """`public_only`: none of them may be at a private address, judged at each connect."""
        self._pools = pools
        self._public_only = public_only
        self._known: dict[str, Destination] = {}

    def at(self, base_url: str) -> Destination:
        """The destination of a base URL: scheme, host and perhaps a path."""
        found = self._known.get(base_url)
        if found is None or found.pool.is_forgotten:
            if len(self._known) >= MAX_DESTINATIONS:
                self._known.clear()
            found = self._known[base_url] = destination_of(
                self._pools, base_url, public_only=self._public_only
            )
        return found


def destination_of(pools: Pools, base_url: str, *, public_only: bool = False) -> Destination:
    """The destination of a base URL: scheme, host and perhaps a path."""
    base = URL(base_url)
    pool = pools.pool(base, public_only=public_only)
    host = Headers.of([("Host", base.raw_authority)])
    return Destination(pool, host, base.raw_path.rstrip("/"))


def encode_call(
    call: ProxyCall,
    destination: Destination,
    headers: HeaderFilter,
    credentials: Sequence[tuple[str, str]] | Headers,
) -> tuple[bytes, AsyncIterator[bytes] | None]:
    """A call as the bytes that can be sent at once, and the rest of its body, framed."""
    added = credentials if isinstance(credentials, Headers) else Headers.of(credentials)
    sent = destination.host, headers.for_request(call.headers), added
    length = None
    if call.body is not None and not isinstance(call.body, bytes):
        length = next(
            (value for name, value in call.headers if name.lower() == "content-length"), None
        )
    return encode_request(call.method, destination.prefix + call.target, sent, call.body, length)


async def peek_body(answer: UpstreamResponse) -> bytes:
    """The first bytes of a refusal, which stay in it."""
    parts, size = [], 0
    try:
        while size < REFUSAL_BYTES and (part := await answer.read()):
            parts.append(part)
            size += len(part)
    except BaseException:
        answer.close()
        raise
    read = b"".join(parts)
    answer.put_back(read)
    return read


async def read_body(answer: Answer, at_most: int, failures: Failures) -> bytes:
    """An answer's body up to a size. Raises the provider's errors when it is cut."""
    parts, size = [], 0
    try:
        async for chunk in answer.chunks:
            parts.append(chunk)
            size += len(chunk)
            if size >= at_most:
                break
    except OSError as error:
        raise failures.refusal(error) from error
    return b"".join(parts)[:at_most]

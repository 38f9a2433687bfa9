"""Which headers cross between a caller and a provider: end-to-end ones, without credentials and
without what names the hops or the origin.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import lru_cache

from broker.providers.transport.headers import Headers, decoded, lower

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-authentication-info",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
    }
)
"""RFC 9110 section 7.6.1, with what older and newer peers send as well."""

STRIPPED_FROM_REQUESTS = frozenset(
    {
        "authorization",
        "cookie",
        "cookie2",
        "host",
        "expect",
        "content-length",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-real-ip",
        "via",
        "prefer",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
    }
)
"""What a caller may not choose: credentials, host, method and hops."""

STRIPPED_FROM_RESPONSES = frozenset(
    {
        "set-cookie",
        "set-cookie2",
        "strict-transport-security",
        "public-key-pins",
        "content-security-policy",
        "content-security-policy-report-only",
        "clear-site-data",
        "alt-svc",
        "nel",
        "report-to",
        "reporting-endpoints",
        "service-worker-allowed",
        "sourcemap",
        "x-content-type-options",
    }
)
"""What a provider says to browsers about its own origin, which is not the broker's."""

PLAIN_OPTIONS = frozenset({b"", b"close", b"keep-alive", b"Keep-Alive"})
"""The options of most connections, which name no header."""

BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


class HeaderFilter:
    """The headers that cross to and from one provider."""

    def __init__(self, stripped_from_requests: Iterable[str] = ()) -> None:
        """`stripped_from_requests`: further names, in lower case, that never reach the provider."""
        stripped = HOP_BY_HOP | STRIPPED_FROM_REQUESTS | frozenset(stripped_from_requests)
        self._is_forwarded: Callable[[bytes], bool] = lru_cache(maxsize=2048)(
            lambda name: _is_forwarded(decoded(name), stripped)
        )

    def for_request(self, received: Sequence[tuple[str, str]]) -> Headers:
        """The headers of a call that go on to the provider; credentials are added afterwards."""
        headers = received if isinstance(received, Headers) else Headers.of(received)
        if headers.filtered is None or headers.filtered[0] is not self:
            kept = [line for line in headers.lines if self._is_forwarded(line[0])]
            headers.filtered = self, _without_connection_options(headers, kept)
        return headers.filtered[1]


def check_header(name: str, value: str) -> str | None:
    """What is wrong with a header that came inside a body, if anything."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return "is not a header name"
    if BAD_VALUE.search(value):
        return "contains characters that are not allowed in a header"
    return None


def response_headers(received: Headers) -> Headers:
    """The headers of a provider's answer that go back to the caller."""
    kept = [line for line in received.lines if _is_returned(line[0])]
    return _without_connection_options(received, kept)


def _is_forwarded(name: str, stripped: Collection[str]) -> bool:
    lower = name.lower()
    return (
        lower not in stripped
        and not lower.startswith("x-broker-")
        and "_" not in name  # which servers confuse with a hyphen
    )


@lru_cache(maxsize=2048)
def _is_returned(name: bytes) -> bool:
    plain = decoded(name).lower()
    return (
        plain not in HOP_BY_HOP
        and plain not in STRIPPED_FROM_RESPONSES
        and not plain.startswith(("broker-", "access-control-"))
    )


def _without_connection_options(received: Headers, kept: list[tuple[bytes, bytes]]) -> Headers:
    is_plain = received.by_name.get(b"connection", b"") in PLAIN_OPTIONS
    if not is_plain or len(received.by_name) != len(received):
        values = [value for name, value in received.lines if lower(name) == b"connection"]
        options = b",".join(values)
        named = {each.strip().lower() for each in options.split(b",")}
        kept = [line for line in kept if lower(line[0]) not in named]
    return Headers(kept)

"""Which headers cross: end-to-end ones, less those that say who is asking, where, or to whom we
are speaking.
"""

import re
from collections.abc import Collection
from functools import lru_cache

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
"""RFC 9110 section 7.6.1, with what older and newer peers send besides."""

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
"""What a caller may not choose: who asks, where, with which method, over which hops."""

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
"""What HubSpot tells browsers about its own origin, which is not ours."""

BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


def request_headers(received: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a call that go on to HubSpot; ours are added after."""
    kept = [pair for pair in received if _is_forwarded(pair[0])]
    return _without_connection_options(received, kept)


def check_header(name: str, value: str) -> str | None:
    """What is wrong with a header that came inside a body, if anything."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return "is not a header name"
    if BAD_VALUE.search(value):
        return "holds characters that no header value has"
    return None


def response_headers(received: Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of HubSpot's answer that go back to the caller."""
    kept = [pair for pair in received if _is_returned(pair[0])]
    return _without_connection_options(received, kept)


@lru_cache(maxsize=2048)
def _is_forwarded(name: str) -> bool:
    lower = name.lower()
    return (
        lower not in HOP_BY_HOP
        and lower not in STRIPPED_FROM_REQUESTS
        and not lower.startswith("x-broker-")
        and "_" not in name  # which servers confuse with a hyphen
    )


@lru_cache(maxsize=2048)
def _is_returned(name: str) -> bool:
    lower = name.lower()
    return (
        lower not in HOP_BY_HOP
        and lower not in STRIPPED_FROM_RESPONSES
        and not lower.startswith(("broker-", "access-control-"))
    )


def _without_connection_options(
    received: Collection[tuple[str, str]], kept: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    said = ""
    for name, value in received:
        if len(name) == 10 and name.lower() == "connection":
            said = f"{said},{value}" if said else value
    # What most connections say names no header.
    if said in {"", "close", "keep-alive", "Keep-Alive"}:
        return kept
    named = {each.strip().lower() for each in said.split(",")}
    return [pair for pair in kept if pair[0].lower() not in named]

"""The URLs that an endpoint may have. No I/O."""

from urllib.parse import urlsplit

from broker.errors import InvalidRequest, wrong_field
from broker.providers.transport.addresses import names_private


def check_url(url: str, *, allow_private: bool) -> None:
    """Raise InvalidRequest for a URL that cannot be an endpoint's. Names are looked up later, at
    each connect; a literal address, in whatever spelling, is judged here already.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise _wrong("is not a URL") from None
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url or not host:
        raise _wrong("is not a URL")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _wrong("must not contain user information or a fragment")
    if parts.scheme not in ({"https", "http"} if allow_private else {"https"}):
        raise _wrong("must begin with https://")
    if not allow_private and names_private(host.rstrip(".").lower()):
        raise _wrong("names a private address")


def _wrong(message: str) -> InvalidRequest:
    return wrong_field("url", message)

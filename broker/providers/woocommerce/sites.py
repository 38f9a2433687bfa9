"""The address of a shop's site, which a user names. No I/O.

A site may be in a folder of its host (`https://shop.example/store`); everything of WordPress then
stands below it.
"""

import re
from urllib.parse import urlsplit

from yarl import URL

from broker.errors import wrong_field
from broker.providers.transport.addresses import names_private

FIELD = "site"
FOLDER = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
MAX_LENGTH = 255


def read_site(text: str, *, allow_private: bool) -> str:
    """A site's address in its one spelling: scheme, host in lower case, port unless it is the
    scheme's own, folder without a slash at its end. Raises InvalidRequest.

    Names are looked up later, at each connect; a literal address, in whatever spelling, is judged
    here already.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong_field(FIELD, "is not a URL") from None
    if parts.scheme not in ({"https", "http"} if allow_private else {"https"}):
        raise wrong_field(FIELD, "must begin with https://")
    if not host or not text.isprintable() or "\\" in text or " " in text.strip():
        raise wrong_field(FIELD, "is not a URL such as https://shop.example")
    if parts.username is not None or parts.query or parts.fragment:
        raise wrong_field(FIELD, "must not contain user information, a query or a fragment")
    folder = parts.path.rstrip("/")
    if not FOLDER.fullmatch(folder):
        raise wrong_field(FIELD, "has a path that is not allowed")
    try:
        url = URL.build(scheme=parts.scheme, host=host.rstrip("."), port=port, path=folder or "/")
    except (ValueError, UnicodeError):
        raise wrong_field(FIELD, "is not a URL such as https://shop.example") from None
    if not allow_private and names_private((url.raw_host or "").lower()):
        raise wrong_field(FIELD, "names a private address")
    site = str(url).rstrip("/").removesuffix(f":{443 if parts.scheme == 'https' else 80}")
    if len(site) > MAX_LENGTH:
        raise wrong_field(FIELD, f"is longer than {MAX_LENGTH} characters")
    return site


def account_of(site: str) -> str:
    """The account that a site is: its host, with its port and folder if it has any."""
    return site.partition("://")[2]

"""Redirects that send a browser back to an app after consent."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode

from aiohttp import web


def is_registered(url: str, registered: Iterable[str]) -> bool:
    """Whether an app may have browsers sent to a URL.

    Vendors compare whole URLs. Only a sandbox takes an entry that ends in `/*` as well, for every
    URL below it, so that an app can be registered before its redirect URL is known.
    """
    return any(
        url.startswith(each[:-1]) if each.endswith("/*") else url == each for each in registered
    )


def redirect(url: str, query: dict[str, str]) -> web.Response:
    """A 302 to a URL with a query added to the one that it may have."""
    separator = "&" if "?" in url else "?"
    location = f"{url}{separator}{urlencode(query, quote_via=quote)}"
    return web.Response(status=302, headers={"Location": location})

"""Parameters added to URLs without touching what is there, and the origin of a URL."""

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote_plus, urlsplit


def with_parameters(url: str, parameters: Mapping[str, str], fragment: str | None = None) -> str:
    """The URL with parameters in its query, each once, and perhaps another fragment.

    Whatever the URL holds stays as it is, character for character, except earlier values of the
    same parameters, which go.
    """
    base, _, own_fragment = url.partition("#")
    path, mark, query = base.partition("?")
    kept = [
        pair
        for pair in query.split("&")
        if mark and unquote_plus(pair.partition("=")[0]) not in parameters
    ]
    kept = [pair for pair in kept if pair] if kept == [""] else kept
    added = [
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items()
    ]
    pairs = "&".join([*kept, *added])
    shown = own_fragment if fragment is None else fragment
    return path + (f"?{pairs}" if pairs else mark) + (f"#{shown}" if shown else "")


def path_of(url: str) -> str:
    """What stands in a URL after its host: a path with its query."""
    rest = re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*", "", url)
    return rest if rest.startswith("/") else f"/{rest}"


def origin_of(url: str) -> str:
    """The origin of a URL, as a CSP or a browser writes it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

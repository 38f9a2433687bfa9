"""Where a call may go: a provider's API, by a raw target that is passed on byte for byte.

The host is the connection's and never the caller's choice, so the checks here keep the *path* from
meaning something else than it shows.
"""

import re
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, quote, unquote, unquote_to_bytes, urlsplit

from broker.errors import DestinationRefused, InvalidRequest

ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):[/\\]*([^/?#\\]*)")
TARGET = re.compile(r"[!-\[\]-~]*")
PLAIN = re.compile(r"(?:/[A-Za-z0-9-][A-Za-z0-9.-]*)+/?(?:\?[A-Za-z0-9.,&=-]*)?")
"""Targets that mean what they show, as nearly all do: nothing is encoded, no part begins with a
dot, and there is no underscore, which every credential of the broker has."""

OUR_CREDENTIAL = re.compile(r"\bb[st]_[0-9a-f]{32}")


def target_or_url(text: str) -> str:
    """A target, or an absolute URL whose host is still to be judged by `target_of`.

    Spaces and characters beyond ASCII are percent-encoded as a browser would; all else stays as it
    is. Raises as `check_target`.
    """
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise InvalidRequest("The URL contains control characters.")
    url = quote(text.strip(), safe="!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    return url if ABSOLUTE.match(url) else check_target(url)


def target_of(
    url: str,
    bases: Iterable[str],
    is_api_host: Callable[[str], bool] = lambda _: False,
    label: str = "the provider",
) -> str:
    """The target of an absolute URL at an API host.

    A URL is accepted where it begins with one of `bases` (scheme, host and perhaps a path, which is
    taken off), or with https and a host that `is_api_host`. Raises DestinationRefused for any other
    host, and as `check_target`.
    """
    url = target_or_url(url)
    absolute = ABSOLUTE.match(url)
    if absolute is None:
        return url
    scheme, host = absolute[1].lower(), absolute[2].lower()
    rest = url[absolute.end() :]
    base = next((each for each in map(urlsplit, bases) if _is_at(each, scheme, host)), None)
    allowed = base is not None or (scheme == "https" and is_api_host(host))
    if not allowed or url[len(scheme) : len(scheme) + 3] != "://":
        raise DestinationRefused(f"Only {label}'s API hosts can be called.")
    if base is not None and rest.startswith(f"{base.path}/"):
        rest = rest.removeprefix(base.path)  # it is put in front of every target again
    return check_target(rest if rest.startswith("/") else f"/{rest}")


def _is_at(base: SplitResult, scheme: str, host: str) -> bool:
    return (scheme, host) == (base.scheme, base.netloc.lower())


def check_target(target: str) -> str:
    """The raw target itself, when it is a plain path with an optional query.

    Raises DestinationRefused where it names another host, InvalidRequest where it could be read as
    another path than it shows (dot segments, backslashes, control characters, also encoded).
    """
    if PLAIN.fullmatch(target):
        return target
    if not target.startswith("/"):
        raise InvalidRequest("The path must begin with a slash.")
    path, _, query = target.partition("?")
    meaning = decoded(path)
    if meaning.startswith("//"):
        raise DestinationRefused("The path begins with two slashes; end your base URL without one.")
    if re.match(r"/[A-Za-z][A-Za-z0-9+.-]*:/", meaning):
        raise DestinationRefused("The path contains another URL.")
    if "@" in meaning.split("/", 2)[1]:
        raise DestinationRefused("The path begins with user information.")
    if not TARGET.fullmatch(target) or "#" in target or "\\" in meaning:
        raise InvalidRequest("The path or query contains characters that are not allowed in a URL.")
    if re.search(r"[\x00-\x1f\x7f]", meaning) or b"\x00" in unquote_to_bytes(query):
        raise InvalidRequest("The path contains encoded control characters.")
    if any(segment.split(";")[0] in {".", ".."} for segment in meaning.split("/")):
        raise InvalidRequest("The path contains dot segments.")
    if OUR_CREDENTIAL.search(query):
        raise InvalidRequest("An API key does not belong in a query; send it as Authorization.")
    return target


def decoded(path: str) -> str:
    """What a path means once nothing in it is percent-encoded any more."""
    for _ in range(5):
        once = unquote(path, errors="replace")
        if once == path:
            break
        path = once
    return path


def query_names(target: str) -> set[str]:
    """The decoded names in a target's query, in lower case."""
    query = target.partition("?")[2]
    return {unquote(pair.partition("=")[0]).lower() for pair in query.split("&")}

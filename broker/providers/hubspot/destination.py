"""Where a call may go: HubSpot's API, by a raw target that is passed on byte for byte.

The host is ours to choose and never the caller's, so the checks here keep the *path* from meaning
something else than it says.
"""

import re
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from broker.errors import DestinationRefused, InvalidRequest

API_HOST = re.compile(r"(api\.hubapi\.com|api\.hubspot\.com|api-[a-z]{2}\d\.hubapi\.com)(:443)?")
"""HubSpot's public API hosts: one for all, an alias that its documentation uses, and one for each
data centre (https://developers.hubspot.com/docs, every published OpenAPI document)."""

ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):[/\\]*([^/?#\\]*)")
TARGET = re.compile(r"[!-\[\]-~]*")
PLAIN = re.compile(r"(?:/[A-Za-z0-9-][A-Za-z0-9.-]*)+/?(?:\?[A-Za-z0-9.,&=-]*)?")
"""Targets that mean what they show, as nearly all do: nothing is encoded, no part begins with a
dot, and there is no underscore, which every credential of ours has."""

OUR_CREDENTIAL = re.compile(r"\bb[st]_[0-9a-f]{32}")


def target_of(url: str, api_url: str) -> str:
    """The target of a full URL at a HubSpot API host (or at `api_url`), or of a path.

    Spaces and characters beyond ASCII are percent-encoded as a browser would; all else stays as it
    is. Raises DestinationRefused for any other host, InvalidRequest for what is not a URL.
    """
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise InvalidRequest("The URL holds control characters.")
    url = quote(url.strip(), safe="!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    absolute = ABSOLUTE.match(url)
    if absolute is None:
        return check_target(url)
    scheme, host = absolute[1].lower(), absolute[2].lower()
    ours = urlsplit(api_url)
    at_hubspot = scheme == "https" and API_HOST.fullmatch(host)
    at_ours = (scheme, host) == (ours.scheme, ours.netloc.lower())
    if not (at_hubspot or at_ours) or url[len(scheme) : len(scheme) + 3] != "://":
        raise DestinationRefused("Only HubSpot's API hosts can be called.")
    rest = url[absolute.end() :]
    if at_ours and rest.startswith(f"{ours.path}/"):
        rest = rest.removeprefix(ours.path)  # it is put in front of every target again
    return check_target(rest if rest.startswith("/") else f"/{rest}")


def check_target(target: str) -> str:
    """The raw target itself, when it is a plain path at HubSpot with an optional query.

    Raises DestinationRefused where it names another host, InvalidRequest where it could be read as
    another path than it shows (dot segments, backslashes, control characters, also encoded).
    """
    if PLAIN.fullmatch(target) and "hapikey" not in target.lower():
        return target
    if not target.startswith("/"):
        raise InvalidRequest("The path must begin with a slash.")
    path, _, query = target.partition("?")
    meaning = decoded(path)
    if meaning.startswith("//"):
        raise DestinationRefused("The path begins with two slashes; end your base URL without one.")
    if re.match(r"/[A-Za-z][A-Za-z0-9+.-]*:/", meaning):
        raise DestinationRefused("The path holds another URL.")
    if "@" in meaning.split("/", 2)[1]:
        raise DestinationRefused("The path begins with user information.")
    if not TARGET.fullmatch(target) or "#" in target or "\\" in meaning:
        raise InvalidRequest("The path or query holds characters that no URL has.")
    if re.search(r"[\x00-\x1f\x7f]", meaning) or b"\x00" in unquote_to_bytes(query):
        raise InvalidRequest("The path holds encoded control characters.")
    if any(segment.split(";")[0] in {".", ".."} for segment in meaning.split("/")):
        raise InvalidRequest("The path holds dot segments.")
    _check_query(query)
    return target


def decoded(path: str) -> str:
    """What a path means once nothing in it is percent-encoded any more."""
    for _ in range(5):
        once = unquote(path, errors="replace")
        if once == path:
            break
        path = once
    return path


def _check_query(query: str) -> None:
    names = {unquote(pair.partition("=")[0]).lower() for pair in query.split("&")}
    if "hapikey" in names:
        raise InvalidRequest("A hapikey does not belong in a query; the broker adds the token.")
    if OUR_CREDENTIAL.search(query):
        raise InvalidRequest("An API key does not belong in a query; send it as Authorization.")

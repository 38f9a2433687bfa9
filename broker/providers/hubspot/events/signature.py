"""HubSpot's request signatures: whether bytes that claim to come from HubSpot do. No I/O.

Version 3 is an HMAC over method, URI, body and timestamp; versions 1 and 2 are plain hashes with
the secret in front and carry no time
(https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation).
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from broker.domain.model import Secret
from broker.errors import NotAuthenticated

WINDOW_MS = 300_000
"""How far a timestamp may be from now, either way."""

DECODED = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}
"""The only escapes that HubSpot's documentation decodes before signing."""

_ESCAPE = re.compile("|".join(DECODED), re.IGNORECASE)
_TIMESTAMP = re.compile(r"[0-9]{13}")


class Version(StrEnum):
    """The versions of HubSpot's signature."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived. `uri` is what HubSpot called: the configured public address with
    the raw path and query, never anything that the request says of its host.
    """

    method: str
    uri: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def check(
    request: SignedRequest,
    secrets: Iterable[Secret],
    now_ms: int,
    accepted: frozenset[Version] = frozenset({Version.V3}),
) -> None:
    """Raise NotAuthenticated unless one of the secrets signed the request, in an accepted version.

    A version 3 header decides by itself where there is one: a request cannot fall back to an
    older version.
    """
    v3 = _header(request, "x-hubspot-signature-v3")
    if v3 is not None:
        sent_at = _header(request, "x-hubspot-request-timestamp") or ""
        if not _TIMESTAMP.fullmatch(sent_at) or abs(now_ms - int(sent_at)) > WINDOW_MS:
            raise NotAuthenticated("The request's timestamp is missing, malformed or not recent.")
        expected = [
            signature_v3(secret, request.method, uri, request.body, sent_at)
            for secret in secrets
            for uri in (decoded_uri(request.uri), request.uri)
        ]
        _compare(v3, expected, Version.V3 in accepted)
        return
    version = _header(request, "x-hubspot-signature-version") or ""
    sign = {"v1": signature_v1, "v2": signature_v2}.get(version)
    if sign is None:
        raise NotAuthenticated("The request is not signed as HubSpot signs.")
    expected = [
        sign(secret, request.method, uri, request.body)
        for secret in secrets
        for uri in (decoded_uri(request.uri), request.uri)
    ]
    _compare(_header(request, "x-hubspot-signature") or "", expected, Version(version) in accepted)


def signature_v1(secret: Secret, _method: str, _uri: str, body: bytes) -> str:
    return hashlib.sha256(secret.reveal().encode() + body).hexdigest()


def signature_v2(secret: Secret, method: str, uri: str, body: bytes) -> str:
    return hashlib.sha256(f"{secret.reveal()}{method}{uri}".encode() + body).hexdigest()


def signature_v3(secret: Secret, method: str, uri: str, body: bytes, sent_at: str) -> str:
    signed = f"{method}{uri}".encode() + body + sent_at.encode()
    digest = hmac.new(secret.reveal().encode(), signed, hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def decoded_uri(uri: str) -> str:
    """The URI with HubSpot's twelve escapes decoded and every other one as it is."""
    return _ESCAPE.sub(lambda found: DECODED[found[0].upper()], uri)


def _header(request: SignedRequest, name: str) -> str | None:
    """The one value of a header; a header that stands twice is as good as a wrong one."""
    values = [value for each, value in request.headers if each.lower() == name]
    if not values:
        return None
    return values[0] if len(values) == 1 else ""


def _compare(given: str, expected: Iterable[str], accepted: bool) -> None:
    # Every candidate is compared, so that the time tells nothing of which one came close.
    matches = [
        hmac.compare_digest(given.encode("utf-8", "surrogateescape"), each.encode())
        for each in expected
    ]
    if not (accepted and any(matches)):
        raise NotAuthenticated("The request's signature is missing or wrong.")

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
from typing import Protocol

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
_V3 = re.compile(r"[A-Za-z0-9+/]{43}=")
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")

WRONG = "The request's signature is missing or wrong."


class Hash(Protocol):
    """A hash that takes its input in parts."""

    def update(self, part: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class Version(StrEnum):
    """The versions of HubSpot's signature."""

    V1 = "v1"
    V2 = "v2"
    V3 = "v3"


LEGACY_VERSIONS = {"v1": Version.V1, "v2": Version.V2}
"""By what the older header says; version 3 has a header of its own."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived. `uri` is what HubSpot called: the configured public address with
    the raw path and query, never anything that the request says of its host.
    """

    method: str
    uri: str
    headers: Sequence[tuple[str, str]]
    body: bytes


class SignatureCheck:
    """HubSpot's signature of a request whose body is still arriving.

    What its head alone shows to be no signature of HubSpot's is refused before any of the body.
    """

    def __init__(
        self,
        head: SignedRequest,
        secrets: Iterable[Secret],
        now_ms: int,
        accepted: frozenset[Version] = frozenset({Version.V3}),
    ) -> None:
        """`head` may lack its body. A version 3 header decides by itself where there is one: a
        request cannot fall back to an older version. Raises NotAuthenticated.
        """
        v3 = _header(head, "x-hubspot-signature-v3")
        older = LEGACY_VERSIONS.get(_header(head, "x-hubspot-signature-version") or "")
        version = older if v3 is None else Version.V3
        if version is None:
            raise NotAuthenticated("The request is not signed as HubSpot signs.")
        self._version = version
        self._sent_at = _header(head, "x-hubspot-request-timestamp") or ""
        if version is Version.V3 and (
            not _TIMESTAMP.fullmatch(self._sent_at) or abs(now_ms - int(self._sent_at)) > WINDOW_MS
        ):
            raise NotAuthenticated("The request's timestamp is missing, malformed or not recent.")
        self._signature = v3 if v3 is not None else _header(head, "x-hubspot-signature") or ""
        uris = dict.fromkeys((decoded_uri(head.uri), head.uri))
        self._hashes = [_begin(version, secret, head.method, u) for secret in secrets for u in uris]
        shape = _V3 if version is Version.V3 else _HEXADECIMAL
        if not self._hashes or version not in accepted or not shape.fullmatch(self._signature):
            raise NotAuthenticated(WRONG)

    def update(self, part: bytes) -> None:
        """Take the next part of the body."""
        for each in self._hashes:
            each.update(part)

    def finish(self) -> None:
        """Raise NotAuthenticated unless one of the secrets signed what was taken."""
        # Every candidate is compared, so that the time tells nothing of which one came close.
        matches = [
            hmac.compare_digest(self._signature, _end(self._version, each, self._sent_at))
            for each in self._hashes
        ]
        if not any(matches):
            raise NotAuthenticated(WRONG)


def check(
    request: SignedRequest,
    secrets: Iterable[Secret],
    now_ms: int,
    accepted: frozenset[Version] = frozenset({Version.V3}),
) -> None:
    """Raise NotAuthenticated unless one of the secrets signed it, in an accepted version."""
    signature = SignatureCheck(request, secrets, now_ms, accepted)
    signature.update(request.body)
    signature.finish()


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


def _begin(version: Version, secret: Secret, method: str, uri: str) -> Hash:
    key = secret.reveal()
    if version is Version.V3:
        return hmac.new(key.encode(), f"{method}{uri}".encode(), hashlib.sha256)
    return hashlib.sha256((key if version is Version.V1 else f"{key}{method}{uri}").encode())


def _end(version: Version, digest: Hash, sent_at: str) -> str:
    if version is not Version.V3:
        return digest.digest().hex()
    digest.update(sent_at.encode())
    return base64.b64encode(digest.digest()).decode()

"""What a provider's webhooks are: who signed one, and what it says. No I/O.

A provider has one object of this kind in its spec, the same for all apps. A request is judged by
its head before a byte of its body is kept; the body is hashed while it arrives, stored as it came,
and read for events only after the vendor has been answered.
"""

import base64
import hashlib
import hmac
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeGuard

from broker.domain.events import InboxBatch, ProviderEvent, WebhookSecrets
from broker.domain.model import Secret
from broker.errors import InvalidRequest, NotAuthenticated

WRONG = "The request's signature is missing or wrong."

_NAME = re.compile(r"[!-~]{1,200}")
_BASE64_SHA256 = re.compile(r"[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True, slots=True)
class WebhookHead:
    """A webhook request without its body. `url` begins with the broker's configured public URL,
    whatever host the request names.
    """

    method: str
    url: str
    headers: Sequence[tuple[str, str]]

    def value(self, name: str) -> str | None:
        """The one value of a header, in lower case; a header that stands twice is empty, as good
        as a wrong one.
        """
        values = [value for each, value in self.headers if each.lower() == name]
        if not values:
            return None
        return values[0] if len(values) == 1 else ""


class BodySignature(Protocol):
    """A signature that is checked while the body arrives."""

    def update(self, part: bytes) -> None:
        """Take the next part of the body."""

    def finish(self) -> None:
        """Raise NotAuthenticated unless one of the secrets signed what was taken."""


@dataclass(frozen=True, slots=True)
class ReadEvents:
    """The events of a stored delivery, and the parts of it that cannot be read."""

    events: Sequence[ProviderEvent]
    unreadable: Sequence[Any] = ()


class Webhooks(ABC):
    """The webhooks of one provider."""

    max_bytes: int = 1_048_576
    """The longest body that is read."""
    store_timeout_s: float = 3.0
    """How long storing may take: a refusal in time is worth more than a late yes."""
    own_secret: bool = False
    """Whether they are signed with the app's `webhookSecret`; else with its client secret."""
    bare_refusals: bool = False
    """Whether what is not signed is refused without a body, as some vendors require."""
    stored_headers: tuple[str, ...] = ()
    """Headers, in lower case, that `read` needs; they are stored with the body."""

    def is_ping(self, _head: WebhookHead) -> bool:
        """Whether an unsigned request only tries the address: it is answered and not stored."""
        return False

    @abstractmethod
    def verify(self, head: WebhookHead, secrets: WebhookSecrets, now_ms: int) -> BodySignature:
        """The signature in a head, before the body. Raises NotAuthenticated for a head that no
        secret can have signed, an app without secrets included.
        """

    @abstractmethod
    def check(self, body: bytes) -> None:
        """Raise InvalidRequest for a signed body that is not a delivery; a long one is checked in
        a thread.
        """

    @abstractmethod
    def read(self, batch: InboxBatch) -> ReadEvents:
        """The events of a stored delivery, in order. Raises for a body that `check` refuses."""


class HmacSha256Signature:
    """`base64(HMAC-SHA256(secret, body))`, as Shopify, WooCommerce, Intuit and Xero sign."""

    def __init__(self, value: str | None, secrets: Sequence[Secret]) -> None:
        """`value`: the header's. Raises NotAuthenticated for what cannot be such a signature."""
        if not secrets or value is None or not _BASE64_SHA256.fullmatch(value):
            raise NotAuthenticated(WRONG)
        self._value = value
        self._hashes = [hmac.new(each.reveal().encode(), None, hashlib.sha256) for each in secrets]

    def update(self, part: bytes) -> None:
        """Take the next part of the body."""
        for each in self._hashes:
            each.update(part)

    def finish(self) -> None:
        """Raise NotAuthenticated unless one of the secrets signed what was taken."""
        # All are compared, so that the time says nothing of which one came close.
        matches = [
            hmac.compare_digest(self._value, base64.b64encode(each.digest()).decode())
            for each in self._hashes
        ]
        if not any(matches):
            raise NotAuthenticated(WRONG)


def read_json(body: bytes) -> Any:
    """A delivery's JSON. Raises InvalidRequest for anything else, numbers without a value
    included.
    """
    try:
        return json.loads(
            body.decode(), parse_constant=_refuse, parse_float=_finite, object_hook=same
        )
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON.") from None


def relayed(account_id: str, event_id: str | None, payload: Any) -> dict[str, Any]:
    """The fields with which an event reaches endpoints: the vendor's payload has a field of its
    own, so that none of its names is taken for one of the broker's.
    """
    return {"accountId": account_id, "eventId": event_id, "payload": payload}


def is_name(value: Any) -> TypeGuard[str]:
    """Whether a value of a payload can name a topic or an account: visible ASCII characters. What
    Postgres could not store, such as U+0000, would keep the delivery's other events back.
    """
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def moment(text: Any) -> datetime | None:
    """A time of a payload in UTC, which a vendor need not say; None for anything else."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def fingerprint(*parts: Any) -> bytes:
    """A hash of JSON values, by which a repeated event is recognised."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:16]


def same(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The value itself: a call for each JSON object lets other threads run while a long text is
    parsed, which is one step to the interpreter otherwise.
    """
    return value


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number

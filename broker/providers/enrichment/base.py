"""What every enrichment vendor is to the broker: a lookup by e-mail address is one request, and its
response one of four answers. No I/O.

An adapter never sees the key: it names the header in which the client sends it.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from broker.domain.runs import VendorUnavailable
from broker.domain.vendors import Throttled

FIELDS = (
    "first_name",
    "last_name",
    "full_name",
    "job_title",
    "role",
    "seniority",
    "company_name",
    "company_domain",
    "company_industry",
    "company_size",
    "city",
    "state",
    "country",
    "country_code",
    "time_zone",
    "linkedin_url",
    "twitter_handle",
    "github_handle",
    "website",
    "bio",
)
"""What may be known of a person, under one name for every vendor."""

MAX_LENGTH = 1000
PLACEHOLDERS = ("email_not_unlocked", "not_unlocked@")
"""Parts of values with which Apollo hides what is not paid for."""

Reason = Literal["out-of-credits", "key", "plan", "opted-out", "input"]


@dataclass(frozen=True, slots=True)
class Lookup:
    """Whom to look up. `min_confidence` (0 to 1) is for vendors that bill sure matches only."""

    email: str
    min_confidence: float = 0.0


@dataclass(frozen=True, slots=True)
class LookupRequest:
    """A request without the key, to a path of the vendor's origin."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class LookupResponse:
    """A response; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty where there is none."""
        try:
            read = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of the person, by names of `FIELDS`; `confidence` is from 0 to 1, or None where
    the vendor does not say.
    """

    fields: Mapping[str, str]
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class NotFound:
    """The vendor knows nobody with this address."""


@dataclass(frozen=True, slots=True)
class Later:
    """The vendor is still searching: ask again after so many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """The vendor does not answer, and a repeat would change nothing; `message` is its own."""

    reason: Reason
    message: str


LookupResult = Found | NotFound | Later | Refused


@dataclass(frozen=True, slots=True)
class EnrichmentVendor:
    """A vendor. `origin` is where it is reached, `stand_in_path` the path of that host below an
    origin that stands for all hosts of the vendor.

    `read` raises Throttled, or VendorUnavailable for what is not an answer.
    """

    name: str
    title: str
    origin: str
    key_header: str
    calls_a_minute: int
    request: Callable[[Lookup], LookupRequest]
    read: Callable[[LookupResponse], LookupResult]
    key_prefix: str = ""
    stand_in_path: str = ""


def found(fields: Mapping[str, Any], confidence: float | None = None) -> Found | NotFound:
    """What a vendor knows; NotFound where every field is empty, a placeholder or no text."""
    known = {name: text for name, value in fields.items() if (text := text_of(value)) is not None}
    return Found(known, confidence) if known else NotFound()


def text_of(value: Any) -> str | None:
    """A value as a short text; None where there is none. Booleans are how People Data Labs shows
    that a field exists and is not paid for.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = " ".join(str(value).replace("\x00", "").split()).encode(errors="replace").decode()
    if not text or any(part in text for part in PLACEHOLDERS):
        return None
    return text[:MAX_LENGTH]


def object_at(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A JSON object within another; empty where there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def profile_url(site: str, value: Any) -> str | None:
    """The address of a profile from what a vendor has: an address with or without its scheme, or a
    handle, with or without the site's path.
    """
    text = text_of(value)
    if text is None:
        return None
    bare = text.removeprefix("https://").removeprefix("http://")
    host = site.partition("/")[0].removeprefix("www.")
    if bare.startswith((host, f"www.{host}")):
        return f"https://{bare}"
    path = site.partition("/")[2]
    handle = bare.strip("/")
    while path and handle.startswith(f"{path}/"):
        handle = handle.removeprefix(f"{path}/")
    return f"https://{site}/{handle}"


def handle_of(value: Any) -> str | None:
    """The handle at the end of a profile's address, or the value itself."""
    text = text_of(value)
    return None if text is None else text.rstrip("/").rpartition("/")[2] or None


LONGEST_PAUSE_S = 3600.0


def retry_after(response: LookupResponse, default_s: float) -> float:
    """Seconds of Retry-After, an hour at most, or the default where it is missing or a date."""
    value = response.headers.get("retry-after", "")
    if not (value.isascii() and value.isdecimal()):
        return default_s
    return min(max(float(value[:6]), 1.0), LONGEST_PAUSE_S)


def throttled(response: LookupResponse, default_s: float) -> Throttled:
    """A limit is reached for as long as the vendor says."""
    return Throttled(retry_after(response, default_s))


def refusal(
    title: str, response: LookupResponse, reasons: Mapping[int, Reason], message: str
) -> Refused:
    """The refusal that a status stands for. Raises VendorUnavailable for a response that is none,
    and no answer either.
    """
    reason = reasons.get(response.status)
    if reason is None:
        raise VendorUnavailable(f"{title} answered {response.status} and nothing that can be read.")
    return Refused(reason, message)


def message_of(*candidates: Any) -> str:
    """The first candidate that is a text, shortened."""
    return next((text[:300] for each in candidates if (text := text_of(each))), "(no message)")

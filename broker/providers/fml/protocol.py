"""First Mile Labs on the wire: tokens, cases, refusals, webhooks. No I/O.

What their public pages state is relied on (https://www.firstmilelabs.com/docs/hubspot, /docs/api,
/docs/webhooks, /v1/openapi.json); what they leave open is accepted in every likely form.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.domain.model import Secret
from broker.domain.runs import VendorCredentialsRefused, VendorScopeMissing, VendorUnavailable
from broker.domain.vendors import MintedToken, Throttled, TokenRefused
from broker.errors import (
    BrokerError,
    IdempotencyKeyConflict,
    InputRefused,
    InvalidRequest,
    NotAuthenticated,
)

TOKEN_PATH = "/v1/oauth/token"  # noqa: S105  # a path
CASES_PATH = "/v1/cases"
MAX_ERRORS = 50
MIN_LIFETIME_S = 10.0
"""For how long a token is tried at least; one that dies sooner is refused and replaced."""

WRITE_SCOPE = "cases:write"
"""The scope that making a case needs."""

MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of this clock an event's timestamp may be."""

WRONG_SIGNATURE = "The event's signature is missing or wrong."

_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+){0,5}")


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case as FML's API shows it; `existed`: it was there before this request."""

    case: Mapping[str, Any]
    existed: bool


@dataclass(frozen=True, slots=True)
class FmlEvent:
    """A webhook event: the envelope as far as it is there, and everything as it came."""

    event_id: str
    name: str
    case_id: str | None
    record_id: str | None
    source: str | None
    fields: Mapping[str, Any]

    def happened_at(self, received_at: datetime) -> datetime:
        """The event's timestamp; the moment of receipt where it has none or cannot be right."""
        timestamp = self.fields.get("timestamp")
        try:
            moment = (
                datetime.fromisoformat(timestamp) if isinstance(timestamp, str) else received_at
            )
        except ValueError:
            return received_at
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(moment, received_at + MAX_CLOCK_SKEW)

    def case_field(self, field: str) -> str | None:
        """A field of the case itself; None in events about anything else."""
        value = self.fields.get(field)
        return text_of(value) if self.name.startswith("case.") else None

    @property
    def decision(self) -> str | None:
        """The decision. The payload of case.decision.made is not public: likely names are tried."""
        if self.name not in {"case.decision.made", "case.data_package.delivered"}:
            return None
        return (
            self.case_field("decision") or self.case_field("outcome") or self.case_field("status")
        )


def token_request(client_id: str, client_secret: Secret) -> dict[str, str]:
    """Always JSON: one of their pages says that forms are refused, another lists them."""
    return {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret.reveal(),
    }


def read_token(status: int, headers: Mapping[str, str], body: bytes) -> MintedToken:
    """The token. Raises Throttled, VendorCredentialsRefused or VendorUnavailable."""
    payload = _object(body)
    if status == 200 and isinstance(payload.get("access_token"), str):
        lifetime, scope = payload.get("expires_in"), payload.get("scope")
        seconds = float(lifetime) if isinstance(lifetime, int | float) else 3600.0
        scopes = tuple(scope.split()) if isinstance(scope, str) else ()
        return MintedToken(Secret(payload["access_token"]), max(seconds, MIN_LIFETIME_S), scopes)
    _raise_if_transient(status, headers)
    raise VendorCredentialsRefused(
        "First Mile Labs refuses the client id and secret. Make a new client in its console and "
        "put its secret into the recipe's settings, then retry the run.",
        vendorError=_with_vendor_error(status, payload, []),
    )


def read_case(status: int, headers: Mapping[str, str], body: bytes) -> CaseResult:
    """The case. Raises TokenRefused, Throttled, and what `_refusal` makes."""
    payload = _object(body)
    if status in {200, 201} and isinstance(payload.get("caseId"), str):
        return CaseResult(payload, status == 200 or "idempotent-replay" in _lower(headers))
    if status == 401:
        raise TokenRefused(_with_vendor_error(status, payload, []))
    _raise_if_transient(status, headers)
    raise _refusal(status, payload)


def _refusal(status: int, payload: Mapping[str, Any]) -> BrokerError:
    """The refusal for a final answer, with what to do about it."""
    fields = failed_fields(payload)
    vendor_error = _with_vendor_error(status, payload, fields)
    if status == 403:
        return VendorScopeMissing(
            "The client at First Mile Labs lacks the scope cases:write. Make one that has it and "
            "put it into the recipe's settings, then retry the run.",
            vendorError=vendor_error,
        )
    if status == 409:
        return IdempotencyKeyConflict(
            "First Mile Labs has seen this record's Idempotency-Key on another request. Retry the "
            "run: it then uses a new key, and still creates no second case.",
            vendorError=vendor_error,
        )
    if 400 <= status < 500:
        named = "; ".join(f"{each['field']}: {each['message']}" for each in fields)
        return InputRefused(
            f"First Mile Labs rejected the input: {named or '(no field named)'}.",
            errors=fields or [{"field": "customerEmail", "message": "may be what was rejected"}],
            vendorError=vendor_error,
        )
    return VendorUnavailable(f"First Mile Labs answered {status} and no case.")


def failed_fields(payload: Mapping[str, Any]) -> list[dict[str, str]]:
    """Each failed field of a refusal, wherever its list stands: its name is not documented."""
    found: list[dict[str, str]] = []
    for value in payload.values():
        if isinstance(value, list):
            found += [each for each in map(_field, value) if each is not None]
        elif isinstance(value, dict):
            found += [
                {"field": str(name), "message": _message(message)}
                for name, message in value.items()
            ]
    return found[:MAX_ERRORS]


def text_of(value: Any) -> str | None:
    """A vendor's value as a short text that can be stored and shown; None for anything else."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return None
    return str(value).replace("\x00", "").encode(errors="replace").decode()[:255] or None


class SignatureCheck:
    """Whether one of some secrets signed a body, which is hashed while it arrives."""

    def __init__(self, signature: str | None, secrets: Iterable[Secret]) -> None:
        """Raises NotAuthenticated where no body could be signed so."""
        self._signature = signature or ""
        self._hashes = [hmac.new(each.reveal().encode(), None, hashlib.sha256) for each in secrets]
        if not self._hashes or not _SIGNATURE.fullmatch(self._signature):
            raise NotAuthenticated(WRONG_SIGNATURE)

    def update(self, part: bytes) -> None:
        """Hash the next part of the body."""
        for each in self._hashes:
            each.update(part)

    def finish(self) -> None:
        """Raise NotAuthenticated unless one of the secrets signed all that was hashed."""
        digests = [f"sha256={each.hexdigest()}" for each in self._hashes]
        matches = [hmac.compare_digest(self._signature, digest) for digest in digests]
        if not any(matches):
            raise NotAuthenticated(WRONG_SIGNATURE)


def read_event(body: bytes) -> FmlEvent:
    """An event of any kind and version. Raises InvalidRequest for what has no id or no name."""
    try:
        payload = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidRequest("The body is not JSON.") from None
    if not isinstance(payload, dict):
        raise InvalidRequest("The body is not an event.")
    event_id, name = payload.get("eventId"), payload.get("event")
    if not isinstance(event_id, str) or text_of(event_id) != event_id:
        raise InvalidRequest("The event has no eventId.")
    if not isinstance(name, str) or len(name) > 100 or not _NAME.fullmatch(name):
        raise InvalidRequest("The event has no name.")
    source = text_of(payload.get("crmSource"))
    return FmlEvent(
        event_id,
        name,
        text_of(payload.get("caseId")),
        text_of(payload.get("crmRecordId")),
        source and source.lower(),
        payload,
    )


def _raise_if_transient(status: int, headers: Mapping[str, str]) -> None:
    if status == 429:
        wait = _lower(headers).get("retry-after", "")
        seconds = float(wait[:5]) if wait.isascii() and wait.isdecimal() else 5.0
        raise Throttled(max(seconds, 1.0))
    if status >= 500 or status < 400:
        raise VendorUnavailable(f"First Mile Labs answered {status}.")


def _with_vendor_error(
    status: int, payload: Mapping[str, Any], fields: list[dict[str, str]]
) -> dict[str, Any]:
    code = payload.get("error")
    return {
        "status": status,
        "error": code[:100] if isinstance(code, str) else None,
        "fields": fields,
    }


def _field(each: Any) -> dict[str, str] | None:
    if isinstance(each, str):
        return {"field": each[:100], "message": "is rejected"}
    if not isinstance(each, dict):
        return None
    name = each.get("field") or each.get("path") or each.get("param") or each.get("name")
    if isinstance(name, list):
        name = ".".join(str(part) for part in name)
    if not isinstance(name, str):
        return None
    message = each.get("message") or each.get("reason") or each.get("error") or "is rejected"
    return {"field": name[:100], "message": _message(message)}


def _message(message: Any) -> str:
    return str(message[0] if isinstance(message, list) and message else message)[:300]


def _object(body: bytes) -> dict[str, Any]:
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _refuse(constant: str) -> Any:
    raise ValueError(constant)

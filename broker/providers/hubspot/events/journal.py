"""HubSpot's Webhooks Journal on the wire: what is asked, where files are, what they say. No I/O.

The journal keeps three days; an offset is the name of a file, and what comes after it is asked for
(https://developers.hubspot.com/docs/api-reference/latest/webhooks-journal/guide).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from broker.errors import HubSpotUnavailable

VERSION = "2026-03"
KEPT = timedelta(days=3)
FILE_BYTES = 64 * 1_048_576

SCOPES = (
    "developer.webhooks_journal.read",
    "developer.webhooks_journal.subscriptions.read",
    "developer.webhooks_journal.subscriptions.write",
)

LIFECYCLE = ("4-1909196", "4-1916193")
"""The event types of an app's install and uninstall."""

NOUNS = {
    "0-1": "contact",
    "0-2": "company",
    "0-3": "deal",
    "0-5": "ticket",
    "0-7": "product",
    "0-8": "line_item",
}
"""Object types that webhooks name by a word; every other one is an `object`."""

ACTIONS = {
    "CREATE": "creation",
    "DELETE": "deletion",
    "MERGE": "merge",
    "RESTORE": "restore",
    "ASSOCIATION_ADDED": "associationChange",
    "ASSOCIATION_REMOVED": "associationChange",
    "GDPR_DELETE": "privacyDeletion",
}

UNINSTALLED = "app.uninstalled"
LIFECYCLE_TYPES = {"APP_INSTALL": "app.installed", "APP_UNINSTALL": UNINSTALLED}

_STORAGE = re.compile(r"[a-z0-9.-]+\.s3([.-][a-z0-9-]+)?\.amazonaws\.com")


class OffsetUnknown(Exception):
    """HubSpot no longer knows the offset: only what is left of the journal can be read."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the journal: its offset, and where it can be fetched for a while."""

    offset: str
    url: str


def token_form() -> dict[str, str]:
    return {"grant_type": "client_credentials", "scope": " ".join(SCOPES)}


def path_of(offset: str | None) -> str:
    """What to ask for the file after an offset; for the oldest one with an empty offset, for the
    newest with none.
    """
    base = f"/webhooks-journal/journal/{VERSION}"
    if offset is None:
        return f"{base}/latest"
    return f"{base}/offset/{offset}/next" if offset else f"{base}/earliest"


def subscription(event_type: str) -> dict[str, Any]:
    return {
        "subscriptionType": "APP_LIFECYCLE_EVENT",
        "eventTypeId": event_type,
        "properties": [],
    }


def read_file(status: int, body: bytes, api_url: str) -> File | None:
    """The file that an answer names; None when there is none yet.

    Raises OffsetUnknown, and HubSpotUnavailable for everything that may pass.
    """
    if status == 204:
        return None
    if status in {400, 404, 410}:
        raise OffsetUnknown
    try:
        payload = json.loads(body) if status == 200 else {}
    except ValueError:
        payload = {}
    offset, url = (
        (payload.get("currentOffset"), payload.get("url"))
        if isinstance(payload, dict)
        else (None, None)
    )
    if not isinstance(offset, str) or not re.fullmatch(r"[0-9A-Za-z-]{1,64}", offset):
        raise HubSpotUnavailable(f"HubSpot's journal answered {status}.")
    if not isinstance(url, str) or not _is_storage(url, api_url):
        raise HubSpotUnavailable("HubSpot's journal names a file elsewhere.")
    return File(offset, url)


def _is_storage(url: str, api_url: str) -> bool:
    """Whether a file lies at HubSpot's storage, or at the API itself (as the sandbox's do)."""
    try:
        file, api = urlsplit(url), urlsplit(api_url)
        stored = file.scheme == "https" and file.port in {None, 443}
    except ValueError:
        return False
    stored = stored and bool(_STORAGE.fullmatch(file.hostname or "")) and file.username is None
    return stored or (file.scheme, file.netloc) == (api.scheme, api.netloc)


def published_at(body: bytes) -> datetime | None:
    """When a file was published, if it says so."""
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        return None
    milliseconds = _milliseconds(payload.get("publishedAt")) if isinstance(payload, dict) else None
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def read_events(body: bytes) -> list[Any]:
    """A file's events, each in the form of a webhook. Raises ValueError for anything else."""
    payload = json.loads(body.decode())
    events = payload.get("journalEvents") if isinstance(payload, dict) else None
    if not isinstance(events, list):
        raise ValueError("not a file of the journal")  # noqa: TRY004  # a value of the outside
    return [item for event in events for item in _as_webhook(event)]


def _as_webhook(event: Any) -> list[Any]:
    if not isinstance(event, dict):
        return [event]
    action = str(event.get("action"))
    common: Mapping[str, Any] = {
        **{name: value for name, value in event.items() if name not in {"type", "propertyChanges"}},
        "occurredAt": _milliseconds(event.get("occurredAt")),
        "journal": event.get("type"),
    }
    if action in LIFECYCLE_TYPES:
        return [{**common, "subscriptionType": LIFECYCLE_TYPES[action]}]
    noun = NOUNS.get(str(event.get("objectTypeId")), "object")
    if action == "UPDATE":
        changes = event.get("propertyChanges")
        kind = f"{noun}.propertyChange"
        if not isinstance(changes, dict) or not changes:
            return [{**common, "subscriptionType": kind}]
        return [
            {**common, "subscriptionType": kind, "propertyName": name, "propertyValue": value}
            for name, value in changes.items()
        ]
    if action.startswith("ASSOCIATION_"):
        common = {**common, "associationRemoved": action == "ASSOCIATION_REMOVED"}
    return [{**common, "subscriptionType": f"{noun}.{ACTIONS.get(action, action.lower())}"}]


def _milliseconds(moment: Any) -> int | None:
    """A moment in milliseconds, from milliseconds or ISO 8601."""
    if isinstance(moment, int) and not isinstance(moment, bool):
        return moment
    try:
        parsed = datetime.fromisoformat(str(moment))
    except ValueError:
        return None
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)

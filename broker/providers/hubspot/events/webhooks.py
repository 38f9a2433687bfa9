"""Reads HubSpot's webhook batches, and hashes events to recognise repeats. No I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.errors import InvalidRequest
from broker.providers.hubspot.events.journal import NOUNS
from broker.providers.webhooks import fingerprint, read_json

BATCH_BYTES = 10 * 1_048_576
"""The longest batch that is read: HubSpot sends at most 100 events, and a property value holds
up to 65,536 characters."""

YEAR_2100_MS = 4_102_444_800_000

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+){0,3}")


@dataclass(frozen=True, slots=True)
class HubSpotEvent:
    """One event of HubSpot's in one account. `occurred_ms` is None where HubSpot does not say."""

    hub_id: int
    type: str
    occurred_ms: int | None
    fields: Mapping[str, Any]

    def full_hash(self) -> bytes:
        """The same for every retry of one event: HubSpot changes nothing but `attemptNumber`, and
        its `eventId` alone is not unique.
        """
        fields = {name: value for name, value in self.fields.items() if name != "attemptNumber"}
        return fingerprint("event", fields)

    def content_hash(self, source: str) -> bytes:
        """The same for one change whether a webhook or the journal reported it: what happened to
        which object when, without the names that each source gives it.
        """
        names = (
            "objectId",
            "propertyName",
            "propertyValue",
            "fromObjectId",
            "toObjectId",
            "associationRemoved",
            "primaryObjectId",
            "messageId",
        )
        named = {name: str(self.fields[name]) for name in names if name in self.fields}
        noun, _, action = self.type.partition(".")
        # A webhook may name a contact's type by its id, where the journal's reader says the word.
        noun = NOUNS.get(str(self.fields.get("objectTypeId")), noun)
        return fingerprint(source, [self.hub_id, noun, action, self.occurred_ms, named])


def read_batch(body: bytes) -> list[Any]:
    """The events of a batch, each as HubSpot wrote it. Raises InvalidRequest for anything that is
    not a JSON array.
    """
    batch = read_json(body)
    if not isinstance(batch, list):
        raise InvalidRequest("The body is not an array of events.")
    return batch


def read_event(event: Any) -> HubSpotEvent | None:
    """An event that can be delivered; None for one without an account or a type."""
    if not isinstance(event, dict):
        return None
    hub_id = event.get("portalId")
    # HubSpot's documentation calls it eventType in one table; real payloads say subscriptionType.
    kind = event.get("subscriptionType") or event.get("eventType")
    if (
        not isinstance(hub_id, int)
        or not _is_id(hub_id)
        or not isinstance(kind, str)
        or len(kind) > 100
    ):
        return None
    if not _TYPE.fullmatch(kind):
        return None
    occurred = event.get("occurredAt")
    if not isinstance(occurred, int) or not _is_id(occurred) or occurred >= YEAR_2100_MS:
        occurred = None
    return HubSpotEvent(hub_id, kind, occurred, event)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63

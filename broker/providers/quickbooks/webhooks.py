"""QuickBooks' webhooks: CloudEvents, and the older form under the same topics. No I/O.

Sources: Intuit's guides on webhooks and on moving to CloudEvents (from May 2026): the signature is
the same for both; a body is an array of CloudEvents or an object of notifications by company.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from broker.domain.events import InboxBatch, ProviderEvent, WebhookSecrets
from broker.errors import InvalidRequest
from broker.providers.webhooks import (
    BodySignature,
    HmacSha256Signature,
    ReadEvents,
    WebhookHead,
    Webhooks,
    fingerprint,
    is_name,
    moment,
    read_json,
    relayed,
)

SIGNATURE = "intuit-signature"

OPERATIONS = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "merge": "merged",
    "void": "void",
    "emailed": "emailed",
}
"""Operations of the older form, and how CloudEvents call them."""


class QuickBooksWebhooks(Webhooks):
    """Signed with the app's verifier token. Intuit waits three seconds."""

    own_secret = True
    store_timeout_s = 2.0

    def verify(self, head: WebhookHead, secrets: WebhookSecrets, _now_ms: int) -> BodySignature:
        """The signature in the head."""
        return HmacSha256Signature(head.value(SIGNATURE), secrets.webhook_secrets)

    def check(self, body: bytes) -> None:
        """Raise InvalidRequest for neither form."""
        _events(read_json(body))

    def read(self, batch: InboxBatch) -> ReadEvents:
        """The events of a delivery. Those of one company follow each other."""
        events, unreadable = [], []
        for each in _events(read_json(batch.body)):
            event = _cloud_event(each)
            if event is None:
                unreadable.append(each)
            else:
                events.append(event)
        return ReadEvents(events, unreadable)


def _events(payload: Any) -> list[Any]:
    """The events of either form, as CloudEvents."""
    if isinstance(payload, list):
        return payload
    if isinstance(payload, dict) and isinstance(payload.get("eventNotifications"), list):
        return list(_older(payload["eventNotifications"]))
    if isinstance(payload, dict) and "specversion" in payload:
        return [payload]
    raise InvalidRequest("The body is neither CloudEvents nor eventNotifications.")


def _older(notifications: list[Any]) -> Iterator[Any]:
    """Notifications of the older form as CloudEvents without an id; what is none stays as it is."""
    for each in notifications:
        try:
            realm_id, entities = each["realmId"], each["dataChangeEvent"]["entities"]
            changes = [
                {
                    "type": f"qbo.{entity['name'].lower()}.{_operation(entity['operation'])}.v1",
                    "time": entity.get("lastUpdated"),
                    "intuitentityid": entity["id"],
                    "intuitaccountid": realm_id,
                    "data": entity,
                }
                for entity in entities
            ]
        except (AttributeError, KeyError, TypeError):
            yield each
        else:
            yield from changes


def _operation(word: str) -> str:
    return OPERATIONS.get(word.lower(), word.lower())


def _cloud_event(event: Any) -> ProviderEvent | None:
    if not isinstance(event, Mapping):
        return None
    topic, realm_id, event_id = event.get("type"), event.get("intuitaccountid"), event.get("id")
    if not (is_name(topic) and is_name(realm_id)):
        return None
    known = event_id if isinstance(event_id, str) and event_id else None
    mark = fingerprint("id", known) if known is not None else fingerprint("change", event)
    return ProviderEvent(
        topic=topic,
        account_id=realm_id,
        occurred_at=moment(event.get("time")),
        data=relayed(realm_id, known, event),
        marks=(mark,),
    )

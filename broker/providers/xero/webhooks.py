"""Xero's webhooks: ids of what changed, and the intent to receive that proves the key. No I/O.

Source: Xero's guide on webhooks and its OpenAPI document. What is signed is answered 200, anything
else 401, both without a body and without cookies; of the requests that begin it, some are signed
wrongly on purpose.
"""

from collections.abc import Mapping
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

SIGNATURE = "x-xero-signature"


class XeroWebhooks(Webhooks):
    """Signed with the app's webhook key. Xero waits five seconds."""

    own_secret = True
    bare_refusals = True

    def verify(self, head: WebhookHead, secrets: WebhookSecrets, _now_ms: int) -> BodySignature:
        """The signature in the head."""
        return HmacSha256Signature(head.value(SIGNATURE), secrets.webhook_secrets)

    def check(self, body: bytes) -> None:
        """Raise InvalidRequest for what is no list of events; an empty one proves the key."""
        _events(body)

    def read(self, batch: InboxBatch) -> ReadEvents:
        """The events of a delivery, in order."""
        events, unreadable = [], []
        for each in _events(batch.body):
            event = _event(each)
            if event is None:
                unreadable.append(each)
            else:
                events.append(event)
        return ReadEvents(events, unreadable)


def _events(body: bytes) -> list[Any]:
    payload = read_json(body)
    events = payload.get("events") if isinstance(payload, dict) else None
    if not isinstance(events, list):
        raise InvalidRequest("The body holds no events.")
    return events


def _event(event: Any) -> ProviderEvent | None:
    if not isinstance(event, Mapping):
        return None
    names = ("tenantId", "resourceId", "eventCategory", "eventType", "eventDateUtc")
    found = [event.get(name) for name in names]
    if not all(is_name(value) for value in found):
        return None
    tenant_id, resource_id, category, kind, changed = (str(value) for value in found)
    return ProviderEvent(
        topic=f"{category}.{kind}".lower(),
        account_id=tenant_id,
        occurred_at=moment(changed),
        data=relayed(tenant_id, None, event),
        marks=(fingerprint(tenant_id, resource_id, changed, category, kind),),
    )

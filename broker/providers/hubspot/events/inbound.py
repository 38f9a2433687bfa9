"""HubSpot's webhooks and journal files as the broker's inbox takes them. No I/O."""

from datetime import UTC, datetime

from broker.domain.events import InboxBatch, ProviderEvent, WebhookSecrets
from broker.providers.hubspot.events.journal import UNINSTALLED, read_events
from broker.providers.hubspot.events.signature import SignatureCheck, SignedRequest, Version
from broker.providers.hubspot.events.webhooks import (
    BATCH_BYTES,
    HubSpotEvent,
    read_batch,
    read_event,
)
from broker.providers.webhooks import BodySignature, ReadEvents, WebhookHead, Webhooks

EVERY_VERSION = frozenset(Version)
CURRENT_VERSION = frozenset({Version.V3})


class HubSpotWebhooks(Webhooks):
    """Batches of many accounts' events, signed over method, URI and time as well. HubSpot waits
    five seconds.
    """

    max_bytes = BATCH_BYTES

    def verify(self, head: WebhookHead, secrets: WebhookSecrets, now_ms: int) -> BodySignature:
        """Version 3; the older ones only where the app accepts them."""
        accepted = EVERY_VERSION if secrets.accepts_legacy else CURRENT_VERSION
        request = SignedRequest(head.method, head.url, head.headers, b"")
        return SignatureCheck(request, secrets.secrets, now_ms, accepted)

    def check(self, body: bytes) -> None:
        """Raise InvalidRequest for what is not an array."""
        read_batch(body)

    def read(self, batch: InboxBatch) -> ReadEvents:
        """The events of a batch or of a file of the journal.

        A webhook is known by all of its fields, so that two changes are never taken for one. The
        journal reports the same changes under other names: what one of the two sources has
        reported, the other does not repeat. HubSpot reports uninstalls in its journal only, and any
        signer of webhooks could end grants otherwise.
        """
        from_journal = batch.source == "journal"
        raw = read_events(batch.body) if from_journal else read_batch(batch.body)
        events, unreadable = [], []
        for each in raw:
            event = read_event(each)
            if event is None:
                unreadable.append(each)
            else:
                events.append(_provider_event(event, batch))
        return ReadEvents(events, unreadable)


def _provider_event(event: HubSpotEvent, batch: InboxBatch) -> ProviderEvent:
    from_journal, elsewhere = batch.source == "journal", None
    marks: tuple[bytes, ...]
    if from_journal:
        marks, elsewhere = (event.content_hash("journal"),), event.content_hash("webhook")
    elif batch.reads_journal:
        marks = event.full_hash(), event.content_hash("webhook")
        elsewhere = event.content_hash("journal")
    else:
        marks = (event.full_hash(),)
    occurred = event.occurred_ms
    return ProviderEvent(
        topic=event.type,
        account_id=str(event.hub_id),
        occurred_at=None if occurred is None else _to_datetime(occurred),
        data=event.fields,
        marks=marks,
        elsewhere=elsewhere,
        hub_id=event.hub_id,
        ends_grants=from_journal and event.type == UNINSTALLED and occurred is not None,
    )


def _to_datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

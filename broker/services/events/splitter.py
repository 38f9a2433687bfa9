"""Split what HubSpot told into one event for each connection that it is about."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from broker.domain.events import InboxBatch, NewEvent
from broker.errors import Busy
from broker.providers.hubspot.events.journal import UNINSTALLED, read_events
from broker.providers.hubspot.events.webhooks import HubSpotEvent, read_batch, read_event
from broker.stores.events.webhook_inbox import LockedBatch, WebhookInbox
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


Watch = Callable[
    [LockedBatch, Sequence[HubSpotEvent], Mapping[int, Sequence[str]]], Awaitable[None]
]


class Splitter:
    """Empties the inbox. A batch's events, its marks and its end commit together: a process that
    stops half-way leaves the batch as it was.
    """

    def __init__(self, batches: WebhookInbox, metrics: Metrics, watch: Watch | None = None) -> None:
        """`watch` sees what is fresh, in the transaction that tells it."""
        self._inbox = batches
        self._metrics = metrics
        self._watch = watch
        self._stopping = False

    async def stop(self) -> None:
        """Take no further batch; the one that is being split is ended."""
        self._stopping = True

    async def split_due(self, limit: int) -> int:
        """Split batches until none waits; how many were taken. One that cannot be split holds up
        no other.
        """
        for taken in range(limit):
            if self._stopping or not await self._split_next():
                return taken
        return limit

    async def _split_next(self) -> bool:
        batch: InboxBatch | None = None
        try:
            async with self._inbox.take() as held:
                if held is None:
                    return False
                batch = held.batch
                await self._split(held)
                await held.delete()
        except Busy:
            raise
        except Exception:
            if batch is None:
                raise
            log.exception("batch not split", extra={"batch": str(batch.id)})
            await self._inbox.reschedule(batch)
        return True

    async def _split(self, held: LockedBatch) -> None:
        batch = held.batch
        if batch.app_slug is None:  # removed meanwhile
            return
        from_journal = batch.source == "journal"
        said = read_events(batch.body) if from_journal else read_batch(batch.body)
        happenings = [read_event(event) for event in said]
        unread = [event for event, found in zip(said, happenings, strict=True) if found is None]
        if unread:
            log.warning("events parked", extra={"batch": str(batch.id), "how_many": len(unread)})
            await held.quarantine(json.dumps(unread).encode())
            self._metrics.events.labels("parked").inc(len(unread))
        fresh = await self._unseen(held, [each for each in happenings if each is not None])
        users = await held.users_of(list({each.hub_id for each in fresh}))
        facts = [
            new_event(batch, batch.app_slug, each, user_ref, position)
            for position, each in enumerate(fresh)
            for user_ref in users.get(each.hub_id, ())
        ]
        await held.publish(facts)
        if self._watch is not None:
            await self._watch(held, fresh, users)
        for each in fresh:
            if each.type == UNINSTALLED and each.occurred_ms is not None:
                await held.end_grants(each.hub_id, to_datetime(each.occurred_ms))
        unknown = sum(each.hub_id not in users for each in fresh)
        self._metrics.events.labels("told").inc(len(facts))
        self._metrics.events.labels("unknown-account").inc(unknown)

    async def _unseen(
        self, held: LockedBatch, happenings: Sequence[HubSpotEvent]
    ) -> list[HubSpotEvent]:
        """What was not told before, each once.

        A webhook is known by all that it says, so that two changes are never taken for one. The
        journal tells the same changes under other names: what one of the two has told, the other
        does not tell again.
        """
        from_journal = held.batch.source == "journal"
        names: dict[bytes, HubSpotEvent] = {}
        for each in happenings:
            name = each.content_hash("journal") if from_journal else each.fingerprint()
            names.setdefault(name, each)
        other: dict[bytes, bytes] = {}
        marks = list(names)
        if from_journal or held.batch.reads_journal:
            await held.lock_dedup()
            theirs = "webhook" if from_journal else "journal"
            other = {name: each.content_hash(theirs) for name, each in names.items()}
            if not from_journal:
                marks += [each.content_hash("webhook") for each in names.values()]
        told = await held.already_seen(list(other.values())) if other else set()
        unseen = await held.remember_seen(marks)
        fresh = [
            each
            for name, each in names.items()
            if name in unseen and (not other or other[name] not in told)
        ]
        self._metrics.events.labels("duplicate").inc(len(happenings) - len(fresh))
        return fresh


def new_event(
    batch: InboxBatch, slug: str, each: HubSpotEvent, user_ref: str, position: int
) -> NewEvent:
    """A happening as one user's endpoints hear it: HubSpot's fields, beside the broker's own."""
    occurred = batch.received_at
    if each.occurred_ms is not None:
        occurred = to_datetime(each.occurred_ms)
    return NewEvent(
        f"hubspot.{each.type}", slug, user_ref, each.hub_id, each.fields, occurred, position
    )


def to_datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

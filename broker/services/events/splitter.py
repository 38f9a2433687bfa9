"""Batches of HubSpot's events, split into one event for each connection that they are about.

A batch of any length keeps the event loop free: it is parsed and hashed in a thread when it is
large, and published some hundred events at a time.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

from broker.concurrency.offload import offload
from broker.domain.events import InboxBatch, NewEvent
from broker.errors import Busy
from broker.providers.hubspot.events.journal import UNINSTALLED, read_events
from broker.providers.hubspot.events.webhooks import HubSpotEvent, read_batch, read_event
from broker.stores.events.webhook_inbox import LockedBatch, WebhookInbox
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

EVENTS_AT_ONCE = 250
"""How many events are written by one statement."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far HubSpot's clock may be ahead: an uninstall ends no grant that is made later."""

Watch = Callable[
    [LockedBatch, Sequence[HubSpotEvent], Mapping[int, Sequence[str]]], Awaitable[None]
]


class Splitter:
    """Empties the inbox. A batch's events, its fingerprints and its end commit together: a process
    that stops half-way leaves the batch as it was.
    """

    def __init__(self, batches: WebhookInbox, metrics: Metrics, watch: Watch | None = None) -> None:
        """`watch` sees fresh events, in the transaction that publishes them."""
        self._inbox = batches
        self._metrics = metrics
        self._watch = watch
        self._stopping = False

    async def stop(self) -> None:
        """Take no further batch; the one that is being split is ended."""
        self._stopping = True

    async def split_due(self, limit: int) -> int:
        """Split waiting batches; how many were taken. One that cannot be split delays no other."""
        for taken in range(limit):
            if self._stopping or not await self._split_next():
                return taken
        return limit

    async def _split_next(self) -> bool:
        batch: InboxBatch | None = None
        try:
            async with self._inbox.take() as locked:
                if locked is None:
                    return False
                batch = locked.batch
                await self._split(locked)
                await locked.delete()
        except Busy:
            raise
        except Exception:
            if batch is None:
                raise
            log.exception("batch_not_split", extra={"batch": str(batch.id)})
            await self._inbox.reschedule(batch)
        return True

    async def _split(self, locked: LockedBatch) -> None:
        batch = locked.batch
        if batch.app_slug is None:  # removed meanwhile
            return
        parsed = await offload(len(batch.body), lambda: parse(batch))
        if parsed.unreadable:
            count = len(parsed.unreadable)
            log.warning("events_quarantined", extra={"batch": str(batch.id), "events": count})
            await locked.quarantine(json.dumps(parsed.unreadable).encode())
            self._metrics.events.labels("parked").inc(count)
        self._metrics.events.labels("duplicate").inc(parsed.repeats)
        if batch.source == "journal" or batch.reads_journal:
            await locked.lock_dedup()
        position = 0
        for part in in_parts(parsed.events, EVENTS_AT_ONCE):
            fresh = await self._unseen(locked, part)
            await self._publish(locked, batch.app_slug, fresh, position)
            position += len(fresh)

    async def _publish(
        self, locked: LockedBatch, slug: str, fresh: Sequence[HubSpotEvent], position: int
    ) -> None:
        users = await locked.users_of(list({each.hub_id for each in fresh}))
        events = (
            new_event(locked.batch, slug, each, user_ref, at)
            for at, each in enumerate(fresh, position)
            for user_ref in users.get(each.hub_id, ())
        )
        published = 0
        for part in in_parts(events, EVENTS_AT_ONCE):
            await locked.publish(part)
            published += len(part)
        if self._watch is not None:
            await self._watch(locked, fresh, users)
        if locked.batch.source == "journal":  # any signer of webhooks could end grants otherwise
            for each in fresh:
                if each.type == UNINSTALLED and each.occurred_ms is not None:
                    latest = locked.batch.received_at + CLOCK_SKEW
                    await locked.end_grants(each.hub_id, min(to_datetime(each.occurred_ms), latest))
        unknown = sum(each.hub_id not in users for each in fresh)
        self._metrics.events.labels("told").inc(published)
        self._metrics.events.labels("unknown-account").inc(unknown)

    async def _unseen(self, locked: LockedBatch, part: Sequence["Readable"]) -> list[HubSpotEvent]:
        """Events that were not published before.

        A webhook is known by all of its fields, so that two changes are never taken for one. The
        journal reports the same changes under other names: what one of the two sources has
        reported, the other does not repeat.
        """
        dedup = locked.batch.source == "journal" or locked.batch.reads_journal
        seen = await locked.already_seen([each.elsewhere for each in part]) if dedup else set()
        marks = [mark for each in part for mark in each.marks]
        unseen = await locked.remember_seen(marks)
        fresh = [
            each.event for each in part if each.marks[0] in unseen and each.elsewhere not in seen
        ]
        self._metrics.events.labels("duplicate").inc(len(part) - len(fresh))
        return fresh


@dataclass(frozen=True, slots=True)
class Readable:
    """An event of a batch, with the fingerprints that are stored for it, its own first, and the one
    that would be there had the other source reported it.
    """

    event: HubSpotEvent
    marks: tuple[bytes, ...]
    elsewhere: bytes


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """A batch's events, each once; how many were repeats; and what cannot be read."""

    events: Sequence[Readable]
    repeats: int
    unreadable: Sequence[Any]


def parse(batch: InboxBatch) -> ParsedBatch:
    """Read a batch. No I/O."""
    from_journal = batch.source == "journal"
    raw = read_events(batch.body) if from_journal else read_batch(batch.body)
    unreadable: list[Any] = []
    events: dict[bytes, Readable] = {}
    for each in raw:
        event = read_event(each)
        if event is None:
            unreadable.append(each)
        elif from_journal:
            mark = event.content_hash("journal")
            events.setdefault(mark, Readable(event, (mark,), event.content_hash("webhook")))
        elif batch.reads_journal:
            marks = event.fingerprint(), event.content_hash("webhook")
            events.setdefault(marks[0], Readable(event, marks, event.content_hash("journal")))
        else:
            mark = event.fingerprint()
            events.setdefault(mark, Readable(event, (mark,), b""))
    repeats = len(raw) - len(unreadable) - len(events)
    return ParsedBatch(list(events.values()), repeats, unreadable)


def in_parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most so many."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def new_event(
    batch: InboxBatch, slug: str, each: HubSpotEvent, user_ref: str, position: int
) -> NewEvent:
    """An event of HubSpot's as one user's endpoints receive it: its fields and the broker's."""
    occurred = batch.received_at
    if each.occurred_ms is not None:
        occurred = to_datetime(each.occurred_ms)
    return NewEvent(
        f"hubspot.{each.type}", slug, user_ref, each.hub_id, each.fields, occurred, position
    )


def to_datetime(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

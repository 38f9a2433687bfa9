"""Deliveries of providers' webhooks, split into one event for each connection that they are about.

A batch of any length keeps the event loop free: it is parsed and hashed in a thread when it is
large, and published some hundred events at a time.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

from broker.concurrency.offload import offload
from broker.domain.events import InboxBatch, NewEvent, ProviderEvent
from broker.errors import Busy
from broker.providers.webhooks import Webhooks
from broker.stores.events.webhook_inbox import LockedBatch, WebhookInbox
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

T = TypeVar("T")

EVENTS_AT_ONCE = 250
"""How many events are written by one statement."""

CLOCK_SKEW = timedelta(minutes=5)
"""How far a provider's clock may be ahead: an uninstall ends no grant that is made later."""

Watch = Callable[
    [LockedBatch, Sequence[ProviderEvent], Mapping[str, Sequence[str]]], Awaitable[None]
]
"""What else is done with fresh events: the batch they came in, the events, and the users connected
to each account."""


class Splitter:
    """Empties the inbox. A batch's events, its fingerprints and its end commit together: a process
    that stops half-way leaves the batch as it was.
    """

    def __init__(
        self,
        inbox: WebhookInbox,
        webhooks: Mapping[str, Webhooks],
        metrics: Metrics,
        watch: Watch | None = None,
    ) -> None:
        """`webhooks`: how each provider's deliveries are read, by its name; `watch` sees fresh
        events, in the transaction that publishes them.
        """
        self._inbox = inbox
        self._webhooks = webhooks
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
        webhooks = self._webhooks[batch.provider]
        parsed = await offload(len(batch.body), lambda: parse(webhooks, batch))
        if parsed.unreadable:
            count = len(parsed.unreadable)
            log.warning("events_quarantined", extra={"batch": str(batch.id), "events": count})
            await locked.quarantine(json.dumps(parsed.unreadable).encode())
            self._metrics.events.labels("parked").inc(count)
        self._metrics.events.labels("duplicate").inc(parsed.repeats)
        if any(each.elsewhere is not None for each in parsed.events):
            await locked.lock_dedup()
        position = 0
        for part in in_parts(parsed.events, EVENTS_AT_ONCE):
            fresh = await self._unseen(locked, part)
            await self._publish(locked, batch.app_slug, fresh, position)
            position += len(fresh)

    async def _publish(
        self, locked: LockedBatch, slug: str, fresh: Sequence[ProviderEvent], position: int
    ) -> None:
        users = await locked.users_of(list({each.account_id for each in fresh}))
        events = (
            new_event(locked.batch, slug, each, user_ref, at)
            for at, each in enumerate(fresh, position)
            for user_ref in users.get(each.account_id) or ((None,) if each.for_app else ())
        )
        published = 0
        for part in in_parts(events, EVENTS_AT_ONCE):
            await locked.publish(part)
            published += len(part)
        if self._watch is not None:
            await self._watch(locked, fresh, users)
        for each in fresh:
            if each.ends_grants:
                latest = locked.batch.received_at + CLOCK_SKEW
                await locked.end_grants(each.account_id, min(each.occurred_at or latest, latest))
        unknown = sum(each.account_id not in users for each in fresh)
        self._metrics.events.labels("published").inc(published)
        self._metrics.events.labels("unknown-account").inc(unknown)

    async def _unseen(
        self, locked: LockedBatch, part: Sequence[ProviderEvent]
    ) -> list[ProviderEvent]:
        """Events that were not published before, by this source of the provider's or another."""
        marks = [mark for each in part for mark in each.marks]
        elsewhere = [each.elsewhere for each in part if each.elsewhere is not None]
        seen = await locked.already_seen([*marks, *elsewhere])
        unseen = await locked.remember_seen([mark for mark in marks if mark not in seen])
        fresh = [each for each in part if each.marks[0] in unseen and each.elsewhere not in seen]
        self._metrics.events.labels("duplicate").inc(len(part) - len(fresh))
        return fresh


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """A delivery's events, each once; how many were repeats; and what cannot be read."""

    events: Sequence[ProviderEvent]
    repeats: int
    unreadable: Sequence[Any]


def parse(webhooks: Webhooks, batch: InboxBatch) -> ParsedBatch:
    """Read a delivery. No I/O."""
    found = webhooks.read(batch)
    events: dict[bytes, ProviderEvent] = {}
    for each in found.events:
        events.setdefault(each.marks[0], each)
    return ParsedBatch(
        list(events.values()), len(found.events) - len(events), list(found.unreadable)
    )


def in_parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most so many."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def new_event(
    batch: InboxBatch, slug: str, each: ProviderEvent, user_ref: str | None, position: int
) -> NewEvent:
    """A provider's event as one user's endpoints receive it: its fields and the broker's."""
    return NewEvent(
        f"{batch.provider}.{each.topic}",
        slug,
        user_ref,
        each.hub_id,
        each.data,
        each.occurred_at or batch.received_at,
        position,
    )

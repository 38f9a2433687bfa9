"""Split what HubSpot told into one event for each connection that it is about."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from broker.domain.events import Batch, Fact
from broker.errors import Busy
from broker.providers.hubspot.events.journal import UNINSTALLED, read_events
from broker.providers.hubspot.events.webhooks import Happening, read_batch, read_happening
from broker.stores.events.webhook_inbox import Batches, HeldBatch
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


Watch = Callable[[HeldBatch, Sequence[Happening], Mapping[int, Sequence[str]]], Awaitable[None]]


class Splitter:
    """Empties the inbox. A batch's events, its marks and its end commit together: a process that
    stops half-way leaves the batch as it was.
    """

    def __init__(self, batches: Batches, metrics: Metrics, watch: Watch | None = None) -> None:
        """`watch` sees what is fresh, in the transaction that tells it."""
        self._batches = batches
        self._metrics = metrics
        self._watch = watch

    async def split_due(self, limit: int) -> int:
        """Split batches until none waits; how many were taken. One that cannot be split holds up
        no other.
        """
        for taken in range(limit):
            if not await self._split_next():
                return taken
        return limit

    async def _split_next(self) -> bool:
        batch: Batch | None = None
        try:
            async with self._batches.take() as held:
                if held is None:
                    return False
                batch = held.batch
                await self._split(held)
                await held.done()
        except Busy:
            raise
        except Exception:
            if batch is None:
                raise
            log.exception("batch not split", extra={"batch": str(batch.id)})
            await self._batches.put_off(batch)
        return True

    async def _split(self, held: HeldBatch) -> None:
        batch = held.batch
        if batch.app_slug is None:  # removed meanwhile
            return
        from_journal = batch.source == "journal"
        said = read_events(batch.body) if from_journal else read_batch(batch.body)
        happenings = [read_happening(event) for event in said]
        unread = [event for event, found in zip(said, happenings, strict=True) if found is None]
        if unread:
            log.warning("events parked", extra={"batch": str(batch.id), "how_many": len(unread)})
            await held.park(json.dumps(unread).encode())
            self._metrics.events.labels("parked").inc(len(unread))
        fresh = await self._fresh(held, [each for each in happenings if each is not None])
        users = await held.users_of(list({each.hub_id for each in fresh}))
        facts = [
            fact_of(batch, batch.app_slug, each, user_ref, position)
            for position, each in enumerate(fresh)
            for user_ref in users.get(each.hub_id, ())
        ]
        await held.tell(facts)
        if self._watch is not None:
            await self._watch(held, fresh, users)
        for each in fresh:
            if each.type == UNINSTALLED and each.occurred_ms is not None:
                await held.end_grants(each.hub_id, moment_of(each.occurred_ms))
        unknown = sum(each.hub_id not in users for each in fresh)
        self._metrics.events.labels("told").inc(len(facts))
        self._metrics.events.labels("unknown-account").inc(unknown)

    async def _fresh(self, held: HeldBatch, happenings: Sequence[Happening]) -> list[Happening]:
        """What was not told before, each once.

        A webhook is known by all that it says, so that two changes are never taken for one. The
        journal tells the same changes under other names: what one of the two has told, the other
        does not tell again.
        """
        from_journal = held.batch.source == "journal"
        names: dict[bytes, Happening] = {}
        for each in happenings:
            name = each.meaning("journal") if from_journal else each.fingerprint()
            names.setdefault(name, each)
        other: dict[bytes, bytes] = {}
        marks = list(names)
        if from_journal or held.batch.reads_journal:
            await held.lock_marks()
            theirs = "webhook" if from_journal else "journal"
            other = {name: each.meaning(theirs) for name, each in names.items()}
            if not from_journal:
                marks += [each.meaning("webhook") for each in names.values()]
        told = await held.told_before(list(other.values())) if other else set()
        unseen = await held.mark_told(marks)
        fresh = [
            each
            for name, each in names.items()
            if name in unseen and (not other or other[name] not in told)
        ]
        self._metrics.events.labels("duplicate").inc(len(happenings) - len(fresh))
        return fresh


def fact_of(batch: Batch, slug: str, each: Happening, user_ref: str, position: int) -> Fact:
    """A happening as one user's endpoints hear it: HubSpot's fields, beside the broker's own."""
    occurred = batch.received_at
    if each.occurred_ms is not None:
        occurred = moment_of(each.occurred_ms)
    return Fact(
        f"hubspot.{each.type}", slug, user_ref, each.hub_id, each.fields, occurred, position
    )


def moment_of(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)

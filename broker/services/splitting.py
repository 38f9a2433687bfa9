"""Split what HubSpot told into one event for each connection that it is about."""

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

from broker.errors import Busy
from broker.events import Batch, Fact
from broker.hubspot.webhooks import Happening, read_batch, read_happening
from broker.stores.batches import Batches, HeldBatch
from broker.telemetry import Metrics

log = logging.getLogger(__name__)


class Splitter:
    """Empties the inbox. A batch's events, its marks and its end commit together: a process that
    stops half-way leaves the batch as it was.
    """

    def __init__(self, batches: Batches, metrics: Metrics) -> None:
        self._batches = batches
        self._metrics = metrics

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
        said = read_batch(batch.body)
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
        unknown = sum(each.hub_id not in users for each in fresh)
        self._metrics.events.labels("told").inc(len(facts))
        self._metrics.events.labels("unknown-account").inc(unknown)

    async def _fresh(self, held: HeldBatch, happenings: Sequence[Happening]) -> list[Happening]:
        """What was not told before, each once."""
        once = {each.fingerprint(): each for each in reversed(happenings)}
        unseen = await held.mark_told(list(once))
        fresh = [each for each in happenings if each.fingerprint() in unseen]
        fresh = list({each.fingerprint(): each for each in fresh}.values())
        self._metrics.events.labels("duplicate").inc(len(happenings) - len(fresh))
        return fresh


def fact_of(batch: Batch, slug: str, each: Happening, user_ref: str, position: int) -> Fact:
    """A happening as one user's endpoints hear it: HubSpot's fields, beside the broker's own."""
    occurred = batch.received_at
    if each.occurred_ms is not None:
        occurred = datetime.fromtimestamp(each.occurred_ms / 1000, UTC)
    return Fact(
        f"hubspot.{each.type}", slug, user_ref, each.hub_id, each.fields, occurred, position
    )

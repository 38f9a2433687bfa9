"""Attempts at deliveries, repeated until a receiver accepts or the schedule ends.

How a dead receiver delays no other
-----------------------------------
Due deliveries are claimed by endpoint, a few at a time for each, so a queue of any length behind
one endpoint costs the others nothing. Several failures in a row open an endpoint's circuit: for a
while nothing is sent there, then one delivery probes it. A delivery that waits behind an open
circuit is not attempted and loses no attempt.

Why nothing is lost
-------------------
A claim is a lease: a process that ends between claim and outcome leaves the delivery due again.
What was sent by then is sent twice, under the same `webhook-id`.
"""

import asyncio
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.concurrency.task_set import TaskSet
from broker.domain.events import Delivery, DeliveryRecord, Endpoint, NewEvent, Reply, message_id
from broker.domain.model import App
from broker.errors import BrokerError
from broker.receivers.client import Receivers
from broker.receivers.signing import signed_headers
from broker.stores.events.deliveries import Deliveries
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

BACKOFF = Backoff(
    schedule=(5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 86_400),
    jitter=(0.85, 1.0),
)
"""Twelve attempts in just under three days."""

MAX_CONCURRENT = 200
MAX_CONCURRENT_PER_ENDPOINT = 10
"""Attempts under way in one process, in all and to one endpoint."""

FAILURES_TO_OPEN_CIRCUIT = 5
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(minutes=5)
"""Failures in a row that close an endpoint, and for how long."""

LEASE = timedelta(seconds=60)
"""Longer than an attempt may take."""

MIN_CLAIM_INTERVAL_S = 0.25
GATHER_S = 0.01
"""While attempts are under way: the longest time between two claims, and how long to let attempts
end, so that one claim fills the room that several left.
"""

LONGEST_RETRY_AFTER_S = 3600.0
STOP_GRACE_S = 5.0
"""How long attempts under way may go on once the process is stopping."""


class Deliverer:
    """Makes the attempts of one process."""

    def __init__(self, deliveries: Deliveries, receivers: Receivers, metrics: Metrics) -> None:
        self._deliveries = deliveries
        self._receivers = receivers
        self._metrics = metrics
        self._attempts: TaskSet[UUID] = TaskSet(_log_failure)
        self._claiming = asyncio.Lock()
        self._stopping = False

    async def deliver_due(self) -> int:
        """Begin attempts at due deliveries, up to the limit of this process; how many."""
        async with self._claiming:
            room = MAX_CONCURRENT - len(self._attempts)
            if room <= 0 or self._stopping:
                return 0
            claimed = await self._deliveries.claim(
                room,
                at_once=MAX_CONCURRENT_PER_ENDPOINT,
                closing=FAILURES_TO_OPEN_CIRCUIT,
                busy=Counter(self._attempts.subjects),
                lease=LEASE,
            )
            for delivery in claimed:
                self._attempts.spawn(self._attempt(delivery, once=False), delivery.endpoint_id)
            return len(claimed)

    async def deliver(self) -> int:
        """Make due attempts, and those that become due meanwhile, until none is under way; how many
        were begun.
        """
        started = 0
        while (claimed := await self.deliver_due()) or len(self._attempts):
            started += claimed
            await self._attempts.wait_any(MIN_CLAIM_INTERVAL_S)
            await asyncio.sleep(GATHER_S)
        return started

    async def expire(self) -> int:
        """Give up what could not be delivered within three days; how many."""
        expired = await self._deliveries.expire()
        if expired:
            self._metrics.deliveries.labels("dead").inc(expired)
            log.warning("deliveries_expired", extra={"deliveries": expired})
        return expired

    async def join(self) -> None:
        """Wait for the attempts under way."""
        await self._attempts.join()

    async def stop(self) -> None:
        """Claim nothing more and let the attempts under way end within the grace. One that is cut
        is due again when its lease expires.
        """
        self._stopping = True
        async with self._claiming:
            pass  # what a claim under way takes is begun, and ends within the grace too
        await self._attempts.stop(STOP_GRACE_S)

    async def test(self, app: App, endpoint: Endpoint) -> DeliveryRecord:
        """Send an endpoint a test event now, once; the delivery with its outcome."""
        event = NewEvent("endpoint.test", app.slug, None, None, {"endpoint": str(endpoint.id)})
        delivery_id = await self._deliveries.enqueue_for_endpoint(app, endpoint, event)
        delivery = await self._deliveries.claim_one(endpoint, event.id, LEASE)
        await self._attempt(delivery, once=True)
        return await self._deliveries.get(app, delivery_id)

    async def _attempt(self, delivery: Delivery, *, once: bool) -> Reply:
        name = message_id(delivery.event_id)
        headers = signed_headers(delivery.secrets, name, delivery.payload, datetime.now(UTC))
        headers["User-Agent"] = "broker-events/1"
        if delivery.is_replay:
            headers["Broker-Replayed"] = "true"
        reply = await self._receivers.post(delivery.url, headers, delivery.payload)
        if reply.accepted:
            outcome = "delivered"
            await self._deliveries.settle(delivery, outcome, reply, None)
            if delivery.prior_failures:
                await self._deliveries.record_success(delivery)
        else:
            pause = None if once else pause_after(delivery.attempts, reply.retry_after)
            gone = reply.status == 410
            outcome = "dead" if gone or pause is None else "waiting"
            await self._deliveries.settle(delivery, outcome, reply, None if gone else pause)
            if gone and not once:
                await self._deliveries.disable(delivery, "gone")
            elif not once:
                await self._deliveries.record_failure(
                    delivery, FAILURES_TO_OPEN_CIRCUIT, FIRST_PAUSE, LONGEST_PAUSE
                )
        self._metrics.deliveries.labels(outcome).inc()
        log.log(
            logging.WARNING if outcome == "dead" else logging.INFO,
            "delivery_attempt",
            extra={
                "delivery": str(delivery.id),
                "endpoint": str(delivery.endpoint_id),
                "attempt": delivery.attempts,
                "outcome": outcome,
                "status": reply.status,
                "reason": reply.error,
            },
        )
        return reply


def _log_failure(endpoint_id: UUID, task: "asyncio.Task[Any]") -> None:
    failure = None if task.cancelled() else task.exception()
    if isinstance(failure, BrokerError):
        log.warning(
            "delivery_not_settled", extra={"endpoint": str(endpoint_id), "reason": failure.code}
        )
    elif failure is not None:
        log.error("delivery_failed", extra={"endpoint": str(endpoint_id)}, exc_info=failure)


def pause_after(attempts: int, retry_after: float | None = None) -> timedelta | None:
    """How long to wait after that many attempts; None when there is no further one."""
    if BACKOFF.is_exhausted(attempts):
        return None
    at_least = min(retry_after or 0, LONGEST_RETRY_AFTER_S)
    return timedelta(seconds=BACKOFF.pause(attempts, at_least))

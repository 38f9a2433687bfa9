"""Deliver events until they are taken.

How nobody is held up by somebody else's dead receiver
------------------------------------------------------
What is due is claimed by endpoint, a few at a time for each, so a queue of any length behind one
endpoint costs the others nothing. An endpoint that failed several times in a row is closed: for a
while nothing is sent there, then one delivery tries whether it takes again. A delivery that waits
behind a closed endpoint is not tried and loses no attempt.

Why nothing is lost
-------------------
A claim is a lease: whoever stops between claim and outcome leaves the delivery due again. What was
sent by then is sent twice, under the same `webhook-id`.
"""

import asyncio
import logging
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from broker.domain.events import Delivery, DeliveryRecord, Endpoint, NewEvent, Reply, message_id
from broker.domain.model import App
from broker.errors import BrokerError
from broker.receivers.client import Receivers
from broker.receivers.signing import signed_headers
from broker.stores.events.deliveries import Deliveries
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

SCHEDULE_S = (5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 86_400)
"""Pauses after each failed attempt, in seconds: twelve attempts in just under three days."""

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
"""While attempts are under way: how often to look for more, at least, and how long to let ends
gather, so that one claim fills several places.
"""

LONGEST_RETRY_AFTER_S = 3600.0
STOP_S = 5.0


class Deliverer:
    """Makes the attempts of one process."""

    def __init__(self, deliveries: Deliveries, receivers: Receivers, metrics: Metrics) -> None:
        self._deliveries = deliveries
        self._receivers = receivers
        self._metrics = metrics
        self._tasks: dict[asyncio.Task[Reply], UUID] = {}

    async def deliver_due(self) -> int:
        """Begin attempts at what is due, as far as there is room; how many."""
        room = MAX_CONCURRENT - len(self._tasks)
        if room <= 0:
            return 0
        claimed = await self._deliveries.claim(
            room,
            at_once=MAX_CONCURRENT_PER_ENDPOINT,
            closing=FAILURES_TO_OPEN_CIRCUIT,
            busy=Counter(self._tasks.values()),
            lease=LEASE,
        )
        for delivery in claimed:
            task = asyncio.create_task(self._attempt(delivery, once=False))
            self._tasks[task] = delivery.endpoint_id
            task.add_done_callback(self._ended)
        return len(claimed)

    async def deliver(self) -> int:
        """Deliver what is due and what becomes due meanwhile, until nothing is under way; how many
        attempts were begun.
        """
        begun = 0
        while (claimed := await self.deliver_due()) or self._tasks:
            begun += claimed
            if self._tasks:
                await asyncio.wait(
                    list(self._tasks),
                    timeout=MIN_CLAIM_INTERVAL_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            await asyncio.sleep(GATHER_S)
        return begun

    async def join(self) -> None:
        """Wait for the attempts under way."""
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def stop(self) -> None:
        """Let attempts under way end, for a moment; what is cut off is made again by lease."""
        if self._tasks:
            _, left = await asyncio.wait(list(self._tasks), timeout=STOP_S)
            for task in left:
                task.cancel()

    async def test(self, app: App, endpoint: Endpoint) -> DeliveryRecord:
        """Send an endpoint a test event now, once; what came of it."""
        fact = NewEvent("endpoint.test", app.slug, None, None, {"endpoint": str(endpoint.id)})
        delivery_id = await self._deliveries.enqueue_for_endpoint(app, endpoint, fact)
        delivery = await self._deliveries.claim_one(app.workspace_id, delivery_id, LEASE)
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
            await self._deliveries.settle(delivery, outcome, reply, pause)
            if gone and not once:
                await self._deliveries.disable(delivery, "gone")
            elif not once:
                await self._deliveries.record_failure(
                    delivery, FAILURES_TO_OPEN_CIRCUIT, FIRST_PAUSE, LONGEST_PAUSE
                )
        self._metrics.deliveries.labels(outcome).inc()
        log.log(
            logging.WARNING if outcome == "dead" else logging.INFO,
            "attempted",
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

    def _ended(self, task: "asyncio.Task[Reply]") -> None:
        self._tasks.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, BrokerError):
            log.warning("attempt not settled", extra={"reason": failure.code})
        elif failure is not None:
            log.error("attempt failed", exc_info=failure)


def pause_after(attempts: int, retry_after: float | None = None) -> timedelta | None:
    """How long to wait after that many attempts; None when there is no further one."""
    if attempts > len(SCHEDULE_S):
        return None
    pause = SCHEDULE_S[attempts - 1] * random.uniform(0.85, 1)  # noqa: S311
    return timedelta(seconds=max(pause, min(retry_after or 0, LONGEST_RETRY_AFTER_S)))

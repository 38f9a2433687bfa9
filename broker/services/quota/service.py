"""Quota: every call to HubSpot takes a permit first, and waits for one in a fair turn.

How a quota is shared
---------------------
HubSpot counts the calls of one app for one account over a rolling interval. The quota is as many
permits as calls fit into it. Each process holds some of the permits, by a row in Postgres; a permit
that was used is free again after the interval, in the same process. So a busy process exchanges
permits with the database only when it needs more than it holds, when another process notifies it
that it waits, and every few seconds, for all its quotas in one statement, to keep its shares from
expiring.

The sum of what processes hold never exceeds the size: permits are added after they were written
down, and returned before.
"""

import asyncio
import math
import time
from collections.abc import Hashable
from uuid import UUID

from broker.domain.model import Connection
from broker.errors import QuotaExhausted
from broker.providers.calls.limits import QuotaLimit, RateLimitInfo
from broker.services.quota.bucket import Bucket
from broker.services.quota.share_sync import Pace, ShareSync
from broker.stores.proxy.quotas import QuotaName, Quotas
from broker.telemetry.metrics import Metrics

RELEASE_AFTER_S = 30.0
"""After how long without a call a process returns all its permits of a quota."""

DROP_AFTER_S = 600.0
"""After how long without a call a quota is removed here: longer than any call may last."""

MIN_WAIT_S = 1.0
"""How long a call may wait for a permit, however late it comes to it."""

PROBE_TIMEOUT_S = 5.0
"""How long calls wait for HubSpot's first answer about an account before they go without."""


class Quota:
    """The quotas of all accounts, as far as this process calls them."""

    def __init__(
        self, quotas: Quotas, default_wait_s: float, metrics: Metrics, pace: Pace | None = None
    ) -> None:
        """`default_wait_s`: how many seconds a call waits unless it says otherwise."""
        self._quotas = quotas
        self._default_wait_s = default_wait_s
        self._metrics = metrics
        self._pace = pace or Pace()
        self._buckets: dict[tuple[UUID, str, str], Bucket] = {}
        self._syncs: dict[str, ShareSync] = {}

    @property
    def buckets(self) -> list[Bucket]:
        """The quotas that this process has called lately."""
        return list(self._buckets.values())

    def bucket(self, connection: Connection, limit: QuotaLimit) -> Bucket:
        """The bucket that counts a connection's calls under a limit."""
        key = (connection.app_id, connection.account_id or "", limit.kind)
        bucket = self._buckets.get(key)
        if bucket is None:
            name = QuotaName(connection.workspace_id, *key)
            bucket = self._register(Bucket(name, limit))
        return bucket

    def take(self, bucket: Bucket, user: UUID) -> bool:
        """Take a permit for a call that is sent at once; False where there is none or other calls
        wait.

        Raises QuotaExhausted where the day's calls are used up, with the seconds after which a
        retry is worth it.
        """
        now = time.monotonic()
        if exhausted_for := bucket.exhausted_for(now):
            raise _refusal(exhausted_for, "daily")
        return bucket.acquire(user, now)

    async def wait(
        self,
        bucket: Bucket,
        user: UUID,
        wait_s: float | None,
        arrived: float,
        lane: Hashable = None,
    ) -> None:
        """Wait for a permit and take it, in turn between users and between a user's lanes.

        `wait_s` (seconds; None: as configured) counts from when the call arrived. Raises
        QuotaExhausted as `take` does.
        """
        now = time.monotonic()
        wait_s = self._default_wait_s if wait_s is None else wait_s
        # A call that has waited for something else already, a renewal say, still has a moment.
        wait_s = min(wait_s, max(MIN_WAIT_S, arrived + wait_s - now))
        waiter = bucket.join(user, lane, wait_s)
        if waiter is None:
            raise self._refused(bucket, user, lane)
        try:
            await self._sync_of(bucket).ensure()
            if not waiter.done() and not bucket.limit_known.is_set():
                await self._first_answer(bucket)
            if not waiter.done():
                async with asyncio.timeout(now + wait_s - time.monotonic()):
                    await waiter
        except TimeoutError:
            if not waiter.done() or waiter.cancelled():
                bucket.leave(user, lane, waiter)
                raise self._refused(bucket, user, lane) from None
        except BaseException:
            bucket.leave(user, lane, waiter)
            raise
        self._metrics.quota.labels("waited").inc()

    def observe(self, bucket: Bucket, limits: RateLimitInfo | None) -> None:
        """Learn from the limits in HubSpot's answer; None where there was no answer or no limit."""
        if bucket.observe(limits, time.monotonic()):
            self._sync_of(bucket).now("limit")

    def on_notification(self, payload: str) -> None:
        """Another process wants permits of a quota, or has returned some."""
        notification = self._quotas.read_notification(payload)
        sync = None if notification is None else self._syncs.get(notification.name)
        if notification is None or sync is None:
            return
        if notification.wanted:
            sync.on_wanted()
        else:
            sync.on_available()

    async def purge(self) -> int:
        """Delete expired shares, and quotas that were not used for a week."""
        return await self._quotas.purge()

    async def heartbeat(self) -> None:
        """Keep the shares of busy quotas from expiring, return those of idle ones."""
        now = time.monotonic()
        busy: list[Bucket] = []
        idle: list[Bucket] = []
        for bucket in self.buckets:
            bucket.sweep(now)
            unused_for = now - bucket.used_at
            if bucket.has_share:
                (idle if unused_for > RELEASE_AFTER_S and bucket.is_idle else busy).append(bucket)
            elif unused_for > DROP_AFTER_S and bucket.is_idle:
                del self._buckets[bucket.name.app_id, bucket.name.account_id, bucket.name.kind]
                self._syncs.pop(bucket.name.text).close()
        if idle:
            for bucket in idle:
                bucket.release()
            await self._quotas.release({bucket.name: 0.0 for bucket in idle})
        if busy:
            kept = await self._quotas.extend([bucket.name for bucket in busy])
            for bucket in busy:
                if bucket.has_share and kept.get(bucket.name, True):  # others wait, or it expired
                    self._sync_of(bucket).on_wanted()

    async def release_all(self) -> None:
        """Return all permits: free ones at once, others when HubSpot no longer counts them."""
        after = {}
        for bucket in self._buckets.values():
            bucket.sweep(time.monotonic())
            if bucket.has_share:
                after[bucket.name] = bucket.facts.interval * 1.1 if bucket.release() else 0.0
        if after:
            await self._quotas.release(after)

    def _register(self, bucket: Bucket) -> Bucket:
        name = bucket.name
        self._buckets[name.app_id, name.account_id, name.kind] = bucket
        self._syncs[name.text] = ShareSync(bucket, self._quotas, self._pace, self._metrics)
        return bucket

    def _sync_of(self, bucket: Bucket) -> ShareSync:
        if bucket.name.text not in self._syncs:  # removed while a very long call had it
            self._register(bucket)
        return self._syncs[bucket.name.text]

    async def _first_answer(self, bucket: Bucket) -> None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await bucket.limit_known.wait()
        except TimeoutError:
            bucket.stop_probing(time.monotonic())

    def _refused(self, bucket: Bucket, user: UUID, lane: Hashable) -> QuotaExhausted:
        self._metrics.quota.labels("refused").inc()
        return _refusal(bucket.wait_time(user, lane, time.monotonic()), "burst")


def _refusal(seconds: float, limit: str) -> QuotaExhausted:
    detail = {
        "daily": "The account's daily limit is used up.",
        "burst": "No quota of the account became available within the wait time.",
    }[limit]
    return QuotaExhausted(detail, retry_after=max(1, math.ceil(seconds)), limit=limit)

"""Quota: every call to HubSpot takes a place first, and waits for one in a fair turn.

How a quota is shared
---------------------
HubSpot counts the calls of one app for one account over a rolling interval. The quota is as many
places as calls fit into it. Each process holds some of the places, by a row in Postgres; a place
that was used is free again after the interval, at the same process. So a busy process asks the
database only when it needs more places than it holds, when another process rings because it waits,
and every few seconds, for all its quotas in one statement, so that its shares do not lapse.

The sum of what processes hold never exceeds the size: places are added after they were written
down, and given back before.
"""

import asyncio
import logging
import math
import time
from uuid import UUID

from broker.domain.model import Connection
from broker.errors import AppNotFound, Busy, QuotaExhausted
from broker.providers.calls.limits import QuotaLimit, RateLimitInfo
from broker.services.quota.bucket import Bucket
from broker.services.quota.shares import fair_share, rebalance
from broker.stores.proxy.quotas import QuotaName, Quotas
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

BEAT_S, SLOWEST_BEAT_S = 0.2, 1.0
"""How often a process asks for more places while somebody waits."""

IDLE_S = 30.0
"""After how long without a call a process gives its places of a quota back."""

DB_TIMEOUT_S = 1.0
"""How long the database may take before calls go on without it."""

MIN_WAIT_S = 1.0
"""How long a call may wait for a place, however late it comes to it."""

PROBE_TIMEOUT_S = 5.0
"""How long calls wait for HubSpot's first answer about an account before they go without."""


class Quota:
    """The quotas of all accounts, as far as this process calls them."""

    def __init__(self, quotas: Quotas, patience: float, metrics: Metrics) -> None:
        """`patience`: how many seconds a call waits unless it says otherwise."""
        self._quotas = quotas
        self._patience = patience
        self._metrics = metrics
        self._buckets: dict[tuple[UUID, str, str], Bucket] = {}
        self._by_text: dict[str, Bucket] = {}

    def bucket(self, connection: Connection, limit: QuotaLimit) -> Bucket:
        """The bucket that counts a connection's calls under a limit."""
        key = (connection.app_id, connection.account_id or "", limit.kind)
        found = self._buckets.get(key)
        if found is None:
            name = QuotaName(connection.workspace_id, *key)
            found = self._buckets[key] = Bucket(name, limit)
            self._by_text[name.text] = found
        return found

    def take(self, bucket: Bucket, user: UUID) -> bool:
        """Take a place for a call that is sent at once; whether there was one and nobody waits.

        Raises QuotaExhausted where the day's calls are used up, with the seconds after which asking
        again is worth it.
        """
        now = time.monotonic()
        bucket.used_at = bucket.users[user] = now
        if now < bucket.daily_exhausted_until:
            raise self._refusal(bucket.daily_exhausted_until - now, "daily")
        return not bucket.queue and bucket.take(now)

    async def wait(
        self, bucket: Bucket, user: UUID, patience: float | None, arrived: float
    ) -> None:
        """Wait for a place and take it. The patience (seconds; None: as configured) counts from
        when the call arrived. Raises QuotaExhausted as `take` does.
        """
        patience = self._patience if patience is None else patience
        left = arrived + patience - time.monotonic()
        # Who has waited for something else already, a renewal say, still has a moment for this.
        await self._wait(bucket, user, min(patience, max(MIN_WAIT_S, left)))

    def observe(self, bucket: Bucket, info: RateLimitInfo | None) -> None:
        """Learn from HubSpot's answer, or from there being none."""
        now = time.monotonic()
        if info is None:
            bucket.consecutive_429 = 0
        else:
            if info.size and bucket.limit.announced and bucket.set_size(info.size, info.interval):
                self._sync_now(bucket)
            if info.daily_exhausted:
                bucket.spend(now, info.resets_in)
                self._sync_now(bucket)
            elif info.refused_by is not None:
                bucket.refused(info, now)
                if bucket.limit.smallest is not None and not bucket.facts.size_known:
                    bucket.set_size(*bucket.limit.smallest)
                    self._sync_now(bucket)
            else:
                bucket.consecutive_429 = 0
        if not bucket.limit_known.is_set() and not bucket.limit_changed:
            bucket.limit_known.set()
            bucket.serve(now)

    async def purge(self) -> None:
        """Delete shares that no process extends any more."""
        await self._quotas.purge()

    def on_wanted(self, text: str) -> None:
        """Another process waits for places of a quota."""
        bucket = self._by_text.get(text)
        if bucket is not None and time.monotonic() - bucket.synced_at > BEAT_S / 2:
            self._sync_now(bucket)

    async def heartbeat(self) -> None:
        """Keep the shares of busy quotas, give those of idle ones back."""
        now = time.monotonic()
        busy: list[Bucket] = []
        idle: list[Bucket] = []
        for bucket in self._buckets.values():
            bucket.permits.sweep(now)
            bucket.active_users(now)
            unused = now - bucket.used_at > IDLE_S and not bucket.queue
            (idle if unused and not bucket.permits.in_use else busy).append(bucket)
        if busy:
            held = await self._quotas.extend([bucket.name for bucket in busy])
            for bucket in busy:
                if held.get(bucket.name, True):  # others wait, or the share had lapsed
                    self._sync_now(bucket)
        if idle:
            await self._quotas.release({bucket.name: 0.0 for bucket in idle})
            for bucket in idle:
                if time.monotonic() - bucket.used_at > IDLE_S:
                    name = bucket.name
                    del self._buckets[name.app_id, name.account_id, name.kind]
                    del self._by_text[bucket.name.text]

    async def release_all(self) -> None:
        """Give everything back: free places at once, others when HubSpot counts them no more."""
        now = time.monotonic()
        after = {}
        for bucket in self._buckets.values():
            bucket.permits.sweep(now)
            after[bucket.name] = bucket.facts.interval * 1.1 if bucket.permits.in_use else 0.0
        if after:
            await self._quotas.release(after)

    async def _wait(self, bucket: Bucket, user: UUID, patience: float) -> None:
        until = time.monotonic() + patience
        ticket = bucket.queue.join(user)
        try:
            if bucket.queue.ahead_of(user) > self._max_waiting(bucket, patience):
                raise TimeoutError  # noqa: TRY301  # the line is longer than the wait
            await self._ensure_synced(bucket)
            if not ticket.done() and not bucket.limit_known.is_set():
                await self._first_answer(bucket)
            if not ticket.done():
                async with asyncio.timeout(until - time.monotonic()):
                    await ticket
        except TimeoutError:
            if ticket.done() and not ticket.cancelled():
                return
            bucket.queue.leave(user, ticket)
            self._metrics.quota.labels("refused").inc()
            now = time.monotonic()
            raise self._refusal(bucket.wait_for(user, now), "burst") from None
        except BaseException:
            bucket.queue.leave(user, ticket)
            raise
        self._metrics.quota.labels("waited").inc()

    def _max_waiting(self, bucket: Bucket, patience: float) -> float:
        """How many could be served within the patience, had this process all the places."""
        return bucket.facts.size * (1 + patience / bucket.facts.interval) + 1

    async def _ensure_synced(self, bucket: Bucket) -> None:
        """Ask for places, unless the database was asked a moment ago; not for long."""
        if bucket.sync_task is None and time.monotonic() - bucket.synced_at < BEAT_S:
            self._schedule(bucket)
            return
        settling = self._sync_now(bucket)
        await asyncio.wait({settling}, timeout=DB_TIMEOUT_S)
        if not settling.done():
            self._use_fallback_share(bucket)

    async def _first_answer(self, bucket: Bucket) -> None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await bucket.limit_known.wait()
        except TimeoutError:
            bucket.limit_changed = False
            bucket.limit_known.set()
            bucket.serve(time.monotonic())

    def _sync_now(self, bucket: Bucket) -> "asyncio.Task[None]":
        if bucket.sync_task is None:
            bucket.sync_task = asyncio.get_running_loop().create_task(self._sync(bucket))
        return bucket.sync_task

    async def _sync(self, bucket: Bucket) -> None:
        """Take or give places so that this process has what it should have."""
        try:
            async with asyncio.timeout(DB_TIMEOUT_S * 5):
                gained = await self._exchange(bucket)
            moving = gained or bucket.permits.to_return or bucket.permits.returnable
            bucket.poll_interval = (
                BEAT_S if moving else min(max(bucket.poll_interval, BEAT_S) * 2, SLOWEST_BEAT_S)
            )
            bucket.on_fallback = False
        except (Busy, TimeoutError):
            self._use_fallback_share(bucket)
        except AppNotFound:
            log.info("quota of a removed app", extra={"app": str(bucket.name.app_id)})
        except Exception:
            log.exception("quota not settled")
            self._use_fallback_share(bucket)
        finally:
            bucket.sync_task = None
            bucket.synced_at = time.monotonic()
            self._schedule(bucket)

    async def _exchange(self, bucket: Bucket) -> bool:
        """Settle with the database in one transaction; whether places were gained."""
        places = bucket.permits
        async with self._quotas.lock(bucket.name, bucket.facts) as held:
            news, told = bucket.facts if bucket.limit_changed else None, bucket.daily_changed
            now = time.monotonic()
            if news is not None:
                await held.learn(news)
            elif held.facts != bucket.facts:
                bucket.adopt(held.facts)
            if told:
                await held.spend(max(0.0, bucket.daily_exhausted_until - now))
            elif held.spent_for > 0:
                bucket.daily_exhausted_until = now + held.spent_for
            places.sweep(now)
            size, need = bucket.facts.size, len(bucket.queue)
            users = bucket.active_users(now)
            change = rebalance(size, places.held, places.in_use, need, users, held.others)
            places.return_permits(max(0, -change))
            gain, given = max(0, change), places.returnable
            await held.write(places.held + gain, users, waiting=need > 0)
            if need > gain and places.held + gain < fair_share(size, users, held.others):
                await held.notify_wanted()
        places.free += gain
        places.returnable -= given
        if news is bucket.facts:
            bucket.limit_changed = False
            bucket.limit_known.set()
        bucket.daily_changed = bucket.daily_changed and not told
        return gain > 0

    def _use_fallback_share(self, bucket: Bucket) -> None:
        """Go on without the database: half of the quota, until it can be asked again."""
        if not bucket.on_fallback:
            bucket.on_fallback, bucket.limit_changed = True, False
            bucket.limit_known.set()
            bucket.permits.free += max(0, bucket.facts.size // 2 - bucket.permits.held)

    def _schedule(self, bucket: Bucket) -> None:
        """Serve those who wait, now and whenever a place may be free."""
        now = time.monotonic()
        bucket.serve(now)
        if not bucket.queue and not bucket.limit_changed:
            return
        loop = asyncio.get_running_loop()
        at = bucket.next_at(now)
        if at is not None and bucket.timer is None:
            bucket.timer = loop.call_later(max(0.001, at - now), self._timed, bucket)
        if bucket.poll_timer is None:
            bucket.poll_timer = loop.call_later(
                max(bucket.poll_interval, BEAT_S), self._poll, bucket
            )

    def _timed(self, bucket: Bucket) -> None:
        bucket.timer = None
        self._schedule(bucket)

    def _poll(self, bucket: Bucket) -> None:
        bucket.poll_timer = None
        if bucket.queue or bucket.limit_changed:
            self._sync_now(bucket)

    def _refusal(self, seconds: float, limit: str) -> QuotaExhausted:
        detail = {
            "daily": "The account's daily limit is used up.",
            "burst": "No quota of the account became available within the wait time.",
        }[limit]
        return QuotaExhausted(detail, retry_after=max(1, math.ceil(seconds)), limit=limit)

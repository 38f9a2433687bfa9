"""Getting one call to HubSpot: with a usable grant, in its turn, again where that is safe.

A call is tried again within its deadline and within a budget: of all calls to one account's quota
at most one in ten is a second try, so that an account that is unwell is not asked twice as much.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from uuid import UUID

from broker.domain.model import Connection, Grant, ProxyCall
from broker.errors import BrokerError, HubSpotTimeout, HubSpotUnavailable, OtherAccount
from broker.providers.hubspot import retrying
from broker.providers.hubspot.answers import Answer
from broker.providers.hubspot.client import HubSpot
from broker.providers.hubspot.limits import kind_of
from broker.providers.hubspot.policy import Effect
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.renewals import Grants
from broker.services.quota.bucket import Bucket
from broker.services.quota.service import Quota
from broker.stores.proxy.calls import CallRecord
from broker.telemetry.metrics import Metrics

ConnectionKey = tuple[UUID, str, str]
"""Workspace, lower-case slug and user reference: how a call names its connection."""


@dataclass(slots=True)
class CallAttempts:
    """One call on its way. Times are on the monotonic clock."""

    call: ProxyCall
    key: ConnectionKey
    connection: Connection
    bucket: Bucket
    record: CallRecord
    safe: bool
    arrived: float
    account: tuple[int, int | None]
    """Generation and HubSpot account of the connection as it was read last."""
    until: float = 0.0


class Sending:
    """One call at a time to HubSpot, however many tries it takes."""

    def __init__(
        self,
        recent: TtlCache[ConnectionKey, Connection],
        grants: Grants,
        quota: Quota,
        hubspot: HubSpot,
        metrics: Metrics,
    ) -> None:
        self._cache = recent
        self._grants = grants
        self._quota = quota
        self._hubspot = hubspot
        self._metrics = metrics
        self._total = hubspot.deadlines.total

    async def answer(
        self, call: ProxyCall, effect: Effect, connection: Connection, record: CallRecord
    ) -> Answer:
        """HubSpot's answer, which the caller closes. Raises what `Grants.usable` and `Quota.take`
        raise, HubSpotUnavailable and HubSpotTimeout. Tries and renewals are told to the record.
        """
        whose = (connection.workspace_id, call.app_slug, call.user_ref)
        bucket = self._quota.bucket(connection, kind_of(call.method, call.target))
        bucket.retry_budget.record_call()
        safe = retrying.is_safe_to_retry(call.method, effect)
        account = _account(connection)
        tries = CallAttempts(
            call, whose, connection, bucket, record, safe, time.monotonic(), account
        )
        last: Answer | None = None
        try:
            while True:
                try:
                    grant = self._try_immediately(tries) or await self._wait_for_quota(tries)
                    if call.hub_id is not None:
                        await self._check_account(tries, grant)
                except BrokerError:
                    if last is None:
                        raise
                    answer, last = last, None
                    return answer  # what HubSpot said is better than why it was not asked again
                if last is not None:
                    last.close()
                    last = None
                said, pause = await self._attempt(tries, grant)
                if said is not None and pause is None:
                    return said
                last = said
                await asyncio.sleep(pause or 0)
        finally:
            if last is not None:
                last.close()

    def _try_immediately(self, tries: CallAttempts) -> Grant | None:
        """The grant, where it is at hand and there is a place: as nearly always."""
        grant = self._grants.fresh_or_none(tries.connection)
        if grant is None or not self._quota.take(tries.bucket, tries.connection.id):
            return None
        return grant

    async def _wait_for_quota(self, tries: CallAttempts) -> Grant:
        """Wait for a place; the grant that is usable when it comes."""
        grant = await self._grants.usable(tries.connection)
        user, patience = tries.connection.id, tries.call.quota_wait
        if not self._quota.take(tries.bucket, user):
            await self._quota.wait(tries.bucket, user, patience, tries.arrived, tries.record.key_id)
            # What was deleted or renewed meanwhile must not be used.
            tries.connection = await self._cache.get(tries.key)
            tries.account = _account(tries.connection)
            grant = await self._grants.usable(tries.connection)
        return grant

    async def _check_account(self, tries: CallAttempts, grant: Grant) -> None:
        """Raise OtherAccount unless the grant is for the account in which the call may act. A grant
        that is newer than the connection that was read may be another account's.
        """
        if grant.generation != tries.account[0]:
            self._cache.discard(tries.key)
            tries.account = _account(await self._cache.get(tries.key))
        if tries.account[1] != tries.call.hub_id:
            raise OtherAccount(
                f"The user is connected to another HubSpot account than {tries.call.hub_id}. "
                "Have the user connect that account again."
            )

    async def _attempt(
        self, tries: CallAttempts, grant: Grant
    ) -> tuple[Answer | None, float | None]:
        """One try: the answer if there is one, and the pause before the next if there shall be."""
        call, record = tries.call, tries.record
        now = time.monotonic()
        tries.until = tries.until or now + self._total
        said = None
        try:
            answer = await self._hubspot.send(
                call, grant.access_token, tries.until - now, repeats=tries.safe
            )
            said = answer.limits
        except (HubSpotUnavailable, HubSpotTimeout) as failure:
            pause = retrying.pause_unsent(record.retries + 1) if failure.unsent else None
            if not self._may_retry(tries, pause):
                raise
            return None, pause
        finally:
            self._quota.observe(tries.bucket, said)
        if answer.rejects_grant and call.replayable and not record.renewed:
            # HubSpot may end a token before the expiry it announced. Renew once; should it refuse
            # again, that refusal is the answer.
            answer.close()
            record.renewed = True
            self._cache.discard(tries.key)
            grant = await self._grants.renew(tries.connection)
            tries.connection = replace(tries.connection, grant=grant)
            return None, 0.0
        if answer.status not in retrying.RETRYABLE:
            return answer, None
        pause = retrying.pause_after(
            answer.status, record.retries + 1, answer.limits, answer.retry_after, safe=tries.safe
        )
        return answer, pause if self._may_retry(tries, pause) else None

    def _may_retry(self, tries: CallAttempts, pause: float | None) -> bool:
        """Whether the call may be tried again after a pause."""
        if pause is None or not tries.call.replayable:
            return False
        if time.monotonic() + pause >= tries.until - 1:
            return False
        if not tries.bucket.retry_budget.spend():
            self._metrics.retries.labels("over-budget").inc()
            return False
        self._metrics.retries.labels("made").inc()
        tries.record.retries += 1
        return True


def _account(connection: Connection) -> tuple[int, int | None]:
    grant = connection.grant
    return (-1 if grant is None else grant.generation), connection.hub_id

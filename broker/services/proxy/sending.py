"""Sends one call: with a usable grant, within the quota, and again where that is safe.

A call is repeated within its deadline and within a budget: of all calls to one account's quota at
most one in ten is a repeat, so that an account that is unwell does not get twice the load.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from broker.domain.model import Connection, Grant, ProxyCall
from broker.errors import BrokerError, OtherAccount, ProviderTimeout, ProviderUnavailable
from broker.providers.base import Provider
from broker.providers.calls.answers import Answer
from broker.providers.calls.effects import Effect
from broker.providers.calls.retrying import TOO_MANY, is_safe_to_retry, pause_unsent
from broker.providers.transport.response import UpstreamResponse
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.renewals import Grants
from broker.services.proxy.trace import CallTrace
from broker.services.quota.bucket import Bucket
from broker.services.quota.service import Quota
from broker.telemetry.metrics import Metrics

UNAUTHORIZED_OR_LIMITED = frozenset({401, TOO_MANY})

ConnectionKey = tuple[UUID, str, str]
"""Workspace, lower-case slug and user reference: how a call names its connection."""


@dataclass(slots=True)
class CallAttempts:
    """One call on its way. Times are on the monotonic clock."""

    call: ProxyCall
    key: ConnectionKey
    connection: Connection
    provider: Provider
    bucket: Bucket
    trace: CallTrace
    safe: bool
    arrived: float
    account: tuple[int, str | None]
    """Generation and account of the connection as it was read last."""
    until: float = 0.0
    grant: Grant | None = None
    response: UpstreamResponse | None = None
    """What `begin` sent with that grant, until it was answered."""


class Sending:
    """One call at a time to its provider, however many attempts it takes."""

    def __init__(
        self,
        cache: TtlCache[ConnectionKey, Connection],
        grants: Grants,
        quota: Quota,
        providers: Mapping[str, Provider],
        metrics: Metrics,
    ) -> None:
        self._cache = cache
        self._grants = grants
        self._quota = quota
        self._providers = providers
        self._metrics = metrics

    async def answer(
        self, call: ProxyCall, effect: Effect, connection: Connection, trace: CallTrace
    ) -> Answer:
        """The provider's answer, which the caller closes. Raises what `Grants.usable` and
        `Quota.take` raise, ProviderUnavailable and ProviderTimeout.
        """
        attempts = self._attempts(call, effect, connection, trace)
        attempts.bucket.retry_budget.record_call()
        return await self.resume(attempts)

    def begin(
        self, call: ProxyCall, effect: Effect, connection: Connection, trace: CallTrace
    ) -> CallAttempts | None:
        """Send a call at once, whose answer `complete` or `resume` gives; None where something has
        to be waited for first. Raises QuotaExhausted as `Quota.take` does.
        """
        provider = self._providers[connection.provider]
        if not provider.can_begin(call, connection):
            return None
        attempts = self._attempts(call, effect, connection, trace)
        grant = self._try_immediately(attempts)
        if grant is None:
            return None
        attempts.bucket.retry_budget.record_call()
        attempts.until = attempts.arrived + provider.deadlines.total
        attempts.grant, attempts.response = grant, provider.begin(call, connection, grant)
        return attempts

    def complete(self, attempts: CallAttempts) -> Answer | None:
        """The answer to a call that was begun, if all of it has come and nothing is to be done
        about it; else `resume` must go on.
        """
        response, provider = attempts.response, attempts.provider
        if response is None or not response.is_complete:
            return None
        status = response.status
        if status in UNAUTHORIZED_OR_LIMITED or status in provider.retry_rules.retryable:
            return None
        answer = provider.read_complete(attempts.call, response)
        if answer.throttled:
            return None
        attempts.response = None
        self._quota.observe(attempts.bucket, answer.limits)
        return answer

    def abandon(self, attempts: CallAttempts) -> None:
        """End a call that was begun, whose caller has left."""
        response, attempts.response = attempts.response, None
        if response is not None:
            response.on_progress = None
            response.close()
            self._quota.observe(attempts.bucket, None)

    def _attempts(
        self, call: ProxyCall, effect: Effect, connection: Connection, trace: CallTrace
    ) -> CallAttempts:
        provider = self._providers[connection.provider]
        limit = provider.quota_of(call.method, call.target)
        bucket = self._quota.bucket(connection, limit)
        return CallAttempts(
            call,
            (connection.workspace_id, call.app_slug, call.user_ref),
            connection,
            provider,
            bucket,
            trace,
            is_safe_to_retry(call.method, effect),
            time.monotonic(),
            _account(connection),
        )

    async def resume(self, attempts: CallAttempts) -> Answer:
        """The answer to a call, begun or not. Raises as `answer`."""
        last: Answer | None = None
        try:
            while True:
                try:
                    grant = (
                        attempts.grant
                        or self._try_immediately(attempts)
                        or await self._wait_for_quota(attempts)
                    )
                    attempts.grant = None
                    if attempts.call.account_id is not None:
                        await self._check_account(attempts, grant)
                except BrokerError:
                    if last is None:
                        raise
                    answer, last = last, None
                    return answer  # better than why the call was not sent again
                if last is not None:
                    last.close()
                    last = None
                received, pause = await self._attempt(attempts, grant)
                if received is not None and pause is None:
                    return received
                last = received
                await asyncio.sleep(pause or 0)
        finally:
            if last is not None:
                last.close()

    def _try_immediately(self, attempts: CallAttempts) -> Grant | None:
        """The grant, where it is fresh and there is a permit: as nearly always."""
        grant = self._grants.fresh_or_none(attempts.connection)
        if grant is None or not self._quota.take(attempts.bucket, attempts.connection.id):
            return None
        return grant

    async def _wait_for_quota(self, attempts: CallAttempts) -> Grant:
        """Wait for a permit; the grant that is usable then."""
        grant = await self._grants.usable(attempts.connection)
        user, quota_wait = attempts.connection.id, attempts.call.quota_wait
        if not self._quota.take(attempts.bucket, user):
            await self._quota.wait(
                attempts.bucket, user, quota_wait, attempts.arrived, attempts.trace.key_id
            )
            # A connection that was deleted or renewed meanwhile must not be used.
            attempts.connection = await self._cache.get(attempts.key)
            attempts.account = _account(attempts.connection)
            grant = await self._grants.usable(attempts.connection)
        return grant

    async def _check_account(self, attempts: CallAttempts, grant: Grant) -> None:
        """Raise OtherAccount unless the grant is for the account in which the call may act. A grant
        that is newer than the connection that was read may be another account's.
        """
        if grant.generation != attempts.account[0]:
            self._cache.discard(attempts.key)
            attempts.account = _account(await self._cache.get(attempts.key))
        if attempts.account[1] != attempts.call.account_id:
            raise OtherAccount(
                f"The user is connected to another {attempts.provider.spec.label} account than "
                f"{attempts.call.account_id}. "
                "Have the user connect that account again."
            )

    async def _attempt(
        self, attempts: CallAttempts, grant: Grant
    ) -> tuple[Answer | None, float | None]:
        """One attempt: the answer if there is one, and the pause before the next if one follows."""
        call, trace, provider = attempts.call, attempts.trace, attempts.provider
        now = time.monotonic()
        attempts.until = attempts.until or now + provider.deadlines.total
        limits = None
        pending, attempts.response = attempts.response, None
        left, repeats = attempts.until - now, attempts.safe
        try:
            if pending is None:
                answer = await provider.send(
                    call, attempts.connection, grant, left, repeats=repeats
                )
            else:
                answer = await provider.finish(call, grant, pending, left, repeats=repeats)
            limits = answer.limits
        except (ProviderUnavailable, ProviderTimeout) as failure:
            pause = pause_unsent(trace.retries + 1) if failure.unsent else None
            if not self._may_retry(attempts, pause):
                raise
            return None, pause
        finally:
            self._quota.observe(attempts.bucket, limits)
        if answer.rejects_grant and await self._renew(attempts, grant, answer):
            return None, 0.0
        rules = provider.retry_rules
        if answer.status not in rules.retryable and not answer.throttled:
            return answer, None
        pause = rules.pause_after(
            TOO_MANY if answer.throttled else answer.status,
            trace.retries + 1,
            answer.limits,
            answer.retry_after,
            safe=attempts.safe,
        )
        return answer, pause if self._may_retry(attempts, pause) else None

    async def _renew(self, attempts: CallAttempts, rejected: Grant, answer: Answer) -> bool:
        """Replace a token that the provider rejected before the expiry that it announced; whether
        the call can be sent again with a newer one.

        A newer one may be there already, from another call or process, and may have been rejected
        since: then it is replaced in turn. Only a token that this call was issued itself is not.
        """
        if rejected.just_issued:
            return False
        self._cache.discard(attempts.key)
        if not attempts.call.replayable:
            with suppress(BrokerError):
                await self._grants.renew(attempts.connection)
            return False
        answer.close()
        grant = await self._grants.renew(attempts.connection)
        attempts.trace.renewed = True
        attempts.connection = replace(attempts.connection, grant=grant)
        return True

    def _may_retry(self, attempts: CallAttempts, pause: float | None) -> bool:
        """Whether the call may be sent again after a pause."""
        if pause is None or not attempts.call.replayable:
            return False
        if time.monotonic() + pause >= attempts.until - 1:
            return False
        if not attempts.bucket.retry_budget.spend():
            self._metrics.retries.labels("over-budget").inc()
            return False
        self._metrics.retries.labels("made").inc()
        attempts.trace.retries += 1
        return True


def _account(connection: Connection) -> tuple[int, str | None]:
    grant = connection.grant
    return (-1 if grant is None else grant.generation), connection.account_id

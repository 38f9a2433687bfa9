"""Forward one call: find the connection, judge, have it sent, note what came of it."""

import asyncio
import time
from functools import partial
from types import TracebackType
from uuid import UUID

from broker.domain.invalidation import Invalidation
from broker.domain.model import Caller, Connection, ProxyCall
from broker.errors import (
    BrokerError,
    CallRefused,
    ConnectionNotFound,
    NotFound,
    ReauthRequired,
)
from broker.providers.hubspot import policy
from broker.providers.hubspot.answers import Answer
from broker.providers.hubspot.client import HubSpot
from broker.services.access.callers import require
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.renewals import Grants
from broker.services.installs.oauth_flow import Installs
from broker.services.proxy.call_log import CallLog
from broker.services.proxy.idempotency import Idempotency
from broker.services.proxy.sending import ConnectionKey, Sending
from broker.services.quota.service import Quota
from broker.stores.connections.connections import Connections
from broker.stores.proxy.calls import CallRecord
from broker.telemetry.metrics import Metrics


class Proxy:
    """HubSpot calls made as an app's users."""

    def __init__(
        self,
        connections: Connections,
        grants: Grants,
        installs: Installs,
        quota: Quota,
        hubspot: HubSpot,
        idempotency: Idempotency,
        calls: CallLog,
        metrics: Metrics,
    ) -> None:
        self._connections = connections
        self._installs = installs
        self._idempotency = idempotency
        self._calls = calls
        self._cache: TtlCache[ConnectionKey, Connection] = TtlCache(
            lambda whose: connections.of_user(*whose)
        )
        self._sending = Sending(self._cache, grants, quota, hubspot, metrics)
        self._last_used: dict[tuple[UUID, UUID], float] = {}

    def clear_cache(self) -> None:
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read a connection that changed again, and those of an app that changed."""
        if change.kind == "connection":
            workspace, slug, user_ref = change.names
            self._cache.discard((UUID(workspace), slug, user_ref))
        elif change.kind == "app":
            self._cache.discard_where(lambda key, _: change.is_of_app(*key[:2]))

    def forward(self, caller: Caller, call: ProxyCall) -> "Forwarding":
        """Send the call, as `async with`, which gives HubSpot's answer, whatever it is.

        Entering raises NotAllowed or CallRefused before anything else happens, what
        `Grants.usable` raises (ReauthRequired with a `reconnectUrl` when the key may mint one),
        QuotaExhausted when its turn does not come in time, IdempotencyKeyConflict, and
        HubSpotUnavailable or HubSpotTimeout without an answer.
        """
        return Forwarding(self, caller, call)

    async def answer(self, caller: Caller, call: ProxyCall, forwarding: "Forwarding") -> Answer:
        """HubSpot's answer to a call; what becomes of it is told to its forwarding's record."""
        effect = policy.effect_of(call.method, call.target)
        scopes = ("proxy", "proxy:read") if effect == "read" else ("proxy",)
        whose = (caller.workspace_id, call.app_slug, call.user_ref)
        try:
            connection = self._cache.peek(whose) or await self._cache.get(whose)
        except NotFound as missing:
            if isinstance(missing, ConnectionNotFound) and missing.app_id is not None:
                forwarding.record = _record(caller, call, missing.app_id, None)
            require(caller, *scopes)  # who may not call is not told whom there is
            raise
        record = _record(caller, call, connection.app_id, connection.id)
        forwarding.record = record
        require(caller, *scopes)
        for rules in (connection.policy, caller.policy):
            if rules is not None and not policy.allows(rules, call.method, call.target):
                raise CallRefused
        try:
            if call.idempotency_key is None or effect == "read":
                answer = await self._sending.answer(call, effect, connection, record)
            else:
                make = partial(self._sending.answer, call, effect, connection, record)
                answer = await self._idempotency.run_once(call, connection, make)
        except ReauthRequired as refusal:
            self._cache.discard(whose)
            raise await self._installs.with_reconnect_url(refusal, caller, call) from None
        self._last_used[connection.workspace_id, connection.id] = time.monotonic()
        record.status = answer.status
        return answer

    def log(self, record: CallRecord) -> None:
        """Remember a call that has ended."""
        self._calls.record(record)

    async def flush_last_used(self) -> None:
        """Write down when connections were last used since the last time."""
        used, self._last_used = self._last_used, {}
        now = time.monotonic()
        if used:
            await self._connections.record_last_used({key: now - at for key, at in used.items()})


class Forwarding:
    """One call until it is in the log; `record` is None until it is known whose app it is for."""

    __slots__ = ("_answer", "_began", "_call", "_caller", "_proxy", "record")

    def __init__(self, proxy: Proxy, caller: Caller, call: ProxyCall) -> None:
        self._proxy = proxy
        self._caller = caller
        self._call = call
        self._began = time.perf_counter()
        self._answer: Answer | None = None
        self.record: CallRecord | None = None

    async def __aenter__(self) -> Answer:
        try:
            answer = await self._proxy.answer(self._caller, self._call, self)
        except BaseException as error:
            self._end(error)
            raise
        self._answer = answer
        return answer

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        answer, record = self._answer, self.record
        if answer is not None:
            answer.close()
        if record is None:
            return
        if answer is not None:
            record.bytes = answer.chunks.bytes_read
        if isinstance(error, BrokerError):
            record.status, record.error = error.status, error.code
        elif isinstance(error, asyncio.CancelledError | GeneratorExit | ConnectionResetError):
            record.status, record.error = record.status or 499, "caller-left"
        elif error is not None:
            record.status, record.error = record.status or 500, "answer-cut"
        record.ms = round((time.perf_counter() - self._began) * 1000)
        self._proxy.log(record)


def _record(
    caller: Caller, call: ProxyCall, app_id: UUID, connection_id: UUID | None
) -> CallRecord:
    return CallRecord(
        caller.workspace_id,
        app_id,
        time.time(),
        connection_id,
        call.user_ref,
        caller.key_id,
        call.request_id,
        call.method,
        call.target,
    )

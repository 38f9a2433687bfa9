"""Forward one call: find the connection, judge the call, have it sent, log what came of it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from uuid import UUID

from broker.domain.invalidation import Invalidation
from broker.domain.model import Caller, Connection, ProxyCall
from broker.domain.urls import path_of
from broker.errors import (
    AppNotFound,
    BrokerError,
    Busy,
    CallRefused,
    ConnectionNotFound,
    NotFound,
    ReauthRequired,
)
from broker.providers.base import Provider
from broker.providers.calls.answers import Answer
from broker.providers.calls.effects import Effect, effect_of_method
from broker.services.access.callers import require
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.renewals import Grants
from broker.services.installs.oauth_flow import Installs
from broker.services.proxy.call_log import CallLog
from broker.services.proxy.idempotency import Idempotency
from broker.services.proxy.sending import CallAttempts, ConnectionKey, Sending
from broker.services.proxy.trace import CallTrace
from broker.services.quota.service import Quota
from broker.stores.connections.connections import Connections
from broker.telemetry.metrics import Metrics

READ = ("proxy", "proxy:read")
WRITE = ("proxy",)

MAX_KNOWN_APPS = 10_000
"""Of how many apps a process remembers the id, so that calls can be logged without the database."""


class Proxy:
    """Calls to providers, made as apps' users."""

    def __init__(
        self,
        connections: Connections,
        grants: Grants,
        installs: Installs,
        quota: Quota,
        providers: Mapping[str, Provider],
        idempotency: Idempotency,
        calls: CallLog,
        metrics: Metrics,
        cached: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cached`: how many connections are cached at most; `clock`: the seconds by which they
        age.
        """
        self._connections = connections
        self._installs = installs
        self._providers = providers
        self._idempotency = idempotency
        self._calls = calls
        self._cache: TtlCache[ConnectionKey, Connection] = TtlCache(self._load, cached, clock)
        self._known_apps: dict[tuple[UUID, str], tuple[UUID, str]] = {}
        self._sending = Sending(self._cache, grants, quota, providers, metrics)
        self._last_used: dict[tuple[UUID, UUID], float] = {}

    def clear_cache(self) -> None:
        """Read connections from the database again."""
        self._cache.clear()

    def invalidate(self, change: Invalidation) -> None:
        """Read a connection that changed again, and those of an app that changed."""
        if change.kind == "connection":
            workspace, slug, user_ref = change.names
            self._cache.discard((UUID(workspace), slug, user_ref))
        elif change.kind == "app":
            self._cache.discard_where(lambda key, _: change.is_of_app(*key[:2]))

    def forward(self, caller: Caller, call: ProxyCall) -> "Forwarding":
        """Send the call, as `async with`, which gives the provider's answer, whatever it is.

        Entering raises NotAllowed or CallRefused before anything else happens, InvalidRequest and
        DestinationRefused for a target that the provider does not have, what `Grants.usable` raises
        (ReauthRequired with a `reconnectUrl` when the key may mint one), QuotaExhausted when no
        permit comes in time, IdempotencyKeyConflict, and ProviderUnavailable or ProviderTimeout
        without an answer.
        """
        return Forwarding(self, self._calls, caller, call)

    def begin(self, caller: Caller, call: ProxyCall) -> "Forwarding | None":
        """Send the call now, if nothing has to be waited for and it is not keyed: the same as
        `forward` gives, which is entered or completed. None, and nothing has happened, where it
        has to be forwarded. Raises what entering would, before anything happens.
        """
        key = (caller.workspace_id, call.app_slug, call.user_ref)
        connection = self._cache.peek(key)
        if connection is None or call.idempotency_key is not None:
            return None
        forwarding = Forwarding(self, self._calls, caller, call)
        forwarding.trace.belongs_to(connection)
        call, effect = self._judge(caller, call, connection)
        forwarding.attempts = self._sending.begin(call, effect, connection, forwarding.trace)
        return None if forwarding.attempts is None else forwarding

    def complete(self, attempts: CallAttempts) -> Answer | None:
        """The answer to a call that was begun, unless it has to be waited for."""
        answer = self._sending.complete(attempts)
        if answer is not None:
            self._record_use(attempts.connection)
        return answer

    def abandon(self, attempts: CallAttempts) -> None:
        """End a call that was begun, whose caller has left."""
        self._sending.abandon(attempts)

    async def answer(
        self, caller: Caller, call: ProxyCall, trace: CallTrace, attempts: CallAttempts | None
    ) -> Answer:
        """The provider's answer to a call; its connection is recorded in the trace."""
        key = (caller.workspace_id, call.app_slug, call.user_ref)
        try:
            if attempts is not None:
                connection = attempts.connection
                answer = await self._sending.resume(attempts)
            else:
                connection = await self._connection(caller, call, trace)
                call, effect = self._judge(caller, call, connection)
                if call.idempotency_key is None or effect == "read":
                    answer = await self._sending.answer(call, effect, connection, trace)
                else:
                    make = partial(self._sending.answer, call, effect, connection, trace)
                    answer = await self._idempotency.run_once(call, connection, make)
        except ReauthRequired as refusal:
            self._cache.discard(key)
            raise await self._installs.with_reconnect_url(refusal, caller, call) from None
        self._record_use(connection)
        return answer

    async def _connection(self, caller: Caller, call: ProxyCall, trace: CallTrace) -> Connection:
        key = (caller.workspace_id, call.app_slug, call.user_ref)
        try:
            connection = self._cache.peek(key) or await self._cache.get(key)
        except Busy:
            # The call log says who was refused meanwhile, once it can be written.
            trace.app_id, trace.provider = self._known_apps.get(key[:2], (None, ""))
            raise
        except NotFound as missing:
            if isinstance(missing, ConnectionNotFound) and missing.app_id is not None:
                trace.app_id, trace.provider = missing.app_id, missing.provider
            # A key that may not make the call learns nothing of who is connected.
            require(caller, *self._scopes_for(call, trace.provider))
            raise
        trace.belongs_to(connection)
        return connection

    async def _load(self, key: ConnectionKey) -> Connection:
        connection = await self._connections.of_user(*key)
        if len(self._known_apps) >= MAX_KNOWN_APPS:
            self._known_apps.pop(next(iter(self._known_apps)))
        self._known_apps[key[:2]] = connection.app_id, connection.provider
        return connection

    def _judge(
        self, caller: Caller, call: ProxyCall, connection: Connection
    ) -> tuple[ProxyCall, Effect]:
        """The call as it is sent, and its effect, if the caller may make it."""
        if call.provider is not None and call.provider != connection.provider:
            require(caller, *READ)
            raise AppNotFound
        provider = self._providers[connection.provider]
        if call.target[0] != "/":
            call = replace(call, target=provider.target_of(call.target, connection))
        provider.check_call(call.target)
        effect = provider.effect_of(call.method, call.target)
        require(caller, *(READ if effect == "read" else WRITE))
        for rules in (connection.policy, caller.policy):
            if rules is not None and not provider.allows(rules, call.method, call.target):
                raise CallRefused
        return call, effect

    def _record_use(self, connection: Connection) -> None:
        self._last_used[connection.workspace_id, connection.id] = time.monotonic()

    def _scopes_for(self, call: ProxyCall, provider: str) -> tuple[str, ...]:
        """What a call of which only the provider is known, or not even that, needs."""
        target, known = path_of(call.target), self._providers.get(provider)
        effect = (
            effect_of_method(call.method) if known is None else known.effect_of(call.method, target)
        )
        return READ if effect == "read" else WRITE

    async def flush_last_used(self) -> None:
        """Write when connections were last used, since the last time."""
        used, self._last_used = self._last_used, {}
        now = time.monotonic()
        if used:
            await self._connections.record_last_used({key: now - at for key, at in used.items()})


class Forwarding:
    """One call until it is in the log: entered, or, where it was begun, completed or abandoned."""

    __slots__ = ("_answer", "_began", "_call", "_caller", "_log", "_proxy", "attempts", "trace")

    def __init__(self, proxy: Proxy, log: CallLog, caller: Caller, call: ProxyCall) -> None:
        self._proxy = proxy
        self._log = log
        self._caller = caller
        self._call = call
        self._began = time.perf_counter()
        self._answer: Answer | None = None
        self.attempts: CallAttempts | None = None
        self.trace = CallTrace(
            caller.workspace_id,
            caller.key_id,
            call.user_ref,
            call.request_id,
            call.method,
            call.target,
        )

    async def __aenter__(self) -> Answer:
        try:
            answer = await self._proxy.answer(self._caller, self._call, self.trace, self.attempts)
        except BaseException as error:
            self.end(error)
            raise
        self._answer = answer
        self.trace.status, self.trace.provider_request_id = answer.status, answer.request_id
        return answer

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.end(error)

    def when_answered(self, callback: Callable[[int], None]) -> None:
        """Have `callback` called with the status once the head of the answer to a call that was
        begun has come, or with 0 for an error in its place.
        """
        response = None if self.attempts is None else self.attempts.response
        assert response is not None  # noqa: S101  # it was begun and not yet completed

        def progress() -> None:
            if not response.is_pending:
                response.on_progress = None
                callback(response.status)

        response.on_progress = progress

    def complete(self) -> Answer | None:
        """The answer to a call that was begun, if all of it is here and nothing is to be done about
        it: then whoever has it calls `end`. Else this is entered.
        """
        answer = None if self.attempts is None else self._proxy.complete(self.attempts)
        if answer is not None:
            self._answer = answer
            self.trace.status = answer.status
            self.trace.provider_request_id = answer.request_id
        return answer

    def abandon(self) -> None:
        """Its caller has left."""
        if self.attempts is not None:
            self._proxy.abandon(self.attempts)
        self.end(ConnectionResetError())

    def end(self, error: BaseException | None) -> None:
        """Log the call, with what ended it before its answer was given, if anything."""
        answer, trace = self._answer, self.trace
        if answer is not None:
            answer.close()
            trace.bytes = answer.chunks.bytes_read
        if isinstance(error, BrokerError):
            trace.status, trace.error = error.status, error.code
        elif isinstance(error, asyncio.CancelledError | GeneratorExit | ConnectionResetError):
            trace.status, trace.error = trace.status or 499, "caller-left"
        elif error is not None:
            trace.status, trace.error = trace.status or 500, "answer-cut"
        trace.ms = round((time.perf_counter() - self._began) * 1000)
        self._log.record(trace)

"""Writes that a caller may repeat with the same `Idempotency-Key`: executed once, answered as at
first.

The key is taken in Postgres before anything is sent, by the connection, so that users and apps
cannot meet. The call goes on when its caller leaves, and its answer is stored, sealed, for a day.
Where the provider certainly executed nothing the key is free again; where that cannot be known,
repeats are refused and never sent. (As draft-ietf-httpapi-idempotency-key-header describes.)
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.concurrency.task_set import TaskSet
from broker.domain.model import Connection, ProxyCall
from broker.errors import (
    BrokerError,
    Busy,
    IdempotencyKeyConflict,
    ProviderTimeout,
    ProviderUnavailable,
)
from broker.providers.base import Provider
from broker.providers.calls.answers import Answer
from broker.providers.transport.failures import Failures
from broker.providers.transport.headers import Headers
from broker.stores.proxy.idempotency import Claim, IdempotentCalls, StoredResponse

log = logging.getLogger(__name__)

MAX_BYTES = 8_388_608
"""The longest answer that is stored; a longer one counts as lost."""

REPEAT_WAIT_S = 30.0
"""How long a repeat waits for the first to end."""

SETTLING = Backoff(schedule=(0.2, 1.0), jitter=(1, 1))

STOP_GRACE_S = 5.0
"""How long calls under way may go on once all connections of callers are closed."""

SLACK_S = 15.0
"""What a call may take besides waiting for quota and its deadline: a renewal, for one."""

OUTCOMES = {
    "different-request": "This key was used for another request.",
    "running": "The first call with this key is still running.",
    "unknown": "The outcome of the first request is unknown. Check the provider before retrying "
    "with a new key.",
}


class Idempotency:
    """Executes a write once for its key."""

    def __init__(
        self,
        calls: IdempotentCalls,
        providers: Mapping[str, Provider],
        quota_wait: float,
        total: float,
    ) -> None:
        self._calls = calls
        self._providers = providers
        self._quota_wait = quota_wait
        self._total = total
        self._running: TaskSet[UUID] = TaskSet()

    async def run_once(
        self, call: ProxyCall, connection: Connection, make: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        """The answer of the first call with this key; `make` makes it when this is the first.

        Raises IdempotencyKeyConflict when the key stands for another request, when the first is
        still running after a while, and when its outcome is not known; else what `make` raises.
        """
        key = (call.idempotency_key or "").encode()
        key_hash, fingerprint = hashlib.sha256(key).digest(), _fingerprint(key, call)
        waited = self._quota_wait if call.quota_wait is None else call.quota_wait
        runs_for = waited + self._total + SLACK_S
        pause, until = 0.05, asyncio.get_running_loop().time() + REPEAT_WAIT_S
        while True:
            claim = await self._calls.claim(
                connection.workspace_id, connection.id, key_hash, fingerprint, runs_for
            )
            if claim.acquired:
                return await self._run_claimed(claim, self._providers[connection.provider], make)
            if not hmac.compare_digest(claim.fingerprint, fingerprint):
                raise _conflict("different-request")
            if claim.answer is not None:
                return _answer(claim.answer, replayed=True)
            if claim.outcome == "unknown":
                raise _conflict("unknown")
            if asyncio.get_running_loop().time() > until:
                raise _conflict("running")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    async def _run_claimed(
        self, claim: Claim, provider: Provider, make: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        # A caller who leaves must not leave the outcome unknown.
        return await asyncio.shield(
            self._running.spawn(self._make(claim, provider, make), claim.id)
        )

    async def stop(self) -> None:
        """Let calls whose callers have left end within a grace; the outcome of one that is cut is
        unknown.
        """
        await self._running.stop(STOP_GRACE_S)

    async def _make(
        self, claim: Claim, provider: Provider, make: Callable[[], Awaitable[Answer]]
    ) -> Answer:
        try:
            answer = await make()
        except (ProviderUnavailable, ProviderTimeout) as failure:
            await self._settle(
                self._calls.release if failure.unsent else self._calls.mark_unknown, claim
            )
            raise
        except BrokerError:
            await self._settle(self._calls.release, claim)
            raise
        not_executed = answer.status in provider.retry_rules.not_executed or answer.throttled
        stored = await self._read(claim, provider.failures, answer)
        if not_executed or stored.status == 401:
            await self._settle(self._calls.release, claim)
        else:
            await self._settle(lambda claim: self._calls.store_response(claim, stored), claim)
        return _answer(stored, replayed=False)

    async def _read(self, claim: Claim, failures: Failures, answer: Answer) -> StoredResponse:
        body = bytearray()
        try:
            async for chunk in answer.chunks:
                body += chunk
                if len(body) > MAX_BYTES:
                    raise failures.unavailable(  # noqa: TRY301
                        "The answer is too long for an Idempotency-Key."
                    )
        except Exception as error:
            await self._settle(self._calls.mark_unknown, claim)
            if isinstance(error, BrokerError):
                raise
            raise failures.unavailable(f"{failures.label}'s answer broke off.") from error
        finally:
            answer.close()
        return StoredResponse(answer.status, answer.reason, list(answer.headers), bytes(body))

    async def _settle(self, how: Callable[[Claim], Awaitable[None]], claim: Claim) -> None:
        """Store the outcome; one that cannot be stored counts as unknown, later."""
        attempts = 0
        while not SETTLING.is_exhausted(attempts):
            attempts += 1
            try:
                return await how(claim)
            except Busy:
                await asyncio.sleep(SETTLING.pause(attempts))
        log.warning("keyed_call_outcome_not_stored", extra={"call": str(claim.id)})
        return None


class BufferedBody:
    """A body that is in memory, as chunks."""

    def __init__(self, body: bytes) -> None:
        self.bytes_read = 0
        self.is_complete = True
        self._body = body

    def read_buffered(self) -> bytes:
        """All of it, unless it was read."""
        rest, self._body = self._body, b""
        self.bytes_read += len(rest)
        return rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if rest := self.read_buffered():
            return rest
        raise StopAsyncIteration


def _answer(stored: StoredResponse, *, replayed: bool) -> Answer:
    marks = [("Idempotent-Replayed", "true")] if replayed else []
    return Answer(
        stored.status,
        stored.reason,
        Headers.of([*stored.headers, *marks]),
        BufferedBody(stored.body),
        rejects_grant=False,
        limits=None,
        retry_after=None,
        close=lambda: None,
    )


def _fingerprint(key: bytes, call: ProxyCall) -> bytes:
    kinds = [value for name, value in call.headers if name.lower() == "content-type"]
    body = call.body if isinstance(call.body, bytes) else b""
    # Keyed, so that what is stored reveals nothing of a body that can be guessed.
    return hmac.digest(key, repr((call.method, call.target, kinds)).encode() + body, "sha256")


def _conflict(outcome: str) -> IdempotencyKeyConflict:
    return IdempotencyKeyConflict(OUTCOMES[outcome], outcome=outcome)

"""Forward one call: find the connection, judge, have it sent, note what came of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from broker.errors import BrokerError, CallRefused, NotFound, ReauthRequired
from broker.hubspot import policy
from broker.hubspot.answers import Answer
from broker.hubspot.client import HubSpot
from broker.model import Caller, Connection, ProxyCall
from broker.services.callers import require
from broker.services.calls import CallLog
from broker.services.grants import Grants
from broker.services.idempotency import Idempotency
from broker.services.installs import Installs
from broker.services.quota import Quota
from broker.services.recent import Recent
from broker.services.sending import Sending, Whose
from broker.stores.calls import CallRecord
from broker.stores.connections import Connections
from broker.telemetry import Metrics


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
        self._recent: Recent[Whose, Connection] = Recent(lambda whose: connections.of_user(*whose))
        self._sending = Sending(self._recent, grants, quota, hubspot, metrics)
        self._used: dict[tuple[UUID, UUID], float] = {}
        self.forget_all = self._recent.forget_all

    @asynccontextmanager
    async def forward(self, caller: Caller, call: ProxyCall) -> AsyncIterator[Answer]:
        """Send the call and yield HubSpot's answer, whatever it is.

        Raises NotAllowed or CallRefused before anything else happens, what `Grants.usable` raises
        (ReauthRequired with a `reconnectUrl` when the key may mint one), QuotaExhausted when its
        turn does not come in time, IdempotencyKeyConflict, and HubSpotUnavailable or HubSpotTimeout
        without an answer.
        """
        began = time.perf_counter()
        effect = policy.effect_of(call.method, call.target)
        scopes = ("proxy", "proxy:read") if effect == "read" else ("proxy",)
        whose = (caller.workspace_id, call.app_slug, call.user_ref)
        try:
            connection = await self._recent.get(whose)
        except NotFound:
            require(caller, *scopes)  # who may not call is not told whom there is
            raise
        record = _record(caller, call, connection)
        answer: Answer | None = None
        try:
            require(caller, *scopes)
            for rules in (connection.policy, caller.policy):
                if rules is not None and not policy.allows(rules, call.method, call.target):
                    raise CallRefused  # noqa: TRY301  # it belongs into the log
            if call.idempotency_key is None or effect == "read":
                answer = await self._sending.answer(call, effect, connection, record)
            else:
                make = partial(self._sending.answer, call, effect, connection, record)
                answer = await self._idempotency.once(call, connection, make)
            self._note_use(connection)
            record.status = answer.status
            yield answer
        except ReauthRequired as refusal:
            self._recent.forget(whose)
            record.status, record.error = refusal.status, refusal.code
            raise await self._installs.with_reconnect_url(refusal, caller, call) from None
        except BrokerError as refusal:
            record.status, record.error = refusal.status, refusal.code
            raise
        except (asyncio.CancelledError, GeneratorExit, ConnectionResetError):
            record.status, record.error = record.status or 499, "caller-left"
            raise
        except Exception:
            record.status, record.error = record.status or 500, "answer-cut"
            raise
        finally:
            if answer is not None:
                record.bytes = answer.chunks.passed
                answer.close()
            record.ms = round((time.perf_counter() - began) * 1000)
            self._calls.note(record)

    async def write_uses(self) -> None:
        """Write down when connections were last used since the last time."""
        used, self._used = self._used, {}
        now = time.monotonic()
        if used:
            await self._connections.note_use({key: now - at for key, at in used.items()})

    def _note_use(self, connection: Connection) -> None:
        self._used[connection.workspace_id, connection.id] = time.monotonic()


def _record(caller: Caller, call: ProxyCall, connection: Connection) -> CallRecord:
    return CallRecord(
        connection.workspace_id,
        connection.app_id,
        time.time(),
        connection.id,
        call.user_ref,
        caller.key_id,
        call.request_id,
        call.method,
        call.target,
    )

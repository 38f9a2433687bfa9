"""Keep grants usable.

How a renewal stays single
--------------------------
Many calls may find the same grant stale at once. Within a process they share one task, so a
stampede costs one database connection, not the whole pool. Across processes the row lock lets one
in; the others find the grant already replaced and use it. A process that stops while it holds the
row loses its session (`give_up_when_idle`), and with it the right to write.

What never happens while HubSpot is unwell
------------------------------------------
A token that still lives is used, whatever became of its renewal. A failed renewal is not tried
again for some seconds, however many ask. After several failures in a row of whatever connections, a
process asks HubSpot once a second; the first answer lets everything through again.
"""

import asyncio
import logging
import random
import time
from typing import Any
from uuid import UUID

from broker.concurrency.task_set import TaskSet
from broker.domain.model import Connection, Grant, Secret, Status, Tokens
from broker.errors import (
    BrokerError,
    Busy,
    ConnectionNotFound,
    ConnectionPending,
    CredentialsRefused,
    ExchangeFailed,
    HubSpotTimeout,
    HubSpotUnavailable,
    ReauthRequired,
)
from broker.providers.hubspot.client import HubSpot
from broker.providers.hubspot.oauth import GrantEnded
from broker.services.grants.circuit_breaker import CircuitBreaker
from broker.stores.connections.connections import Connections
from broker.stores.connections.locked_connection import ROTATION_LOST, LockedConnection
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

MAX_CONCURRENT = 8
"""Renewals at a time in one process; each holds a database connection while HubSpot answers, and
borrows a second for a moment, so this must stay well below half the pool."""

MAX_PER_SECOND = 50
"""Renewals that one process begins in a second, of those that nobody waits for."""

STOP_GRACE_S = 12.0
"""How long renewals under way may go on once the process is told to stop: more than a token request
may take."""

STORE_RETRIES = 10
"""Tries to store tokens whose transaction was lost: about half a minute."""

NOT_NOW = "HubSpot does not renew this grant just now."

LONGEST_WAIT_S = 5.0
"""The longest pause after a failed renewal before a waiting caller may cause another."""

LONGEST_PAUSE_S = 60.0
"""The longest pause after a failed renewal before one is tried that nobody waits for."""


class Grants:
    """Every active connection's grant, renewed before or when it is needed."""

    def __init__(self, connections: Connections, hubspot: HubSpot, metrics: Metrics) -> None:
        self._connections = connections
        self._hubspot = hubspot
        self._metrics = metrics
        self._renewals: dict[UUID, asyncio.Task[Grant]] = {}
        self._tasks: TaskSet[UUID] = TaskSet(self._ended)
        self._semaphore = asyncio.Semaphore(MAX_CONCURRENT)
        self._breaker = CircuitBreaker()
        self._stopping = False

    def fresh_or_none(self, connection: Connection) -> Grant | None:
        """The grant of a connection, where nothing has to be done for it."""
        grant = connection.grant
        return grant if grant is not None and time.monotonic() < grant.stale_at else None

    async def usable(self, connection: Connection) -> Grant:
        """A grant that HubSpot should accept now.

        Raises ReauthRequired when only a new install can help, ConnectionPending when somebody
        with a key must act first, HubSpotUnavailable or HubSpotTimeout when waiting can help.
        """
        grant = connection.grant
        if grant is None:
            raise refusal_of(connection)
        now = time.monotonic()
        if now < grant.stale_at:
            return grant
        renewal = self._shared(connection)
        if now < grant.expires_at - 1:
            return grant  # the renewal goes on behind; nobody waits for it while the token lives
        # One caller giving up must not cancel the renewal that others wait for.
        return await asyncio.shield(renewal)

    async def renew(self, connection: Connection) -> Grant:
        """Replace the grant in `connection`, unless somebody already has. Raises as `usable`."""
        if connection.grant is None:
            raise refusal_of(connection)
        return await asyncio.shield(self._shared(connection))

    async def renew_due(self, limit: int) -> int:
        """Renew what is due, ahead of its end and at a steady pace; how many were taken."""
        if self._breaker.open:
            limit = 1
        due = await self._connections.claim_due(limit)
        renewals = [
            # Tasks of their own: a worker that stops cancels its turn, and a renewal must not be
            # cut between HubSpot's answer and the row.
            self._tasks.spawn(self._renew_claimed(*claim, after=turn / MAX_PER_SECOND), claim[1])
            for turn, claim in enumerate(due)
        ]
        await asyncio.gather(*(asyncio.shield(each) for each in renewals))
        return len(due)

    async def stop(self) -> None:
        """Begin no further renewal and let those under way be stored, within a grace."""
        self._stopping = True
        await self._tasks.stop(STOP_GRACE_S)

    def _shared(self, stale: Connection) -> "asyncio.Task[Grant]":
        renewal = self._renewals.get(stale.id)
        if renewal is None:
            generation = stale.grant.generation if stale.grant else 0
            renewal = self._renewals[stale.id] = self._tasks.spawn(
                self._renew(stale.workspace_id, stale.id, generation, due=False), stale.id
            )
        return renewal

    def _ended(self, connection_id: UUID, renewal: "asyncio.Task[Any]") -> None:
        if self._renewals.get(connection_id) is renewal:
            del self._renewals[connection_id]

    async def _renew_claimed(
        self, workspace_id: UUID, connection_id: UUID, generation: int, *, after: float
    ) -> None:
        await asyncio.sleep(after)
        try:
            await self._renew(workspace_id, connection_id, generation, due=True)
        except BrokerError as error:
            log.info(
                "renewal failed", extra={"connection": str(connection_id), "reason": error.code}
            )

    async def _renew(
        self, workspace_id: UUID, connection_id: UUID, generation: int, *, due: bool
    ) -> Grant:
        outcome: Tokens | BrokerError | None = None
        async with self._semaphore:
            if due and self._stopping:
                raise Busy  # claimed, not begun: due again when the claim's time is over
            try:
                async with self._connections.lock(workspace_id, connection_id) as held:
                    current = held.connection
                    if current.grant is None:
                        raise refusal_of(current)
                    if current.grant.generation != generation:
                        return current.grant
                    pause = min(2.0 ** min(held.failures, 9), LONGEST_WAIT_S)
                    if not due and held.failures and held.seconds_since_failure < pause:
                        raise HubSpotUnavailable(NOT_NOW, retry_after=2)
                    outcome = await self._refresh_unless_circuit_open(held, generation)
                    if isinstance(outcome, Tokens):
                        return await held.replace_grant(outcome)
            except Busy:
                if isinstance(outcome, Tokens):
                    return await self._store_after_lost_transaction(held, generation, outcome)
                raise
        # After the block, so that what was marked in it is committed.
        assert outcome is not None  # noqa: S101  # every other way out has returned or raised
        raise outcome

    async def _store_after_lost_transaction(
        self, lost: LockedConnection, generation: int, tokens: Tokens
    ) -> Grant:
        """Store what HubSpot gave although the transaction around it was lost.

        The generation is the fence: whoever stored a later grant meanwhile is right.
        """
        connection = lost.connection
        for patience in range(STORE_RETRIES):
            try:
                async with self._connections.lock(connection.workspace_id, connection.id) as held:
                    if held.still_needs(generation):
                        return await held.replace_grant(tokens)
                    grant = held.connection.grant
                    break
            except Busy:
                await asyncio.sleep(min(0.2 * 2**patience, 5))
            except ConnectionNotFound:
                grant = None
                break
        else:
            raise Busy
        if grant is None and tokens.refresh_token is not None:
            # Deleted meanwhile: what HubSpot gave after must not live on.
            await self._hubspot.revoke(lost.client_id, lost.client_secret, tokens.refresh_token)
            raise ConnectionNotFound
        if grant is None:
            raise ConnectionNotFound
        return grant

    async def _refresh_unless_circuit_open(
        self, held: LockedConnection, generation: int
    ) -> Tokens | BrokerError:
        if not self._breaker.admits():
            await held.reschedule(random.uniform(1, 5))  # noqa: S311
            return HubSpotUnavailable(NOT_NOW, retry_after=2)
        unanswered = await self._connections.record_renewal_attempt(held, generation)
        return await self._refresh(held, unanswered=unanswered)

    async def _request_tokens(self, held: LockedConnection, token: Secret) -> Tokens:
        try:
            return await self._hubspot.refresh(held.client_id, held.client_secret, token)
        except HubSpotUnavailable as broken:
            if broken.__cause__ is None:
                raise
        # A connection that broke is no sign of an outage, and somebody may be waiting.
        try:
            return await self._hubspot.refresh(held.client_id, held.client_secret, token)
        except GrantEnded as ended:
            raise GrantEnded(ROTATION_LOST) from ended

    async def _refresh(self, held: LockedConnection, *, unanswered: bool) -> Tokens | BrokerError:
        """Ask HubSpot and mark what came of it: tokens to store, or the refusal to raise."""
        failure: BrokerError
        token = held.refresh_token
        try:
            if token is None:
                raise GrantEnded("token-refused")  # noqa: TRY301  # a private app's token is final
            tokens = await self._request_tokens(held, token)
        except GrantEnded as ended:
            self._breaker.succeeded()
            # With an answer lost before, the token that HubSpot gave in it is lost too.
            await held.end_grant(ROTATION_LOST if unanswered else ended.reason)
            failure = ReauthRequired()
        except CredentialsRefused as refused:
            self._breaker.succeeded()
            await held.flag_credentials()
            await held.clear_renewal_attempt()
            await held.postpone_renewal(refused.code, random.uniform(20, 40))  # noqa: S311
            failure = refused
        except (HubSpotUnavailable, HubSpotTimeout, ExchangeFailed) as unwell:
            asked = unwell.retry_after or 0
            if not isinstance(unwell, ExchangeFailed):
                self._breaker.failed(asked)
            pause = min(2.0 ** min(held.failures + 1, 9), LONGEST_PAUSE_S)
            pause *= random.uniform(0.5, 1)  # noqa: S311
            await held.postpone_renewal(unwell.code, max(pause, asked))
            if unwell.__cause__ is None:  # HubSpot did answer; nothing was lost on the way
                await held.clear_renewal_attempt()
            failure = unwell
            if isinstance(unwell, ExchangeFailed):
                failure = HubSpotUnavailable(NOT_NOW)
        else:
            self._breaker.succeeded()
            await held.unflag_credentials()
            self._metrics.renewals.labels("renewed").inc()
            return tokens
        self._metrics.renewals.labels(failure.code).inc()
        log.warning(
            "not renewed",
            extra={"connection": str(held.connection.id), "reason": failure.code},
        )
        return failure


def refusal_of(connection: Connection) -> BrokerError:
    """Why a connection without a grant cannot be used."""
    if connection.status is Status.REAUTH_REQUIRED:
        return ReauthRequired()
    if connection.status is Status.ACTIVE:
        return ConnectionNotFound()
    return ConnectionPending()

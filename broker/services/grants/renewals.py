"""Keep grants usable.

How a renewal stays single
--------------------------
Many calls may find the same grant stale at once. Within a process they share one task, so a
stampede costs one database connection, not the whole pool. Across processes the row lock lets one
in; the others find the grant already replaced and use it. A process that stops while it holds the
row loses its session (`idle_in_transaction_session_timeout`), and with it the right to write.

What never happens while a provider is unwell
---------------------------------------------
A token that still lives is used, whatever became of its renewal. A failed renewal is not tried
again for some seconds, however many callers need it. After several failures in a row at one API, a
process requests one renewal a second there; the first answer closes the circuit.

How a rotated token is not lost
-------------------------------
A new refresh token is stored before anything that came with it is used. That a renewal is requested
is committed before the request is sent, so that a response that never arrived is known as such; the
request is then repeated with the same token, and if that is refused the grant ends as
`rotation-lost`. A process that stops lets its renewals end (`stop`).
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from broker.concurrency.backoff import Backoff
from broker.concurrency.task_set import TaskSet
from broker.domain.grants import Tokens
from broker.domain.model import Connection, Grant, Status
from broker.errors import (
    BrokerError,
    Busy,
    ConnectionNotFound,
    ConnectionPending,
    ReauthRequired,
)
from broker.providers.base import Provider
from broker.services.grants.permits import RenewalPermits
from broker.services.grants.refresher import Refresher
from broker.stores.connections.connections import Connections
from broker.stores.connections.locked_connection import LockedConnection
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

MAX_CONCURRENT = 8
"""Renewals at a time in one process by default. Each holds a database session until the provider
answers and borrows a second for a moment, so it is the pool that limits them."""

FOR_CALLERS = 2
"""How many of them are never renewals that no caller waits for."""

MAX_CLAIMS = 1000
"""Renewals that are claimed at once at most."""

MAX_PER_SECOND = 50
"""Renewals that one process begins in a second by default, of those that no caller waits for."""

STOP_GRACE_S = 12.0
"""How long renewals under way may go on once the process is stopping: more than a token request
may take."""

STORING = Backoff(first=0.2, longest=5, jitter=(1, 1), attempts=10)
"""Tries to store tokens whose transaction was lost: about half a minute."""

ON_DEMAND = Backoff(first=2, longest=5, jitter=(1, 1))
"""Pauses after failed renewals in a row before a waiting caller may cause another."""


class Grants:
    """Every active connection's grant, renewed before or when it is needed."""

    def __init__(
        self,
        connections: Connections,
        providers: Mapping[str, Provider],
        metrics: Metrics,
        renew_ahead_days: int,
        max_concurrent: int = MAX_CONCURRENT,
        per_second: int = MAX_PER_SECOND,
    ) -> None:
        """`renew_ahead_days`: within so many days of its last use a connection is renewed before
        its token ends; later, when it is called or its provider would end the unused grant.
        `per_second`: how many renewals begin in a second, of those that no caller waits for.
        """
        self._per_second = per_second
        self._renew_ahead = timedelta(days=renew_ahead_days)
        self._connections = connections
        self._providers = providers
        self._refresher = Refresher(connections, providers, metrics)
        self._renewals: dict[UUID, asyncio.Task[Grant]] = {}
        self._tasks: TaskSet[UUID] = TaskSet(self._ended)
        self._permits = RenewalPermits(max_concurrent, max(1, max_concurrent - FOR_CALLERS))
        self._max_claims = MAX_CLAIMS
        self._stopping = False

    def fresh_or_none(self, connection: Connection) -> Grant | None:
        """The grant of a connection, unless it has to be renewed first."""
        grant = connection.grant
        return grant if grant is not None and time.monotonic() < grant.stale_at else None

    async def usable(self, connection: Connection) -> Grant:
        """A grant that the provider should accept now.

        Raises ReauthRequired when only a new install can help, ConnectionPending when the product
        has to confirm first, ProviderUnavailable or ProviderTimeout when waiting can help.
        """
        grant = connection.grant
        if grant is None:
            raise refusal_of(connection)
        now = time.monotonic()
        if now < grant.stale_at:
            return grant
        renewal = self._shared(connection)
        if now < grant.expires_at - 1:
            return grant  # the renewal goes on in the background while the token lives
        # One caller giving up must not cancel the renewal that others wait for.
        return await asyncio.shield(renewal)

    async def renew(self, connection: Connection) -> Grant:
        """Replace the grant in `connection`, unless it was replaced already: then the newer one.
        Raises as `usable`.
        """
        if connection.grant is None:
            raise refusal_of(connection)
        return await asyncio.shield(self._shared(connection))

    async def renew_due(self, limit: int) -> int:
        """Renew what is due, ahead of its end and at a steady pace; how many were taken, or
        rescheduled until they are called.
        """
        deferred_before = self._refresher.deferred
        limit = min(limit, self._max_claims)
        due, rested = await self._connections.claim_due(limit, self._renew_ahead)
        renewals = [
            # Tasks of their own: a worker that stops cancels what it awaits, and a renewal must not
            # be cut between the provider's answer and the row.
            self._tasks.spawn(
                self._renew_claimed(*claim, after=position / self._per_second), claim[1]
            )
            for position, claim in enumerate(due)
        ]
        await asyncio.gather(*(asyncio.shield(each) for each in renewals))
        deferred = self._refresher.deferred - deferred_before
        # While circuits are open there is no sense in claiming what cannot be requested.
        self._max_claims = max(1, 2 * (len(due) - deferred)) if deferred else MAX_CLAIMS
        return len(due) + rested

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
                "renewal_deferred", extra={"connection": str(connection_id), "reason": error.code}
            )

    async def _renew(
        self, workspace_id: UUID, connection_id: UUID, generation: int, *, due: bool
    ) -> Grant:
        outcome: Tokens | BrokerError | None = None
        async with self._permits.hold(background=due):
            if due and self._stopping:
                raise Busy  # claimed, not begun: due again when the claim's time is over
            try:
                async with self._connections.lock(workspace_id, connection_id) as locked:
                    current = locked.connection
                    if current.grant is None:
                        raise refusal_of(current)
                    if current.grant.generation != generation:
                        return current.grant
                    pause = ON_DEMAND.pause(max(1, locked.failures))
                    if not due and locked.failures and locked.seconds_since_failure < pause:
                        raise self._refresher.not_now(current)
                    outcome = await self._refresher.refresh(locked, current)
                    if isinstance(outcome, Tokens):
                        return await locked.replace_grant(outcome)
            except Busy:
                if isinstance(outcome, Tokens):
                    return await self._store_after_lost_transaction(locked, generation, outcome)
                raise
        # After the block, so that what was marked in it is committed.
        assert outcome is not None  # noqa: S101  # every other way out has returned or raised
        raise outcome

    async def _store_after_lost_transaction(
        self, lost: LockedConnection, generation: int, tokens: Tokens
    ) -> Grant:
        """Store a provider's tokens although the transaction around their renewal was lost.

        The generation is the fence: a later grant that was stored meanwhile is right.
        """
        connection = lost.connection
        attempt, grant = 0, None
        while not STORING.is_exhausted(attempt):
            attempt += 1
            try:
                async with self._connections.lock(connection.workspace_id, connection.id) as locked:
                    if locked.still_needs(generation):
                        return await locked.replace_grant(tokens)
                    grant = locked.connection.grant
                    break
            except Busy:
                await asyncio.sleep(STORING.pause(attempt))
            except ConnectionNotFound:
                grant = None
                break
        else:
            raise Busy
        if grant is None:
            if tokens.refresh_token is not None:
                # Deleted meanwhile: the tokens that came after must not live on.
                await self._providers[connection.provider].revoke(
                    lost.client, tokens.refresh_token, tokens.details or connection.details
                )
            raise ConnectionNotFound
        return grant


def refusal_of(connection: Connection) -> BrokerError:
    """Why a connection without a grant cannot be used."""
    if connection.status is Status.REAUTH_REQUIRED:
        return ReauthRequired()
    if connection.status is Status.ACTIVE:
        return ConnectionNotFound()
    return ConnectionPending()

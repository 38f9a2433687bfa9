"""Request one renewal of a locked connection's grant, and mark its outcome on the row."""

import logging
from collections.abc import Mapping

from broker.concurrency.backoff import Backoff
from broker.domain.grants import Tokens
from broker.domain.model import Connection
from broker.errors import (
    BrokerError,
    CredentialsRefused,
    ExchangeFailed,
    ProviderTimeout,
    ProviderUnavailable,
    ReauthRequired,
)
from broker.providers.base import Provider
from broker.providers.oauth import GrantEnded
from broker.providers.values import Renewable
from broker.services.grants.circuit_breaker import CircuitBreaker
from broker.stores.connections.connections import Connections
from broker.stores.connections.locked_connection import ROTATION_LOST, LockedConnection
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

NOT_NOW = "The access token could not be refreshed right now."

BACKOFF = Backoff(first=2, longest=60)
"""Pauses after failed renewals in a row before one is tried that no caller waits for."""

WHILE_OPEN = Backoff(first=5, jitter=(0.2, 1))
"""When a renewal is tried again that was not sent because the circuit is open."""

AFTER_REFUSAL = Backoff(first=40)
"""When one is tried again that failed by the app's client id and secret."""


class Refresher:
    """Renewals as requests to providers, fewer to an API that fails."""

    def __init__(
        self, connections: Connections, providers: Mapping[str, Provider], metrics: Metrics
    ) -> None:
        self._connections = connections
        self._providers = providers
        self._metrics = metrics
        self._breakers: dict[tuple[str, str | None], CircuitBreaker] = {}
        self.deferred = 0
        """How many renewals were not requested because the circuit of their API was open."""

    async def refresh(self, locked: LockedConnection, current: Connection) -> Tokens | BrokerError:
        """Tokens to store, or the error to raise once the mark is committed."""
        # One for each API; those that do not fail are not kept.
        breaker = self._breakers.setdefault(_api_of(current), CircuitBreaker())
        if not breaker.admits():
            self.deferred += 1
            await locked.reschedule(WHILE_OPEN.pause(1))
            return self.not_now(current)
        generation = current.grant.generation if current.grant else 0
        unanswered = await self._connections.record_renewal_attempt(locked, generation)
        outcome = await self._refresh(locked, current, breaker, unanswered=unanswered)
        if not breaker.failures:
            self._breakers.pop(_api_of(current), None)
        return outcome

    async def _request_tokens(
        self, locked: LockedConnection, current: Connection, *, unanswered: bool
    ) -> Tokens:
        provider = self._providers[current.provider]
        renewable = Renewable(
            locked.refresh_token,
            current.account_id,
            current.details,
            None if current.grant is None else current.grant.access_token,
            current.api_url,
        )
        try:
            return await provider.refresh(locked.client, renewable)
        except ProviderUnavailable as broken:
            if broken.__cause__ is None or unanswered:
                raise  # of one refresh token only the first lost answer is asked for again at once
        # A connection that broke is no sign of an outage, and a caller may be waiting.
        try:
            return await provider.refresh(locked.client, renewable)
        except GrantEnded as ended:
            raise GrantEnded(ROTATION_LOST if provider.rotates else ended.reason) from ended

    async def _refresh(
        self,
        locked: LockedConnection,
        current: Connection,
        breaker: CircuitBreaker,
        *,
        unanswered: bool,
    ) -> Tokens | BrokerError:
        """Request tokens and mark the outcome: tokens to store, or the error to raise."""
        failure: BrokerError
        try:
            tokens = await self._request_tokens(locked, current, unanswered=unanswered)
        except GrantEnded as ended:
            breaker.succeeded()
            # With a response lost before, the token that came in it is lost too.
            rotated = unanswered and self._providers[current.provider].rotates
            await locked.end_grant(ROTATION_LOST if rotated else ended.reason)
            failure = ReauthRequired()
        except CredentialsRefused as refused:
            breaker.succeeded()
            await locked.flag_credentials()
            await locked.clear_renewal_attempt()
            await locked.postpone_renewal(refused.code, AFTER_REFUSAL.pause(1))
            failure = refused
        except (ProviderUnavailable, ProviderTimeout, ExchangeFailed) as unwell:
            wait = unwell.retry_after or 0
            if not isinstance(unwell, ExchangeFailed):
                breaker.failed(wait)
            await locked.postpone_renewal(unwell.code, BACKOFF.pause(locked.failures + 1, wait))
            if unwell.__cause__ is None:  # the provider did answer; nothing was lost on the way
                await locked.clear_renewal_attempt()
            failure = unwell
            if isinstance(unwell, ExchangeFailed):
                failure = self.not_now(current)
        else:
            breaker.succeeded()
            await locked.unflag_credentials()
            self._metrics.renewals.labels("renewed").inc()
            return tokens
        self._metrics.renewals.labels(failure.code).inc()
        log.warning(
            "renewal_failed",
            extra={"connection": str(current.id), "reason": failure.code},
        )
        return failure

    def not_now(self, connection: Connection) -> ProviderUnavailable:
        """The error for a renewal that is not requested now."""
        failures = self._providers[connection.provider].failures
        return failures.unavailable(NOT_NOW, retry_after=2)


def _api_of(connection: Connection) -> tuple[str, str | None]:
    return connection.provider, connection.api_url

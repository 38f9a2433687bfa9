"""Revoke grants at their provider, until each is revoked."""

import asyncio
import logging
from collections.abc import Mapping
from uuid import UUID, uuid4

from broker.concurrency.backoff import Backoff
from broker.domain.grants import Revocation, Tokens
from broker.domain.model import App
from broker.errors import BrokerError, Busy
from broker.providers.base import Provider
from broker.stores.connections.revocations import Revocations
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

BACKOFF = Backoff(first=10, longest=3600, attempts=50)
"""At most an hour apart: about two days."""


class Revoker:
    """Empties the outbox of revocations. A grant that another connection uses is left alone."""

    def __init__(
        self, revocations: Revocations, providers: Mapping[str, Provider], metrics: Metrics
    ) -> None:
        self._revocations = revocations
        self._providers = providers
        self._metrics = metrics

    async def revoke_orphan(self, app: App, tokens: Tokens) -> None:
        """Revoke the tokens of an install that did not become a connection. Raises Busy when that
        can be neither done nor remembered.
        """
        if tokens.refresh_token is None:
            return
        revocation_id, details = uuid4(), tokens.details or {}
        try:
            await self._revocations.enqueue(
                app.workspace_id, app.id, revocation_id, tokens.refresh_token, details
            )
        except Busy:
            # The database is away, and no row keeps the token: now or never.
            await self._providers[app.provider].revoke(app.client, tokens.refresh_token, details)
        else:
            await self.revoke_now(app.workspace_id, revocation_id)

    async def revoke_now(self, workspace_id: UUID, revocation_id: UUID) -> str:
        """Make one revocation now; its outcome, "pending" when it has to wait."""
        revocation = await self._revocations.claim_one(workspace_id, revocation_id)
        return "pending" if revocation is None else await self._revoke(revocation)

    async def revoke_due(self, limit: int) -> int:
        """Make the revocations that are due; how many were tried."""
        due = await self._revocations.claim(limit)
        await asyncio.gather(*(self._revoke(revocation) for revocation in due))
        return len(due)

    async def _revoke(self, revocation: Revocation) -> str:
        if revocation.shared:
            outcome = "shared-grant"
        else:
            try:
                accepted = await self._providers[revocation.provider].revoke(
                    revocation.client, revocation.refresh_token, revocation.details
                )
                outcome = "revoked" if accepted else "refused"
            except BrokerError as error:
                log.warning("revocation_deferred", extra={"reason": error.code})
                outcome = "pending"
        if outcome == "pending" and BACKOFF.is_exhausted(revocation.attempts):
            outcome = "given-up"
        if outcome == "pending":
            await self._revocations.reschedule(revocation, BACKOFF.pause(revocation.attempts))
        else:
            await self._revocations.end(revocation, outcome)
        self._metrics.revocations.labels(outcome).inc()
        return outcome

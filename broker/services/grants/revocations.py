"""Tell HubSpot that a grant is over, until it knows."""

import asyncio
import logging
import random
from datetime import timedelta
from uuid import UUID, uuid4

from broker.domain.model import App, Revocation, Secret
from broker.errors import BrokerError
from broker.providers.hubspot.client import HubSpot
from broker.stores.connections.revocations import Revocations
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 50
"""Tries, at most an hour apart: about two days."""

LONGEST_PAUSE = timedelta(hours=1)


class Revoker:
    """Empties the outbox of revocations. A grant that another connection uses is left alone."""

    def __init__(self, revocations: Revocations, hubspot: HubSpot, metrics: Metrics) -> None:
        self._revocations = revocations
        self._hubspot = hubspot
        self._metrics = metrics

    async def revoke_orphan(self, app: App, token: Secret | None) -> None:
        """Revoke the token of an install that did not become a connection."""
        if token is not None:
            owed = uuid4()
            await self._revocations.enqueue(app.workspace_id, app.id, owed, token)
            await self.revoke_now(owed)

    async def revoke_now(self, revocation_id: UUID) -> str:
        """Tell HubSpot of one revocation now; its outcome, "pending" when it has to wait."""
        for revocation in await self._revocations.claim(1, revocation_id):
            return await self._revoke_at_hubspot(revocation)
        return "pending"

    async def revoke_due(self, limit: int) -> int:
        """Tell HubSpot of what is due; how many were tried."""
        due = await self._revocations.claim(limit)
        await asyncio.gather(*(self._revoke_at_hubspot(revocation) for revocation in due))
        return len(due)

    async def _revoke_at_hubspot(self, revocation: Revocation) -> str:
        if revocation.shared:
            outcome = "shared-grant"
        else:
            try:
                told = await self._hubspot.revoke(
                    revocation.client_id, revocation.client_secret, revocation.refresh_token
                )
                outcome = "revoked" if told else "refused"
            except BrokerError as error:
                log.warning("not revoked yet", extra={"reason": error.code})
                outcome = "pending"
        if outcome == "pending" and revocation.attempts >= MAX_ATTEMPTS:
            outcome = "given-up"
        if outcome == "pending":
            seconds = min(5.0 * 2**revocation.attempts, LONGEST_PAUSE.total_seconds())
            await self._revocations.reschedule(revocation, seconds * random.uniform(0.5, 1))  # noqa: S311
        else:
            await self._revocations.end(revocation, outcome)
        self._metrics.revocations.labels(outcome).inc()
        return outcome

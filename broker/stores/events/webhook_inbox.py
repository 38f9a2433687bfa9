"""HubSpot's batches until they are split, and the fingerprints of events already published."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from broker.domain.events import InboxBatch, NewEvent, WebhookSecrets
from broker.sealing import Place, Sealer
from broker.stores.connections.apps import secret_place
from broker.stores.connections.locked_connection import LockedConnection
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.events.events import publish

MAX_ATTEMPTS = 8
"""Failures after which a batch is parked for people to look at: about four minutes."""


class WebhookInbox:
    """An inbox: written before HubSpot is answered, emptied in the transaction that splits."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def webhook_secrets(self, workspace_id: UUID, slug: str) -> WebhookSecrets | None:
        """Who may sign the webhooks of an app; None for an app that is not there."""
        row = await self._database.fetchrow(sql.webhook_secrets_of_app, workspace_id, slug)
        if row is None:
            return None
        place = secret_place(workspace_id, row["id"])
        secrets = [self._sealer.open(row["client_secret"], place)]
        if row["previous"] is not None:
            former = Place(workspace_id, place.row, "previous_client_secret")
            secrets.append(self._sealer.open(row["previous"], former))
        return WebhookSecrets(row["id"], secrets, row["legacy_signatures"])

    async def store(self, workspace_id: UUID, app_id: UUID, source: str, body: bytes) -> None:
        """Store a batch; it is durable when this returns. Raises Busy when it may not be."""
        await self._database.execute(sql.insert_batch, workspace_id, uuid4(), app_id, source, body)

    @asynccontextmanager
    async def take(self) -> AsyncIterator["LockedBatch | None"]:
        """Lock the batch that waits longest; None when none does."""
        async with self._database.transaction() as session:
            row = await session.fetchrow(sql.claim_batch)
            if row is None:
                yield None
                return
            batch = InboxBatch(
                row["workspace_id"],
                row["id"],
                row["app_id"],
                row["slug"],
                row["source"],
                row["body"],
                row["received_at"],
                bool(row["journal"]),
            )
            yield LockedBatch(session, self._sealer, batch)

    async def reschedule(self, batch: InboxBatch) -> None:
        """A batch could not be split: again later, and parked in the end."""
        await self._database.execute(
            sql.reschedule_batch, batch.workspace_id, batch.id, MAX_ATTEMPTS
        )

    async def purge_seen(self) -> int:
        """Delete some of what HubSpot no longer repeats or could not be split; how much."""
        quarantined = await self._database.purge(sql.purge_quarantined_batches)
        return quarantined + await self._database.purge(sql.purge_seen_events)


@dataclass(frozen=True, slots=True)
class LockedBatch:
    """A locked batch: what is written here commits together with its end."""

    session: Session
    sealer: Sealer
    batch: InboxBatch

    async def remember_seen(self, fingerprints: Sequence[bytes]) -> set[bytes]:
        """Store fingerprints; those that were not there before."""
        if not fingerprints:
            return set()
        rows = await self.session.fetch(
            sql.remember_seen, self.batch.workspace_id, self.batch.app_id, list(fingerprints)
        )
        return {row["fingerprint"] for row in rows}

    async def already_seen(self, fingerprints: Sequence[bytes]) -> set[bytes]:
        """Which of the fingerprints are there."""
        rows = await self.session.fetch(
            sql.already_seen, self.batch.workspace_id, self.batch.app_id, list(fingerprints)
        )
        return {row["fingerprint"] for row in rows}

    async def users_of(self, hubs: Sequence[int]) -> dict[int, list[str]]:
        """The users connected to some accounts, by account."""
        users: dict[int, list[str]] = {}
        rows = await self.session.fetch(
            sql.users_of_hubs, self.batch.workspace_id, self.batch.app_id, list(hubs)
        )
        for row in rows:
            users.setdefault(row["hub_id"], []).append(row["user_ref"])
        return users

    async def publish(self, events: Sequence[NewEvent]) -> None:
        """Publish events to the app's endpoints."""
        await publish(self.session, self.batch.workspace_id, self.batch.app_id, events)

    async def lock_dedup(self) -> None:
        """Serialize deduplication for the app until the transaction ends: one source's fingerprints
        are looked up before the other's are stored.
        """
        await self.session.execute(sql.lock_dedup, str(self.batch.app_id))

    async def end_grants(self, hub_id: int, before: datetime) -> None:
        """The app was uninstalled from an account: a grant that was not renewed since is over."""
        key = self.batch.workspace_id, self.batch.app_id
        for row in await self.session.fetch(sql.grants_before, *key, hub_id, before):
            found = await self.session.fetchrow(sql.lock_connection, key[0], row["id"])
            await LockedConnection(self.session, self.sealer, found).end_grant("uninstalled")

    async def quarantine(self, body: bytes) -> None:
        """Store events that cannot be read, for a person to look at."""
        await self.session.execute(
            sql.quarantine_batch,
            self.batch.workspace_id,
            uuid4(),
            self.batch.app_id,
            self.batch.source,
            body,
        )

    async def delete(self) -> None:
        await self.session.execute(sql.delete_batch, self.batch.workspace_id, self.batch.id)

"""Providers' webhooks until they are split, and the fingerprints of events already published."""

import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from broker.domain.events import InboxBatch, NewEvent, WebhookSecrets
from broker.domain.model import Secret
from broker.sealing import Place, Sealer
from broker.stores.connections.apps import former_place, secret_place, webhook_secret_place
from broker.stores.connections.locked_connection import LockedConnection
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.events.events import publish
from broker.stores.events.retention import first_day_seen

MAX_ATTEMPTS = 8
"""Failures after which a batch is parked for people to look at: about four minutes."""


CANDIDATES = 20
"""How many waiting batches one look finds."""


class WebhookInbox:
    """An inbox: written before the provider is answered, emptied in the transaction that splits."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._due: deque[tuple[UUID, UUID]] = deque()

    async def webhook_secrets(self, workspace_id: UUID, slug: str) -> WebhookSecrets | None:
        """Who may sign the webhooks of an app; None for an app that is not there."""
        row = await self._database.fetchrow(sql.webhook_secrets_of_app, workspace_id, slug)
        if row is None:
            return None
        place = secret_place(workspace_id, row["id"])
        own_place = webhook_secret_place(workspace_id, row["id"])
        return WebhookSecrets(
            row["id"],
            row["provider"],
            self._open(row["client_secret"], row["previous"], place),
            self._open(row["webhook_secret"], row["previous_webhook"], own_place),
            row["legacy_signatures"],
        )

    def _open(self, sealed: bytes | None, previous: bytes | None, place: Place) -> list[Secret]:
        found = [(sealed, place), (previous, former_place(place))]
        return [self._sealer.open(each, where) for each, where in found if each is not None]

    async def store(
        self,
        workspace_id: UUID,
        app_id: UUID,
        source: str,
        body: bytes,
        headers: Mapping[str, str],
    ) -> None:
        """Store a delivery; it is durable when this returns. Raises Busy when it may not be."""
        key = workspace_id, uuid4(), app_id
        await self._database.execute(
            sql.insert_batch, *key, source, body, json.dumps(dict(headers))
        )

    @asynccontextmanager
    async def take(self) -> AsyncIterator["LockedBatch | None"]:
        """Lock the batch that waits longest of those that no other process has; None when none
        does.
        """
        if not self._due:
            # Looked for before the transaction, which is about one workspace; some for later turns.
            rows = await self._database.fetch(sql.due_batches, CANDIDATES)
            self._due.extend((row["workspace_id"], row["id"]) for row in rows)
        async with self._database.transaction() as session:
            row = None
            while row is None and self._due:
                row = await session.fetchrow(sql.claim_batch, *self._due.popleft())
            if row is None:
                yield None
                return
            batch = InboxBatch(
                row["workspace_id"],
                row["id"],
                row["app_id"],
                row["slug"],
                row["provider"] or "",
                row["source"],
                json.loads(row["headers"]),
                row["body"],
                row["received_at"],
                bool(row["journal"]),
            )
            yield LockedBatch(session, self._sealer, batch, row["claimed_at"])

    async def reschedule(self, batch: InboxBatch) -> None:
        """A batch could not be split: again later, and parked in the end."""
        await self._database.execute(
            sql.reschedule_batch, batch.workspace_id, batch.id, MAX_ATTEMPTS
        )

    async def purge_seen(self) -> int:
        """Delete some of what could not be split, and some of what providers no longer repeat, of
        that which no partition holds; how much.
        """
        quarantined = await self._database.purge(sql.purge_quarantined_batches)
        first = first_day_seen(datetime.now(UTC))
        return quarantined + await self._database.purge(sql.purge_seen_events, first)


OVERLAP = timedelta(hours=1)
"""How long after midnight marks are stored under the day before too. Longer than a batch is split:
a transaction that is idle for seconds ends, and so does a statement that takes as long.
"""


@dataclass(frozen=True, slots=True)
class LockedBatch:
    """A locked batch: what is written here commits together with its end. `claimed_at` is the
    database's time of the transaction.

    A mark is new when it was not seen on any day and is stored under this one. Of two processes
    that split the same event at once, the key of that day lets one store it. Over midnight they
    store under two days: the later one, within the overlap, under the earlier one's day as well.
    """

    session: Session
    sealer: Sealer
    batch: InboxBatch
    claimed_at: datetime

    async def remember_seen(self, fingerprints: Sequence[bytes]) -> set[bytes]:
        """Store fingerprints that are not there; those that nobody else has stored meanwhile."""
        if not fingerprints:
            return set()
        now = self.claimed_at.astimezone(UTC)
        days = {(now - OVERLAP).date(), now.date()}
        rows = await self.session.fetch(
            sql.remember_seen,
            self.batch.workspace_id,
            self.batch.app_id,
            [UUID(bytes=each) for each in fingerprints],
            sorted(days),
        )
        stored = Counter(row["fingerprint"].bytes for row in rows)
        return {fingerprint for fingerprint, count in stored.items() if count == len(days)}

    async def already_seen(self, fingerprints: Sequence[bytes]) -> set[bytes]:
        """Which of the fingerprints are there."""
        rows = await self.session.fetch(
            sql.already_seen,
            self.batch.workspace_id,
            self.batch.app_id,
            [UUID(bytes=each) for each in fingerprints],
            first_day_seen(self.claimed_at),
        )
        return {row["fingerprint"].bytes for row in rows}

    async def users_of(self, accounts: Sequence[str]) -> dict[str, list[str]]:
        """The users connected to some accounts, by account."""
        users: dict[str, list[str]] = {}
        rows = await self.session.fetch(
            sql.users_of_accounts, self.batch.workspace_id, self.batch.app_id, list(accounts)
        )
        for row in rows:
            users.setdefault(row["account_id"], []).append(row["user_ref"])
        return users

    async def publish(self, events: Sequence[NewEvent]) -> None:
        """Publish events to the app's endpoints."""
        await publish(self.session, self.batch.workspace_id, self.batch.app_id, events)

    async def lock_dedup(self) -> None:
        """Serialize deduplication for the app until the transaction ends: one source's fingerprints
        are looked up before the other's are stored.
        """
        await self.session.execute(sql.lock_dedup, self.batch.workspace_id, self.batch.app_id)

    async def end_grants(self, account_id: str, before: datetime) -> None:
        """The app was uninstalled from an account: a grant that was not renewed since is over."""
        key = self.batch.workspace_id, self.batch.app_id
        for row in await self.session.fetch(sql.grants_before, *key, account_id, before):
            found = await self.session.fetchrow(sql.locked_connection, key[0], row["id"])
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
            json.dumps(dict(self.batch.headers)),
        )

    async def delete(self) -> None:
        await self.session.execute(sql.delete_batch, self.batch.workspace_id, self.batch.id)

"""Refresh tokens that are still to be revoked at their provider."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from broker.domain.grants import Revocation
from broker.domain.model import Secret
from broker.sealing import Place, Sealer
from broker.stores.connections.apps import read_client
from broker.stores.connections.sealed_tokens import fingerprint_of
from broker.stores.core.by_workspace import grouped
from broker.stores.core.database import Database
from broker.stores.core.queries import sql


class Revocations:
    """An outbox: written in the transaction that wipes the tokens, emptied as each is revoked."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def enqueue(
        self,
        workspace_id: UUID,
        app_id: UUID,
        revocation_id: UUID,
        token: Secret,
        details: Mapping[str, str],
    ) -> None:
        """Enqueue a token that no row keeps, for instance of a consent that was refused."""
        row = f"revocation/{revocation_id}"
        await self._database.execute(
            sql.enqueue_revocation,
            workspace_id,
            revocation_id,
            app_id,
            row,
            self._sealer.seal(token, Place(workspace_id, row, "refresh_token")),
            fingerprint_of(token),
            json.dumps(dict(details)),
        )

    async def claim(self, limit: int) -> list[Revocation]:
        """Take what is due; others leave it alone for a minute."""
        due = await self._database.fetch(sql.due_revocations, limit)
        found = []
        for workspace_id, ids in grouped((row["workspace_id"], row["id"]) for row in due):
            found += await self._claim(workspace_id, ids, at_once=False)
        return found

    async def claim_one(self, workspace_id: UUID, revocation_id: UUID) -> Revocation | None:
        """Take one that is pending, whether due or not; None when it is not, or is being made."""
        found = await self._claim(workspace_id, [revocation_id], at_once=True)
        return found[0] if found else None

    async def _claim(
        self, workspace_id: UUID, ids: list[UUID], *, at_once: bool
    ) -> list[Revocation]:
        rows = await self._database.fetch(sql.claim_revocations, workspace_id, ids, at_once)
        return [
            Revocation(
                row["workspace_id"],
                row["id"],
                row["provider"],
                read_client(self._sealer, row),
                json.loads(row["details"]),
                self._sealer.open(
                    row["refresh_token"],
                    Place(row["workspace_id"], row["sealed_as"], "refresh_token"),
                ),
                row["shared"],
                row["attempts"],
            )
            for row in rows
        ]

    async def end(self, revocation: Revocation, outcome: str) -> None:
        """The outcome is known: wipe the token."""
        await self._database.execute(
            sql.end_revocation, revocation.workspace_id, revocation.id, outcome
        )

    async def reschedule(self, revocation: Revocation, seconds: float) -> None:
        await self._database.execute(
            sql.reschedule_revocation,
            revocation.workspace_id,
            revocation.id,
            timedelta(seconds=seconds),
        )

    async def outcomes_since(
        self, workspace_id: UUID, slug: str, since: datetime
    ) -> dict[str, int]:
        """How many revocations of an app ended how."""
        rows = await self._database.fetch(sql.outcomes_since, workspace_id, slug, since)
        return {row["outcome"]: row["how_many"] for row in rows}

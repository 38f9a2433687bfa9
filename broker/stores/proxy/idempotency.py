"""Calls that must happen once: which key stands for which request, and what HubSpot answered."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from broker.domain.model import Secret
from broker.sealing import Place, Sealer
from broker.stores.core.database import Database
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """An answer of HubSpot's, whole."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a key. `acquired`: this call is its first and may be made. `outcome` is
    `running`, `answered` or `unknown`.
    """

    workspace_id: UUID
    id: UUID
    acquired: bool
    fingerprint: bytes
    outcome: str
    answer: StoredResponse | None


class IdempotentCalls:
    """Keys that callers gave to writes, by connection, for a day."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def claim(
        self,
        workspace_id: UUID,
        connection_id: UUID,
        key_hash: bytes,
        fingerprint: bytes,
        runs_for: float,
    ) -> Claim:
        """Take a key for a call that may run so many seconds, unless it was taken before."""
        call_id = uuid4()
        place = workspace_id, connection_id, key_hash
        row = await self._database.fetchrow(
            sql.claim_idempotency_key, *place, call_id, fingerprint, runs_for
        )
        if row is not None:
            return Claim(workspace_id, call_id, True, fingerprint, "running", None)
        row = await self._database.fetchrow(sql.call_of_idempotency_key, *place)
        if row is None:  # released in between
            return await self.claim(workspace_id, connection_id, key_hash, fingerprint, runs_for)
        outcome = "unknown" if row["overdue"] else row["outcome"]
        answer = None if row["answer"] is None else self._opened(workspace_id, row)
        return Claim(workspace_id, row["id"], False, row["fingerprint"], outcome, answer)

    async def store_response(self, claim: Claim, answer: StoredResponse) -> None:
        """The call was answered: repeats get the same."""
        head = json.dumps([answer.status, answer.reason, answer.headers])
        text = f"{head}\n{answer.body.decode('latin-1')}"
        sealed = self._sealer.seal(Secret(text), _place(claim.workspace_id, claim.id))
        await self._database.execute(sql.store_response, claim.workspace_id, claim.id, sealed)

    async def release(self, claim: Claim) -> None:
        """HubSpot surely did not run the call: its key is free again."""
        await self._database.execute(sql.release_idempotency_key, claim.workspace_id, claim.id)

    async def mark_unknown(self, claim: Claim) -> None:
        """It is unknown whether HubSpot ran the call."""
        await self._database.execute(sql.mark_outcome_unknown, claim.workspace_id, claim.id)

    async def purge(self) -> int:
        """Delete some keys that are older than a day; how many."""
        return await self._database.purge(sql.purge_idempotency_keys)

    def _opened(self, workspace_id: UUID, row: Any) -> StoredResponse:
        text = self._sealer.open(row["answer"], _place(workspace_id, row["id"])).reveal()
        head, _, body = text.partition("\n")
        status, reason, headers = json.loads(head)
        pairs = [(name, value) for name, value in headers]
        return StoredResponse(status, reason, pairs, body.encode("latin-1"))


def _place(workspace_id: UUID, call_id: UUID) -> Place:
    return Place(workspace_id, f"idempotent_call/{call_id}", "answer")

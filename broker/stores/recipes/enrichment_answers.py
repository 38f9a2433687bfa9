"""What enrichment vendors know about e-mail addresses: looked up and paid once.

Why no address is looked up twice at a time: a lookup begins by claiming the address's row, in the
transaction that counts it in the budget; a claim outlasts the request. What a lookup finds is
written where the row still is, so that an answer that comes after the contact was deleted is not
stored.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid4

from broker.domain.runs import Run
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

LEASE = timedelta(seconds=30)
"""How long a lookup holds its address: longer than the request may take."""

MOST_LOST = 2
"""How many lookups of an address may be sent whose answers are lost: each may have been billed."""


@dataclass(frozen=True, slots=True)
class AddressKey:
    """An address at a vendor, by its hash: the workspace is in it, so that equal addresses of two
    workspaces cannot be told to be equal.
    """

    workspace_id: UUID
    vendor: str
    email_hash: bytes

    @classmethod
    def of(cls, workspace_id: UUID, vendor: str, email: str) -> "AddressKey":
        return cls(workspace_id, vendor, hash_of(workspace_id, email))


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A vendor's answer that still counts: found, not-found or opted-out."""

    outcome: str
    fields: Mapping[str, str]
    confidence: float | None


@dataclass(frozen=True, slots=True)
class AddressState:
    """What is stored about an address: an answer, whether a lookup is under way, and how many
    answers were lost.
    """

    answer: StoredAnswer | None = None
    is_claimed: bool = False
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class LookupClaim:
    """The right to look an address up, once; `day` is the day in whose budget it counts."""

    key: AddressKey
    id: UUID
    app_id: UUID
    day: date


class BudgetUsedUp(Exception):
    """The day's lookups are made; `seconds` until the next day."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class EnrichmentAnswers:
    """Answers by address, and the contacts that they are about."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: AddressKey, min_confidence: float) -> AddressState:
        """What is stored about an address. A miss that was looked up with a higher confidence than
        this is not an answer.
        """
        row = await self._database.fetchrow(sql.enrichment_answer, *_values(key))
        if row is None:
            return AddressState()
        answer, outcome = None, row["outcome"]
        stricter = outcome == "not-found" and row["min_confidence"] > min_confidence
        if outcome is not None and not row["is_expired"] and not stricter:
            fields = json.loads(row["fields"] or "{}")
            answer = StoredAnswer(outcome, fields, row["confidence"])
        return AddressState(answer, row["is_claimed"], row["unanswered"])

    async def claim(
        self, key: AddressKey, app_id: UUID, min_confidence: float, budget: int
    ) -> LookupClaim | None:
        """Claim an address and count the lookup; None when another has it, an answer is stored, or
        too many were lost. Raises BudgetUsedUp, and then nothing is claimed.
        """
        claim_id = uuid4()
        async with self._database.transaction() as session:
            claimed = await session.fetchval(
                sql.claim_enrichment,
                *_values(key),
                claim_id,
                LEASE,
                MOST_LOST,
                min_confidence,
            )
            if claimed is None:
                return None
            day = await session.fetchval(sql.spend_enrichment, key.workspace_id, app_id, budget)
            if day is None:
                raise BudgetUsedUp(await session.fetchval(sql.until_tomorrow))
        return LookupClaim(key, claim_id, app_id, day)

    async def store(
        self,
        claim: LookupClaim,
        outcome: str,
        fields: Mapping[str, str],
        confidence: float | None,
        lifetime: timedelta | None,
    ) -> bool:
        """Store an answer; False when the contact was deleted meanwhile."""
        stored = await self._database.execute(
            sql.store_enrichment,
            *_values(claim.key),
            outcome,
            json.dumps(dict(fields)),
            confidence,
            lifetime,
        )
        return stored > 0

    async def release(self, claim: LookupClaim) -> None:
        """The lookup has ended, cost nothing, and there is nothing to store."""
        async with self._database.transaction() as session:
            await session.execute(sql.release_enrichment, *_values(claim.key), claim.id)
            await session.execute(
                sql.refund_enrichment, claim.key.workspace_id, claim.app_id, claim.day
            )

    async def allow_again(self, key: AddressKey) -> None:
        """A person may have an address looked up again whose answers were lost."""
        await self._database.execute(sql.allow_enrichment, *_values(key))

    async def record_contact(self, run: Run, contact_id: str, email: str | None) -> None:
        """The contact and the address that a run is about, to be deleted with the contact."""
        await self._database.execute(
            sql.record_enrichment_contact,
            run.workspace_id,
            run.id,
            run.app_id,
            run.hub_id,
            contact_id,
            None if email is None else hash_of(run.workspace_id, email),
        )

    async def purge(self) -> int:
        """Delete answers that have expired and old budgets; how many."""
        answers = await self._database.purge(sql.purge_enrichment_answers)
        return answers + await self._database.purge(sql.purge_enrichment_budgets)


async def delete_contact(
    session: Session, workspace_id: UUID, app_id: UUID, hub_id: int, contact_id: str
) -> None:
    """Delete answers and runs about a contact, within the caller's transaction."""
    await session.execute(sql.delete_enrichment_contact, workspace_id, app_id, hub_id, contact_id)


def hash_of(workspace_id: UUID, email: str) -> bytes:
    """An address as it is stored."""
    return hashlib.sha256(workspace_id.bytes + email.encode()).digest()


def _values(key: AddressKey) -> tuple[UUID, str, bytes]:
    return key.workspace_id, key.vendor, key.email_hash

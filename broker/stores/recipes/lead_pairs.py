"""Pairs of a HubSpot contact and a Salesforce lead: which belong together, hashes of the values
last seen on both sides, and who works on a pair now.

One row for each contact of an account beside one org is the lock; `claim` is the fence, so that a
run that was too slow stores nothing. A unique constraint keeps a lead from having two contacts.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from broker.domain.runs import Run
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql

HOUR = timedelta(hours=1)
LEASE = timedelta(seconds=60)
"""How long a run may work on a pair: longer than a step may take."""

Seen = Mapping[str, Sequence[str]]
"""By a field's name: the hashes of HubSpot's and of Salesforce's value; where a value was about to
be written, that side and the hash of the value too.
"""


@dataclass(frozen=True, slots=True)
class LeadPlace:
    """A Salesforce org as one HubSpot account sees it, for one app."""

    workspace_id: UUID
    app_id: UUID
    hub_id: int
    org_id: str


@dataclass(frozen=True, slots=True)
class LeadPair:
    """What is known of a contact's pair; `seen` is None before the two were compared first."""

    contact_id: str
    lead_id: str | None
    seen: Seen | None
    is_unlinked: bool


@dataclass(frozen=True, slots=True)
class LockedPair:
    """A pair on which this run works, since `at` by the database's clock; `written_at` are the
    writes of the hour before.
    """

    place: LeadPlace
    pair: LeadPair
    claim: int
    at: datetime
    written_at: tuple[datetime, ...]
    stopped_at: datetime | None
    unlinked_at: datetime | None


class LeadPairs:
    """Every pair."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lock(self, place: LeadPlace, contact_id: str) -> LockedPair | None:
        """Work on a contact's pair; None while another run does."""
        row = await self._database.fetchrow(sql.lock_lead_pair, *_key(place), contact_id, LEASE)
        if row is None:
            await self._database.execute(sql.add_lead_pair, *_key(place), contact_id)
            row = await self._database.fetchrow(sql.lock_lead_pair, *_key(place), contact_id, LEASE)
        if row is None:
            return None
        at = row["locked_until"] - LEASE
        return LockedPair(
            place,
            _pair(row),
            row["claim"],
            at,
            tuple(each for each in row["written_at"] if each > at - HOUR),
            row["stopped_at"],
            row["unlinked_at"],
        )

    async def end(
        self,
        locked: LockedPair,
        *,
        lead_id: str | None,
        seen: Seen | None,
        written: bool = False,
        stopped: bool = False,
        unlinked: bool = False,
    ) -> bool:
        """Store what is known now and unlock; False when another run has the pair by now."""
        stored = await self._database.execute(
            sql.end_lead_pair,
            *_key(locked.place),
            locked.pair.contact_id,
            locked.claim,
            lead_id,
            None if seen is None else json.dumps(seen),
            [*locked.written_at, *([locked.at] if written else [])],
            (locked.stopped_at or locked.at) if stopped else None,
            (locked.unlinked_at or locked.at) if unlinked else None,
        )
        return stored > 0

    async def intend(
        self,
        locked: LockedPair,
        lead_id: str,
        seen: Seen,
        step: tuple[Run, str] | None,
        checkpoint: Mapping[str, Any],
    ) -> bool:
        """Store what is about to be written, so that a run that finds it written does not take it
        for a person's change, and the checkpoint of the step that writes it; False when another run
        has the pair, or another process the run, by now.
        """
        key = *_key(locked.place), locked.pair.contact_id
        async with self._database.transaction() as session:
            stored = await session.fetchrow(
                sql.intend_lead_pair, *key, locked.claim, lead_id, json.dumps(seen)
            )
            if step is None or stored is None:
                return stored is not None
            run, name = step
            values = run.workspace_id, run.id, run.claim, name, json.dumps(checkpoint)
            return await session.fetchrow(sql.store_lead_checkpoint, *values) is not None

    async def store_checkpoint(self, run: Run, name: str, checkpoint: Mapping[str, Any]) -> bool:
        """Store how far a step is that goes on; False when another process has the run by now."""
        values = run.workspace_id, run.id, run.claim, name, json.dumps(checkpoint)
        return await self._database.fetchrow(sql.store_lead_checkpoint, *values) is not None

    async def unlock(self, locked: LockedPair) -> None:
        """Leave the pair as it was."""
        await self._database.execute(
            sql.unlock_lead_pair, *_key(locked.place), locked.pair.contact_id, locked.claim
        )

    async def of_contact(self, place: LeadPlace, contact_id: str) -> LeadPair | None:
        """A contact's pair."""
        row = await self._database.fetchrow(sql.lead_pair_of_contact, *_key(place), contact_id)
        return None if row is None else _pair(row)

    async def of_leads(self, place: LeadPlace, lead_ids: Sequence[str]) -> dict[str, LeadPair]:
        """The pairs of some leads, by the leads' ids."""
        rows = await self._database.fetch(sql.lead_pairs_of_leads, *_key(place), list(lead_ids))
        return {row["lead_id"]: _pair(row) for row in rows}

    async def sample(self, place: LeadPlace, number: int) -> list[LeadPair]:
        """Some pairs that have been compared, chosen at random."""
        rows = await self._database.fetch(sql.sample_lead_pairs, *_key(place), number)
        return [_pair(row) for row in rows]

    async def give_up(self, place: LeadPlace, contact_id: str) -> None:
        """A contact's lead belongs to another contact from now on."""
        await self._database.execute(sql.give_up_lead, *_key(place), contact_id)


async def clear_contact(
    session: Session, workspace_id: UUID, app_id: UUID, hub_id: int, contact_id: str
) -> None:
    """Delete what is known of a contact's values, within the caller's transaction."""
    await session.execute(sql.clear_lead_pair, workspace_id, app_id, hub_id, contact_id)


def _key(place: LeadPlace) -> tuple[UUID, UUID, int, str]:
    return place.workspace_id, place.app_id, place.hub_id, place.org_id


def _pair(row: Any) -> LeadPair:
    seen = row["seen"]
    return LeadPair(
        row["contact_id"],
        row["lead_id"],
        None if seen is None else json.loads(seen),
        row["unlinked_at"] is not None,
    )

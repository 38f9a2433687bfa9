"""Bring over what was there before: the leads, or the contacts, that have changed since a moment. A
run of its own, page by page, within a share of the org's day; what is known of its progress is
stored as it goes, so that another process goes on where one was stopped.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords
from broker.domain.runs import PermanentFailure, RetryLater, StepContext
from broker.errors import InputRefused
from broker.recipes.leads.models import Side
from broker.recipes.leads.org.day import CallCount, Share, counting
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.pairing import Pairing
from broker.recipes.leads.pairs.work import Work
from broker.recipes.leads.requests import STEP
from broker.stores.recipes.lead_pairs import LeadPairs

PAGE = 50
PAUSE_S = 2.0
PAGE_S = 20.0
"""A page, the pause after one, and how long a step goes through it: far less than a step may
take.
"""

STORED_EVERY = 10
"""After how many records the progress is stored: a process that is killed repeats so many at most,
which writes nothing twice.
"""

MOST_REFUSED, MOST_OVERWRITTEN = 50, 200
"""How many refused records, and overwritten values, a result names."""

CHANGED = "lastmodifieddate"


@dataclass(frozen=True, slots=True)
class _Record:
    """A record, whether it is to be brought over, and where a backfill is after it."""

    id: str
    is_due: bool
    place: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Page:
    """Records, and where the next page begins; None after the last one."""

    records: Sequence[_Record]
    following: Mapping[str, Any] | None


class _Progress:
    """How far a backfill is: the place behind the last record whose end is known."""

    def __init__(self, checkpoint: Mapping[str, Any], share: float, count: CallCount) -> None:
        self.shown: dict[str, Any] = {
            "total": None,
            "seen": 0,
            "written": 0,
            **checkpoint.get("progress", {}),
        }
        self.refused = list(checkpoint.get("refused", ()))
        self.overwritten = list(checkpoint.get("overwritten", ()))
        self.place: Mapping[str, Any] = checkpoint.get("place", {})
        self.until: str | None = checkpoint.get("until")
        self.share = Share(checkpoint.get("spent", {}), share, count)

    def checkpoint(self) -> dict[str, Any]:
        spent = self.share.spent()
        calls = {"calls": sum(spent.values()), "callsAllowed": self.share.allowed}
        return {
            "progress": {**self.shown, "refused": len(self.refused), **calls},
            "refused": self.refused,
            "overwritten": self.overwritten,
            "place": self.place,
            "until": self.until,
            "spent": spent,
        }

    def result(self) -> dict[str, Any]:
        counted = {name: self.shown[name] for name in ("seen", "written")}
        found = {"operation": "none", **counted, "refused": self.refused}
        return {**found, "changed": self.overwritten} if self.overwritten else found

    def later(self, after_s: float, reason: str) -> RetryLater:
        return RetryLater(after_s, reason, self.checkpoint())

    def add(self, outcome: Mapping[str, Any]) -> None:
        """Count a record that was brought over, and keep what was overwritten."""
        self.shown["written"] += outcome["operation"] != "none"
        room = MOST_OVERWRITTEN - len(self.overwritten)
        self.overwritten += [each for each in outcome["changed"] if each["overwritten"]][:room]

    def refuse(self, side: Side, record_id: str, refusal: Exception) -> None:
        found = refusal.refusal if isinstance(refusal, PermanentFailure) else refusal
        if len(self.refused) < MOST_REFUSED:
            message = getattr(found, "detail", None) or str(found)
            name = "contactId" if side is Side.HUBSPOT else "leadId"
            self.refused.append({name: record_id, "message": message})


class Backfill:
    """Backfills, in one process."""

    def __init__(self, crm: CrmRecords, leads: Leads, pairs: LeadPairs, pairing: Pairing) -> None:
        self._crm = crm
        self._leads = leads
        self._pairs = pairs
        self._pairing = pairing

    async def go_on(self, context: StepContext, work: Work) -> Mapping[str, Any]:
        """One page. Raises RetryLater while there are more, or until the org's day allows more."""
        side = Side(context.run.input.get("side", Side.SALESFORCE))
        since = datetime.fromisoformat(context.run.input["since"])
        with counting() as count:
            progress = _Progress(context.checkpoint, work.settings.backfillShare, count)
            try:
                return await self._page(
                    context, replace(work, reported=side), since, progress, count
                )
            except RetryLater as later:
                raise progress.later(later.after_s, later.reason) from later

    async def _page(
        self,
        context: StepContext,
        work: Work,
        since: datetime,
        progress: _Progress,
        count: CallCount,
    ) -> Mapping[str, Any]:
        if progress.shown["total"] is None:
            progress.shown["total"] = await self._total(work, since)
        page = await self._records(work, since, progress)
        if count.most is None:  # no call to the org yet, or an answer without the header
            count.used, count.most = await self._leads.day(work.partner)
        stop_at, stored = time.monotonic() + PAGE_S, 0
        for record in page.records:
            pause = progress.share.pause() if record.is_due else None
            if pause is not None:
                raise RetryLater(*pause)
            if time.monotonic() > stop_at:
                raise RetryLater(PAUSE_S, "more records")
            if record.is_due:
                await self._one(work, record.id, progress)
            progress.place, stored = record.place, stored + 1
            if stored % STORED_EVERY == 0 and not await self._pairs.store_checkpoint(
                context.run, STEP, progress.checkpoint()
            ):
                raise RetryLater(PAUSE_S, "another process has the run")
        if page.following is None:
            return progress.result()
        progress.place = page.following
        raise RetryLater(PAUSE_S, "more records")

    async def _one(self, work: Work, record_id: str, progress: _Progress) -> None:
        side = work.reported or Side.SALESFORCE
        pair_up = self._pairing.of_contact if side is Side.HUBSPOT else self._pairing.of_lead
        try:
            outcome = await pair_up(work, record_id)
        except (InputRefused, PermanentFailure) as refusal:
            progress.refuse(side, record_id, refusal)
        else:
            progress.add(outcome)
        progress.shown["seen"] += 1

    async def _total(self, work: Work, since: datetime) -> int:
        if work.reported is Side.HUBSPOT:
            return await self._crm.reader(work.user).count_since(CONTACTS, CHANGED, since)
        return await self._leads.count_since(work.partner, since)

    async def _records(self, work: Work, since: datetime, progress: _Progress) -> _Page:
        """The next leads, of those that were written before the backfill began: it would meet its
        own writes again, and polls find those of people.
        """
        place = progress.place
        if work.reported is Side.HUBSPOT:
            return await self._contacts(work, since, place)
        after = (datetime.fromisoformat(place["at"]), place["id"]) if place else None
        found, now = await self._leads.changed(
            work.partner, since, after, work.fields, work.external, PAGE
        )
        progress.until = progress.until or (now or datetime.now(UTC)).isoformat()
        until = datetime.fromisoformat(progress.until)
        records = [
            _Record(each.id, not each.is_deleted, {"at": each.stamp, "id": each.id})
            for each in found
            if datetime.fromisoformat(each.stamp) <= until
        ]
        return _Page(records, records[-1].place if len(records) == PAGE else None)

    async def _contacts(self, work: Work, since: datetime, place: Mapping[str, Any]) -> _Page:
        """HubSpot lists all contacts, by pages with a token for the next; its search would end
        after 10,000.
        """
        reader, token = self._crm.reader(work.user), place.get("page")
        found, following = await reader.page(CONTACTS, token, [CHANGED], PAGE)
        records = [
            _Record(
                record_id,
                datetime.fromisoformat(properties.get(CHANGED) or since.isoformat()) >= since,
                {"page": token, "id": record_id},
            )
            for record_id, properties in found
        ]
        done = [number for number, each in enumerate(records) if each.id == place.get("id")]
        next_page = None if following is None else {"page": following}
        return _Page(records[done[0] + 1 if done else 0 :], next_page)

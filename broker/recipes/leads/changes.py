"""Looks at Salesforce for leads that have changed: works in every edition, and needs no webhook.

`SystemModstamp` counts in seconds, and a long transaction commits with an older one, so each look
goes back a little. What a look finds again starts nothing: a lead's values are compared with those
last seen, so what the recipe wrote itself costs this read and no run.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from broker.domain.runs import RunRequest
from broker.errors import InputRefused
from broker.recipes.leads.checks import MappingChecks
from broker.recipes.leads.comparison import Comparison
from broker.recipes.leads.models import Side
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.org.refusals import FieldsChanged
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.merging import Marks
from broker.recipes.leads.pairs.work import Work
from broker.recipes.leads.requests import lead_request, version_of
from broker.recipes.leads.steps import LeadSteps
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.stores.recipes.lead_pairs import LeadPair, LeadPairs

OVERLAP = timedelta(seconds=120)
CLOCKS_DIFFER = timedelta(seconds=10)
"""From when on Salesforce's clock is another one than the database's."""

SKEW = timedelta(hours=1)
"""How far behind a clock may be that does not show its time."""

PAGE = 200
PAGE_CHARACTERS = 2_000_000
"""A page of leads at most, and the characters that its fields hold together: long texts of many
leads are more than an answer may have.
"""

PAUSE_S = 1.0


class LeadChanges:
    """Looks at orgs. The cursor holds `since`, within a look of many pages the last lead and when
    the look began, as `checked` when pairs were compared, and as `check` when the mapping was, with
    what result.
    """

    def __init__(
        self,
        steps: LeadSteps,
        leads: Leads,
        pairs: LeadPairs,
        comparison: Comparison,
        checks: MappingChecks,
    ) -> None:
        self._comparison = comparison
        self._checks = checks
        self._steps = steps
        self._leads = leads
        self._pairs = pairs

    async def look(self, due: DuePoll) -> PollResult:
        """One page of leads, and runs for those that differ from what was last seen; once a day
        the mapping is checked first.
        """
        cursor = due.cursor or {"since": due.begins_at.isoformat()}
        check = await self._checks.go_on(due, cursor.get("check"))
        try:
            found = await self._look(due)
        except FieldsChanged:
            self._leads.clear_cache()  # the next look asks what there is
            raise
        except InputRefused:
            if not check.events:
                raise
            # What the check has found is told, though it keeps the leads from being looked at.
            found = PollResult(cursor, PAUSE_S)
        going = {**found.cursor, "check": check.state}
        return PollResult(going, found.again_in_s, found.runs, check.events)

    async def _look(self, due: DuePoll) -> PollResult:
        work = await self._steps.work(due.app_id, due.user, due.partner, reported=Side.SALESFORCE)
        cursor, settings = due.cursor or {}, work.settings
        since = datetime.fromisoformat(cursor["since"]) if cursor else due.begins_at
        if settings.direction == "to-salesforce":
            compared = await self._comparison.go_on(due, work, cursor.get("checked"))
            going = {"since": since.isoformat(), "checked": compared.state}
            return PollResult(going, float(settings.pollSeconds), compared.runs)
        after = None
        if "id" in cursor:
            after = (datetime.fromisoformat(cursor["at"]), cursor["id"])
        limit = page_size(work)
        leads, now = await self._page(due, work, since, after, limit)
        if not cursor and now is not None and abs(now - due.started_at) > CLOCKS_DIFFER:
            since += now - due.started_at  # the moment of the connection by Salesforce's clock
            leads, now = await self._page(due, work, since, after, limit)
        pairs = await self._pairs.of_leads(work.place, [each.id for each in leads])
        runs = [
            self._request(due, each)
            for each in leads
            if self._starts(work, each, pairs.get(each.id))
        ]
        began = cursor.get("began") or (None if now is None else now.isoformat())
        if len(leads) == limit:
            last = leads[-1]
            page = {"since": since.isoformat(), "at": last.stamp, "id": last.id, "began": began}
            return PollResult({**cursor, **page}, PAUSE_S, runs)
        following = max([since, *_settled(due, leads, after, began)])
        compared = await self._comparison.go_on(due, work, cursor.get("checked"))
        going = {"since": following.isoformat(), "checked": compared.state}
        return PollResult(going, float(settings.pollSeconds), [*runs, *compared.runs])

    async def _page(
        self,
        due: DuePoll,
        work: Work,
        since: datetime,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> tuple[Sequence[Lead], datetime | None]:
        return await self._leads.changed(
            due.partner, since, after, work.fields, work.external, limit
        )

    def _request(self, due: DuePoll, lead: Lead) -> RunRequest:
        state = "deleted" if lead.is_deleted else lead.stamp
        return lead_request(
            due.app_id,
            due.user,
            due.partner,
            lead.id,
            f"{state}/{version_of(dict(lead.values))}",
            reported=Side.SALESFORCE,
        )

    def _starts(self, work: Work, lead: Lead, pair: LeadPair | None) -> bool:
        if pair is None:
            if lead.is_deleted or lead.converted_to is not None:
                return False
            return not lead.external_id or work.contact_of(lead.external_id) is not None
        if pair.is_unlinked:
            return False
        if lead.is_deleted or pair.seen is None:
            return True
        if lead.converted_to is not None and work.settings.onConverted == "stop":
            return False
        marks = Marks(work.place.workspace_id, work.place.hub_id, pair.contact_id)
        return bool(marks.changed_at_salesforce(work.fields, lead.values, pair.seen))


def page_size(work: Work) -> int:
    """How many leads a look reads at once."""
    characters = sum(work.described.lengths.get(each.salesforce, 0) for each in work.fields)
    return max(1, min(PAGE, PAGE_CHARACTERS // max(characters, 1)))


def _settled(
    due: DuePoll, leads: Sequence[Lead], after: tuple[datetime, str] | None, began: str | None
) -> list[datetime]:
    """Up to when nothing is written any more: a little before the look began, by Salesforce's
    clock. Where it does not say, the newest change tells, until that is as old as clocks differ.
    """
    if began is not None:
        return [datetime.fromisoformat(began) - OVERLAP]
    seen = [datetime.fromisoformat(each.stamp) - OVERLAP for each in leads[-1:]]
    if after is not None and not leads:
        seen.append(after[0] - OVERLAP)
    return [due.started_at - SKEW, *seen]

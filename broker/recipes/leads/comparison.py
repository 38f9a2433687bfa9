"""Compare some pairs at random, once a day: what neither a webhook nor a look reported is found so,
and the recipe's health says how many were equal.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords
from broker.domain.runs import Consistency, Difference, RunRequest
from broker.recipes.leads.models import Side
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.work import Work, values_of
from broker.recipes.leads.requests import contact_request, version_of
from broker.recipes.starts.polling import DuePoll
from broker.stores.recipes.lead_pairs import LeadPairs
from broker.stores.recipes.polls import PollRecord

EVERY = timedelta(hours=24)
AT_ONCE = 50
"""How often pairs are compared, and how many: two calls, one to each side."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found: its state for the next one, and runs for pairs that differ."""

    state: Mapping[str, Any]
    runs: Sequence[RunRequest]


class Comparison:
    """Compares pairs of an org. The state holds `at`, `compared`, `equal`, and as `different` which
    pairs differed in which properties, without values; `urls` is where both sides' records are.
    """

    def __init__(self, crm: CrmRecords, leads: Leads, pairs: LeadPairs, hubspot_url: str) -> None:
        self._hubspot_url = hubspot_url
        self._crm = crm
        self._leads = leads
        self._pairs = pairs

    async def go_on(self, due: DuePoll, work: Work, state: Mapping[str, Any] | None) -> Compared:
        """Compare some pairs, where it is time to. Raises what calls to both sides do."""
        now = due.started_at.isoformat()
        if state is None:  # nothing was written before the first look
            return Compared({"at": now}, ())
        if due.started_at - datetime.fromisoformat(state["at"]) < EVERY:
            return Compared(state, ())
        pairs = await self._pairs.sample(work.place, AT_ONCE)
        reader, names = self._crm.reader(work.user), work.property_names
        contacts = await reader.read_many(CONTACTS, [each.contact_id for each in pairs], names)
        leads = await self._leads.read_many(
            due.partner, [each.lead_id or "" for each in pairs], work.fields, work.external
        )
        runs, different = [], []
        for each in pairs:
            contact, lead = contacts.get(each.contact_id), leads.get(each.lead_id or "")
            fields = _differing(work, contact, lead)
            missing = [
                side
                for side, found in ((Side.HUBSPOT, contact), (Side.SALESFORCE, lead))
                if found is None
            ]
            if fields or missing:
                ids = {"contactId": each.contact_id, "leadId": each.lead_id}
                different.append({**ids, "fields": fields, "missing": missing})
                version = version_of(contact, None if lead is None else dict(lead.values))
                runs.append(
                    contact_request(
                        due.app_id,
                        due.user,
                        due.partner,
                        each.contact_id,
                        f"compared:{version}",
                        reported=Side.SALESFORCE,
                    )
                )
        state = {
            "at": now,
            "compared": len(pairs),
            "equal": len(pairs) - len(runs),
            "different": different,
            "urls": {
                Side.HUBSPOT: f"{self._hubspot_url}/contacts/{work.place.hub_id}/record/0-1/",
                Side.SALESFORCE: f"{due.partner.url}/",
            },
        }
        return Compared(state, runs)


def consistency_of(polls: Sequence[PollRecord]) -> Consistency | None:
    """The last comparisons of all users' orgs together."""
    states = {
        each.user_ref: each.cursor["checked"]
        for each in polls
        if each.cursor.get("checked", {}).get("compared")
    }
    if not states:
        return None
    return Consistency(
        compared=sum(each["compared"] for each in states.values()),
        equal=sum(each["equal"] for each in states.values()),
        checked_at=max(datetime.fromisoformat(each["at"]) for each in states.values()),
        different=[
            Difference(
                user,
                pair["contactId"],
                state["urls"][Side.HUBSPOT] + pair["contactId"],
                pair["leadId"],
                state["urls"][Side.SALESFORCE] + pair["leadId"],
                pair["fields"],
                pair["missing"],
            )
            for user, state in states.items()
            for pair in state.get("different", ())
        ],
    )


def _differing(
    work: Work, contact: Mapping[str, str | None] | None, lead: Lead | None
) -> list[str]:
    """The properties that are not equal."""
    if contact is None or lead is None or lead.converted_to is not None:
        return []
    known, contact_values = work.known_in(contact), values_of(work, contact)
    return [
        each.hubspot
        for each in known.fields
        if not each.equal(contact_values[each.hubspot], lead.values.get(each.salesforce, ""))
    ]

"""Compare the two records of a pair: what of them has changed, and what is to be written."""

from collections.abc import Mapping
from datetime import UTC, datetime

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords
from broker.recipes.leads.fields import MappedField
from broker.recipes.leads.models import Side, Wins
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.pairs.merging import Marks, Merge, filled, merge
from broker.recipes.leads.pairs.work import Work, values_of
from broker.stores.recipes.lead_pairs import Seen

Contact = Mapping[str, str | None]


class Planner:
    """Compares, and writes nothing."""

    def __init__(self, crm: CrmRecords) -> None:
        self._crm = crm

    async def plan(
        self, work: Work, contact: Contact, lead: Lead, seen: Seen | None, marks: Marks
    ) -> Merge:
        """What would be written. Raises as a reader does."""
        fields, contact_values = work.fields, values_of(work, contact)
        if seen is None:
            changed = filled(fields, contact_values, lead.values)
        else:
            changed = (
                marks.changed_at_hubspot(fields, contact_values, seen),
                marks.changed_at_salesforce(fields, lead.values, seen),
            )
        conflicting = [
            each.hubspot
            for each in fields
            if each.wins is Wins.NEWEST
            and each.hubspot in changed[0]
            and each.salesforce in changed[1]
            and not each.equal(contact_values[each.hubspot], lead.values.get(each.salesforce, ""))
        ]
        times: Mapping[str, datetime] = {}
        if conflicting:
            reader, contact_id = self._crm.reader(work.user), contact.get("hs_object_id") or ""
            times = await reader.changed_at(CONTACTS, contact_id, conflicting)

        def newer(field: MappedField) -> Side:
            at = times.get(field.hubspot, datetime.min.replace(tzinfo=UTC))
            return Side.SALESFORCE if lead.modified_at > at else Side.HUBSPOT

        return merge(
            fields,
            contact_values,
            lead.values,
            changed,
            direction=work.settings.direction,
            required=work.described.required,
            newer=newer,
        )


def marks_of(work: Work, contact_id: str) -> Marks:
    """How a pair's values are hashed."""
    return Marks(work.place.workspace_id, work.place.hub_id, contact_id)

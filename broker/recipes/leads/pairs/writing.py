"""Write what a merge decided: to Salesforce first, then to HubSpot. Repeating it is harmless, for
whoever repeats it reads both sides again, and what is written already is equal then.
"""

from collections.abc import Mapping, Sequence

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords
from broker.domain.runs import RetryLater
from broker.errors import InputRefused
from broker.recipes.leads.fields import OWNER
from broker.recipes.leads.models import KEY, Side
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.org.refusals import (
    LeadChanged,
    LeadConverted,
    LeadGone,
    LeadTaken,
    OwnerRefused,
)
from broker.recipes.leads.org.salesforce import LEAD, Leads
from broker.recipes.leads.pairs.merging import Change
from broker.recipes.leads.pairs.work import Work

Typed = Mapping[str, tuple[str, str]]

CHANGED_S = 2.0
OWNER_NOTE = "Salesforce refused the owner ({why}). {instead}"


class PairWriter:
    """Writes both sides of a pair."""

    def __init__(self, crm: CrmRecords, leads: Leads) -> None:
        self._crm = crm
        self._leads = leads

    async def create_lead(
        self, work: Work, contact_id: str, contact_values: Mapping[str, str]
    ) -> tuple[str, bool, list[str], dict[str, str]]:
        """Create a contact's lead, by its external id: its id, whether it is new, notes, and what
        was written by field. Raises LeadTaken when a duplicate rule holds another one, and
        InputRefused.
        """
        values: dict[str, tuple[str, str]] = {}
        for field in work.fields:
            value = field.to_salesforce(contact_values.get(field.hubspot, ""))
            if value and field.salesforce in work.described.writable:
                values[field.salesforce] = (field.kind, value)
        key, save = work.external_id(contact_id), work.settings.onDuplicate == "save"
        notes: list[str] = []
        try:
            lead_id, created = await self._leads.upsert(
                work.partner, work.external, key, values, save_duplicates=save
            )
        except OwnerRefused as refused:
            values = _other_owner(work, values, str(refused), notes)
            lead_id, created = await self._leads.upsert(
                work.partner, work.external, key, values, save_duplicates=save
            )
        return lead_id, created, notes, {name: value for name, (_, value) in values.items()}

    async def to_salesforce(
        self, work: Work, contact_id: str, lead: Lead, changes: Sequence[Change]
    ) -> list[str]:
        """Write changes to the lead, and whose lead it is; notes. Raises InputRefused, and
        LeadConverted, LeadGone and LeadChanged for what has become of it meanwhile.
        """
        values = {
            each.field.salesforce: (each.field.kind, each.after)
            for each in changes
            if each.side is Side.SALESFORCE and each.field.salesforce in work.described.writable
        }
        if lead.sobject == LEAD and lead.external_id != work.external_id(contact_id):
            values[work.external] = ("string", work.external_id(contact_id))
        if not values:
            return []
        notes: list[str] = []
        save = work.settings.onDuplicate == "save"
        try:
            try:
                await self._leads.update(work.partner, lead, values, save_duplicates=save)
            except OwnerRefused as refused:
                other = _other_owner(work, values, str(refused), notes)
                await self._leads.update(work.partner, lead, other, save_duplicates=save)
        except (LeadTaken, OwnerRefused) as refused:
            raise _not_written(lead, refused) from refused
        return notes

    async def give(self, work: Work, lead: Lead, external_id: str) -> None:
        """Write into a lead whose it is from now on. Raises InputRefused, and RetryLater when the
        lead was changed meanwhile.
        """
        values = {work.external: ("string", external_id)}
        save = work.settings.onDuplicate == "save"
        try:
            await self._leads.update(work.partner, lead, values, save_duplicates=save)
        except (LeadConverted, LeadGone, LeadChanged) as meanwhile:
            raise RetryLater(CHANGED_S, "the lead was changed meanwhile") from meanwhile
        except (LeadTaken, OwnerRefused) as refused:
            raise _not_written(lead, refused) from refused

    async def to_hubspot(
        self,
        work: Work,
        contact_id: str,
        lead_id: str,
        key: str | None,
        changes: Sequence[Change],
    ) -> bool:
        """Write changes to the contact, and which lead is its own (`key` is what it says now);
        False when it is gone.
        """
        values: dict[str, str | None] = {
            each.field.hubspot: each.after for each in changes if each.side is Side.HUBSPOT
        }
        if key != work.lead_key(lead_id):
            values[KEY] = work.lead_key(lead_id)
        if not values:
            return True
        writer = self._crm.writer(work.user)
        lifecycle = work.settings.lifecycle
        if lifecycle is not None and lifecycle.back and values.get("lifecyclestage"):
            # HubSpot ignores an earlier stage unless the stage was emptied first.
            await writer.update(CONTACTS, contact_id, {"lifecyclestage": ""})
        return await writer.update(CONTACTS, contact_id, values)

    async def create_contact(self, work: Work, lead: Lead) -> str:
        """The contact of a lead that has none: one with its address, else a new one. Both the
        address and the key are unique, so a repetition finds the first one's.
        """
        values: dict[str, str | None] = {
            each.hubspot: value
            for each in work.fields
            if (value := each.to_hubspot(lead.values.get(each.salesforce, ""), ""))
        }
        writer, key = self._crm.writer(work.user), work.lead_key(lead.id)
        if values.get("email"):
            return (await writer.create(CONTACTS, {**values, KEY: key})).id
        return (await writer.upsert(CONTACTS, KEY, key, values)).id


def _not_written(lead: Lead, refused: Exception) -> InputRefused:
    return InputRefused(f"Salesforce refused what should be written to lead {lead.id}: {refused}")


def _other_owner(
    work: Work, values: Typed, why: str, notes: list[str]
) -> dict[str, tuple[str, str]]:
    """The values with the default owner, or without an owner where that one is refused."""
    rest = {name: each for name, each in values.items() if name != OWNER}
    default = work.settings.defaultOwner
    if default is not None and values[OWNER][1] != default:
        notes.append(OWNER_NOTE.format(why=why, instead="The default owner has the lead."))
        return {**rest, OWNER: (values[OWNER][0], default)}
    notes.append(OWNER_NOTE.format(why=why, instead="The owner was not written."))
    return rest

"""Which lead belongs to a contact, and which contact to a lead."""

from collections.abc import Mapping
from dataclasses import dataclass

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords
from broker.errors import InputRefused
from broker.recipes.leads.models import KEY
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.work import Work
from broker.stores.recipes.lead_pairs import LeadPairs


@dataclass(frozen=True, slots=True)
class FoundContact:
    """The contact of a lead, None where it has none yet; `skipped` says why it is to have none."""

    lead_id: str
    contact_id: str | None
    lead: Lead | None = None
    skipped: str | None = None


class Finder:
    """Finds the other side of a record; it writes nothing."""

    def __init__(self, crm: CrmRecords, leads: Leads, pairs: LeadPairs) -> None:
        self._crm = crm
        self._leads = leads
        self._pairs = pairs

    async def lead_of(
        self, work: Work, contact_id: str, lead_id: str | None, contact_values: Mapping[str, str]
    ) -> Lead | None:
        """The contact's lead: the one that is known, else the one with its external id, else the
        only one with its address that has none. Raises InputRefused for another contact's.
        """
        partner, fields, external = work.partner, work.fields, work.external
        if lead_id is not None:
            lead = await self._leads.read(partner, lead_id, fields, external)
        else:
            key = work.external_id(contact_id)
            lead = await self._leads.of_external_id(partner, key, fields, external)
            email = contact_values.get("email", "").strip()
            if lead is None and email and work.settings.onDuplicate == "adopt":
                found = await self._leads.of_email(partner, email, fields, external)
                if len(found) > 1:
                    raise InputRefused(
                        f"Several leads have the address of contact {contact_id}. Merge them in "
                        f"Salesforce, or write {key} into {external} of one, then retry."
                    )
                lead = found[0] if found else None
        if lead is None or lead.is_deleted:
            return None
        other = work.contact_of(lead.external_id) if lead.external_id else contact_id
        paired = (await self._pairs.of_leads(work.place, [lead.id])).get(lead.id)
        if paired is not None and not paired.is_unlinked:
            other = paired.contact_id
        if other != contact_id:
            raise InputRefused(
                f"Lead {lead.id} belongs to another contact ({lead.external_id or other}). Merge "
                "the contacts in HubSpot, or the leads in Salesforce, then retry."
            )
        return lead

    async def contact_of(self, work: Work, lead_id: str) -> FoundContact:
        """The contact of a lead: of the pair that is known, else the one that the lead names, else
        the one that names the lead, else the one with its address.
        """
        paired = (await self._pairs.of_leads(work.place, [lead_id])).get(lead_id)
        if paired is not None:
            return FoundContact(lead_id, paired.contact_id)
        lead = await self._leads.read(work.partner, lead_id, work.fields, work.external)
        if lead is None or lead.is_deleted:
            return FoundContact(lead_id, None, skipped="deleted-lead")
        if lead.id != lead_id:  # a call may name the first 15 characters
            return await self.contact_of(work, lead.id)
        if lead.external_id:
            named = work.contact_of(lead.external_id)
            return FoundContact(lead.id, named, lead, None if named else "other-account")
        reader, found = self._crm.reader(work.user), None
        for value, unique in ((work.lead_key(lead.id), KEY), (lead.values.get("Email"), "email")):
            if value and found is None:
                found = await reader.read(CONTACTS, value, ["hs_object_id"], unique)
        if found is not None and found.get("hs_object_id"):
            return FoundContact(lead.id, found["hs_object_id"], lead)
        settings, skipped = work.settings, None
        if lead.converted_to is not None:
            skipped = "converted"
        elif settings.direction == "to-salesforce" or not settings.createContacts:
            skipped = "no-contact"
        return FoundContact(lead.id, None, lead, skipped)

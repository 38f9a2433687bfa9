"""Bring one contact and one lead together.

What makes each effect one: a lead is upserted by the external id `{hub id}-{contact id}`, a contact
created by its address or by `{org id}-{lead id}`, all unique at the vendors. A pair's row is locked
while both sides are read, compared and written. Hashes of both sides' values are stored before a
write, with those of what is to be written, and after it. A run that ends in between leaves the
intention: the next one knows its own write, and brings over what is still to be. What is stored of
fields that were not written is what was compared, not what is there afterwards, so that an edit of
a person in between is a change for the next run.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords
from broker.domain.runs import RetryLater
from broker.errors import InputRefused
from broker.recipes.leads.fields import mapped_fields
from broker.recipes.leads.models import KEY, Side
from broker.recipes.leads.org.records import Lead
from broker.recipes.leads.org.refusals import (
    LeadChanged,
    LeadConverted,
    LeadGone,
    LeadTaken,
    OwnerRefused,
)
from broker.recipes.leads.org.salesforce import CONTACT, Leads
from broker.recipes.leads.pairs.finding import Finder
from broker.recipes.leads.pairs.overwriting import (
    checkpoint_with,
    earlier_changes,
    unconfirmed,
    with_replaced,
)
from broker.recipes.leads.pairs.planning import Contact, Planner, marks_of
from broker.recipes.leads.pairs.stopping import PairStopped, stopped
from broker.recipes.leads.pairs.work import (
    Work,
    ended,
    missing_notes,
    name_of,
    operation_of,
    values_of,
)
from broker.recipes.leads.pairs.writing import PairWriter
from broker.stores.recipes.lead_pairs import LeadPairs, LockedPair, Seen

BUSY_S = 2.0


class Pairing:
    """Brings pairs together, in one process."""

    def __init__(self, crm: CrmRecords, leads: Leads, pairs: LeadPairs) -> None:
        self._crm = crm
        self._leads = leads
        self._pairs = pairs
        self._writer = PairWriter(crm, leads)
        self._planner = Planner(crm)
        self._finder = Finder(crm, leads, pairs)

    async def of_contact(
        self, work: Work, contact_id: str, lead_id: str | None = None
    ) -> dict[str, Any]:
        """The outcome for a contact, and for the lead that is to be its own where it has none.
        Raises what calls to both sides do, RetryLater, PermanentFailure and InputRefused.
        """
        locked = await self._pairs.lock(work.place, contact_id)
        if locked is None:
            raise RetryLater(BUSY_S, "another run works on this contact")
        try:
            names = work.property_names
            contact = await self._crm.reader(work.user).read(CONTACTS, contact_id, names)
            real_id = contact_id if contact is None else contact.get("hs_object_id") or contact_id
            if real_id == contact_id:
                known = work.known_in(contact)
                outcome = await self._locked(known, locked, contact, lead_id)
                outcome["notes"] += missing_notes(work, known)
                return {**outcome, "name": name_of(contact)}
        except PairStopped as stop:
            pair = locked.pair
            await self._pairs.end(locked, lead_id=pair.lead_id, seen=pair.seen, stopped=True)
            raise stopped(work, contact_id, len(locked.written_at)) from stop
        finally:
            await self._pairs.unlock(locked)
        return await self._contact_merged(work, locked, real_id)

    async def of_lead(self, work: Work, lead_id: str) -> dict[str, Any]:
        """The outcome for a lead. Raises as `of_contact`."""
        found = await self._finder.contact_of(work, lead_id)
        if found.skipped is not None:
            return ended("none", None, found.lead_id, skipped=found.skipped)
        if found.contact_id is None:
            assert found.lead is not None  # noqa: S101  # it has been read
            contact_id = await self._writer.create_contact(work, found.lead)
            outcome = await self.of_contact(work, contact_id, found.lead_id)
            return {**outcome, "operation": "from-salesforce", "created": True}
        outcome = await self.of_contact(work, found.contact_id, found.lead_id)
        if outcome["leadId"] not in {None, found.lead_id}:
            note = f"Lead {found.lead_id} is left alone: its contact has lead {outcome['leadId']}."
            outcome["notes"].append(note)
        return outcome

    async def _locked(
        self, work: Work, locked: LockedPair, contact: Contact | None, lead_id: str | None
    ) -> dict[str, Any]:
        why = _idle(work, locked, contact)
        if why is not None:
            return ended("none", locked.pair.contact_id, locked.pair.lead_id, skipped=why)
        if contact is None:
            return await self._contact_gone(work, locked)
        return await self._living(work, locked, contact, lead_id)

    async def _living(
        self, work: Work, locked: LockedPair, contact: Contact, lead_id: str | None
    ) -> dict[str, Any]:
        pair, contact_values = locked.pair, values_of(work, contact)
        contact_id = pair.contact_id
        seen, wanted, notes = pair.seen, pair.lead_id or lead_id, list[str]()
        lead = await self._finder.lead_of(work, contact_id, wanted, contact_values)
        if lead is None and wanted is not None:
            merged = await self._leads.merged_into(work.partner, wanted)
            if merged is not None and work.settings.onMerged == "follow":
                seen = None
                lead = await self._finder.lead_of(work, contact_id, merged, contact_values)
                notes.append(f"Lead {wanted} was merged into {merged}.")
            elif work.settings.onDeleted == "unlink" and not pair.is_unlinked:
                await self._end(locked, wanted, None, unlinked=True)
                return ended("none", contact_id, wanted, skipped="deleted-lead")
        if lead is None:
            return await self._create(work, locked, contact, contact_values)
        if lead.converted_to is not None:
            return await self._converted(work, locked, contact, lead)
        return await self._synchronise(work, locked, contact, lead, lead.id, seen, notes)

    async def _create(
        self, work: Work, locked: LockedPair, contact: Contact, contact_values: Mapping[str, str]
    ) -> dict[str, Any]:
        contact_id = locked.pair.contact_id
        if work.settings.direction == "to-hubspot" or not work.settings.createLeads:
            return ended("none", contact_id, None, skipped="no-lead")
        self._may_write(work, locked)
        try:
            lead_id, created, notes, lead_values = await self._writer.create_lead(
                work, contact_id, contact_values
            )
        except OwnerRefused as refused:
            raise InputRefused(f"Salesforce refused the lead's owner: {refused}") from refused
        except LeadTaken as taken:
            if taken.lead_id is None or work.settings.onDuplicate == "stop":
                raise InputRefused(
                    f"Salesforce holds a lead for a duplicate: {taken.text} Merge or link the "
                    "records in Salesforce, or set onDuplicate, then retry."
                ) from taken
            lead = await self._finder.lead_of(work, contact_id, taken.lead_id, contact_values)
            if lead is None:
                raise RetryLater(BUSY_S, "the duplicate is gone") from taken
            found = ["Salesforce had this lead: it was taken over."]
            return await self._synchronise(work, locked, contact, lead, lead.id, None, found)
        lead = await self._leads.read(work.partner, lead_id, work.fields, work.external)
        if created and lead is not None:
            # Salesforce's own defaults are no change; what a person wrote meanwhile is one.
            own = {name: lead.values.get(name, "") for name in work.described.defaulted}
            lead_values = {**own, **lead_values}
        await self._writer.to_hubspot(work, contact_id, lead_id, contact.get(KEY), ())
        seen = marks_of(work, contact_id).all(work.fields, contact_values, lead_values)
        await self._end(locked, lead_id, seen, written=True)
        operation = "create" if created else "update"
        return ended(operation, contact_id, lead_id, notes=notes, created=created)

    async def _synchronise(
        self,
        work: Work,
        locked: LockedPair,
        contact: Contact,
        lead: Lead,
        lead_id: str,
        seen: Seen | None,
        notes: list[str],
    ) -> dict[str, Any]:
        contact_id = locked.pair.contact_id
        marks = marks_of(work, contact_id)
        merged = await self._planner.plan(work, contact, lead, seen, marks)
        notes = [*notes, *merged.notes]
        contact_values, lead_values = values_of(work, contact), dict(lead.values)
        earlier = earlier_changes(work, contact_values, lead_values)
        if merged.changes:
            self._may_write(work, locked)
            intended = marks.intended(work.fields, contact_values, lead_values, merged.changes)
            checkpoint = checkpoint_with(work, [*earlier, *merged.changes])
            if not await self._pairs.intend(locked, lead_id, intended, work.step, checkpoint):
                raise RetryLater(BUSY_S, "another run works on this contact")
        try:
            notes += await self._writer.to_salesforce(work, contact_id, lead, merged.changes)
        except (LeadConverted, LeadGone, LeadChanged) as meanwhile:
            kept = checkpoint_with(work, earlier)
            raise RetryLater(BUSY_S, "the lead was changed meanwhile", kept) from meanwhile
        await self._writer.to_hubspot(work, contact_id, lead_id, contact.get(KEY), merged.changes)
        for each in merged.changes:
            if each.side is Side.HUBSPOT:
                contact_values[each.field.hubspot] = each.after
            else:
                lead_values[each.field.salesforce] = each.after
        stored = marks.all(work.fields, contact_values, lead_values)
        await self._end(locked, lead_id, stored, written=bool(merged.changes))
        reader, changes = self._crm.reader(work.user), [*earlier, *merged.changes]
        changes = await with_replaced(reader, contact_id, changes)
        return ended(operation_of(changes), contact_id, lead_id, changes=changes, notes=notes)

    async def _converted(
        self, work: Work, locked: LockedPair, contact: Contact, lead: Lead
    ) -> dict[str, Any]:
        """Go on with the Salesforce contact that the lead has become, in the fields it has."""
        if work.settings.onConverted == "stop" or lead.converted_to is None:
            return ended("none", locked.pair.contact_id, lead.id, skipped="converted")
        described = await self._leads.describe(work.partner, CONTACT)
        fields = [
            each
            for each in mapped_fields(work.settings, described.types)
            if each.salesforce in work.described.types and each.salesforce != "Status"
        ]
        target = await self._leads.read_contact(work.partner, lead.converted_to, fields)
        if target is None:
            return ended("none", locked.pair.contact_id, lead.id, skipped="converted")
        followed = replace(work, described=described, fields=fields)
        notes = [f"Lead {lead.id} was converted to contact {target.id} of Salesforce."]
        return await self._synchronise(
            followed, locked, contact, target, lead.id, locked.pair.seen, notes
        )

    async def _contact_gone(self, work: Work, locked: LockedPair) -> dict[str, Any]:
        pair, settings = locked.pair, work.settings
        lead = None
        if pair.lead_id is not None and settings.onDeleted == "recreate":
            lead = await self._leads.read(work.partner, pair.lead_id, work.fields, work.external)
        allowed = settings.direction != "to-salesforce" and settings.createContacts
        if lead is None or lead.is_deleted or not allowed:
            await self._end(locked, pair.lead_id, None, unlinked=True)
            return ended("none", pair.contact_id, pair.lead_id, skipped="deleted-contact")
        created = await self._writer.create_contact(work, lead)
        await self._end(locked, None, None, unlinked=True)
        await self._writer.give(work, lead, work.external_id(created))
        outcome = await self.of_contact(work, created, lead.id)
        return {**outcome, "operation": "from-salesforce", "created": True}

    async def _contact_merged(self, work: Work, locked: LockedPair, real_id: str) -> dict[str, Any]:
        """HubSpot merged the contact into another, whose lead is the contact's, if any."""
        pair = locked.pair
        if work.settings.onMerged == "stop":
            return ended("none", pair.contact_id, pair.lead_id, skipped="merged-contact")
        other = await self._pairs.of_contact(work.place, real_id)
        if pair.lead_id is None or (other is not None and other.lead_id is not None):
            outcome = await self.of_contact(work, real_id)
            if pair.lead_id is not None and pair.lead_id != outcome["leadId"]:
                note = f"Its contact was merged: merge lead {pair.lead_id} in Salesforce."
                outcome["notes"].append(note)
            return outcome
        lead = await self._leads.read(work.partner, pair.lead_id, work.fields, work.external)
        await self._pairs.give_up(work.place, pair.contact_id)
        if lead is not None and not lead.is_deleted and lead.converted_to is None:
            await self._writer.give(work, lead, work.external_id(real_id))
        return await self.of_contact(work, real_id, pair.lead_id)

    def _may_write(self, work: Work, locked: LockedPair) -> None:
        if len(locked.written_at) < work.settings.maxWritesPerHour or work.resumed:
            return
        raise PairStopped

    async def _end(
        self,
        locked: LockedPair,
        lead_id: str | None,
        seen: Seen | None,
        *,
        written: bool = False,
        unlinked: bool = False,
    ) -> None:
        stored = await self._pairs.end(
            locked, lead_id=lead_id, seen=seen, written=written, unlinked=unlinked
        )
        if not stored:
            raise RetryLater(BUSY_S, "another run works on this contact")


def _idle(work: Work, locked: LockedPair, contact: Contact | None) -> str | None:
    """Why there is nothing to do about what was reported; None where there may be."""
    pair = locked.pair
    if work.reported is None:
        return None
    if pair.is_unlinked or locked.stopped_at is not None:
        return "unlinked" if pair.is_unlinked else "stopped"
    if contact is None or work.reported is Side.SALESFORCE or not pair.lead_id or pair.seen is None:
        return None
    marks, contact_values = marks_of(work, pair.contact_id), values_of(work, contact)
    changed = marks.changed_at_hubspot(work.fields, contact_values, pair.seen)
    return None if changed or unconfirmed(work) else "unchanged"

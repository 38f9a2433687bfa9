"""What a run works with, and the forms in which it ends."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broker.crm.partners import PartnerUser
from broker.crm.records import HubSpotUser
from broker.domain.runs import Run, StepContext
from broker.recipes.leads.fields import MappedField
from broker.recipes.leads.models import KEY, ChangedField, LeadsSettings, Side
from broker.recipes.leads.org.records import Described
from broker.recipes.leads.pairs.merging import Change
from broker.recipes.leads.requests import STEP
from broker.stores.recipes.lead_pairs import LeadPlace


@dataclass(frozen=True, slots=True)
class Work:
    """One run's users, accounts, settings and fields. `reported`: the side that reported a change;
    None when a person asked. `resumed`: a person lets a stopped pair go on. `attempt` is the
    attempt at the run's step; None where no run has one pair for its subject.
    """

    user: HubSpotUser
    partner: PartnerUser
    place: LeadPlace
    settings: LeadsSettings
    described: Described
    fields: Sequence[MappedField]
    reported: Side | None = None
    resumed: bool = False
    attempt: StepContext | None = None

    def known_in(self, contact: Mapping[str, str | None] | None) -> "Work":
        """Less the fields whose property HubSpot does not know any more: it leaves them out of a
        contact, and what they held is not empty but unknown.
        """
        if contact is None:
            return self
        return replace(self, fields=[each for each in self.fields if each.hubspot in contact])

    @property
    def property_names(self) -> list[str]:
        """What is read of a contact."""
        return sorted(
            {*(each.hubspot for each in self.fields), KEY, "hs_object_id", "lastmodifieddate"}
        )

    @property
    def step(self) -> tuple[Run, str] | None:
        """The run and the step that this is an attempt at."""
        return None if self.attempt is None else (self.attempt.run, STEP)

    @property
    def external(self) -> str:
        return self.settings.externalIdField

    def external_id(self, contact_id: str) -> str:
        """What the lead says of its contact: ids of contacts repeat in other accounts."""
        return f"{self.place.hub_id}-{contact_id}"

    def contact_of(self, external_id: str) -> str | None:
        """The contact that a lead's external id names; None for one of another account."""
        hub, _, contact_id = external_id.partition("-")
        return contact_id if hub == str(self.place.hub_id) and contact_id.isdecimal() else None

    def lead_key(self, lead_id: str) -> str:
        """What the contact says of its lead."""
        return f"{self.place.org_id}-{lead_id}"


def ended(
    operation: str,
    contact_id: str | None,
    lead_id: str | None,
    *,
    changes: Sequence[Change] = (),
    notes: Sequence[str] = (),
    skipped: str | None = None,
    created: bool = False,
) -> dict[str, Any]:
    """An outcome."""
    found: dict[str, Any] = {
        "contactId": contact_id,
        "leadId": lead_id,
        "operation": operation,
        "created": created,
        "changed": [shown(each) for each in changes],
        "notes": list(notes),
    }
    return found if skipped is None else {**found, "skipped": skipped}


def name_of(contact: Mapping[str, str | None] | None) -> str | None:
    """What people call a contact, of what is mapped: its e-mail address, else its name."""
    known = contact or {}
    names = (known.get("firstname"), known.get("lastname"))
    return known.get("email") or " ".join(filter(None, names)) or None


def missing_notes(work: Work, known: Work) -> list[str]:
    """What a person should know of fields that were left out."""
    return [
        f"HubSpot has no property {each.hubspot} any more: {each.salesforce} was left alone."
        for each in work.fields
        if each not in known.fields
    ]


def shown(change: Change) -> dict[str, Any]:
    """A change as the recipe's answer shows it."""
    return ChangedField(
        hubspot=change.field.hubspot,
        salesforce=change.field.salesforce,
        side=change.side,
        before=change.before,
        after=change.after,
        overwritten=change.overwritten,
    ).model_dump(mode="json")


def operation_of(changes: Sequence[Change]) -> str:
    """What an outcome calls these changes."""
    if not changes:
        return "none"
    sides = {each.side for each in changes}
    return "update" if Side.SALESFORCE in sides else "from-salesforce"


def values_of(work: Work, contact: Mapping[str, str | None]) -> dict[str, str]:
    """A contact's mapped values."""
    return {each.hubspot: contact.get(each.hubspot) or "" for each in work.fields}

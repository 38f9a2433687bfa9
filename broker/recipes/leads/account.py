"""Which of the settings do not fit the two accounts: fields, values of picklists, owners."""

import time
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords, HubSpotUser
from broker.errors import InputRefused
from broker.recipes.base import Finding
from broker.recipes.leads.models import KEY, LeadsSettings
from broker.recipes.leads.org.records import Described

CONNECTOR = "salesforceleadid"
"""The property that HubSpot's own Salesforce connector brings."""

INSTALLED = (
    "HubSpot's own Salesforce connector is installed in this account: two programs would write "
    "the same records."
)
DISCONNECT = (
    "Disconnect it in HubSpot (Settings, Integrations), or map fields that it does not write and "
    "set besideConnector."
)

KNOWN_FOR_S, MAX_KNOWN = 3600.0, 10_000

SHOWN = 12
"""How many possible values a remedy names."""


class Connectors:
    """Which accounts have HubSpot's own connector, as of the last hour."""

    def __init__(self, crm: CrmRecords) -> None:
        self._crm = crm
        self._known: dict[tuple[UUID, str, int | None], tuple[float, bool]] = {}

    async def refuse(self, user: HubSpotUser) -> None:
        """Raise InputRefused for an account that has it, and what a read raises."""
        key = user.workspace_id, user.app_slug, user.hub_id
        at, installed = self._known.get(key, (-KNOWN_FOR_S, False))
        # What stops a person is asked again at once, so that a retry finds it gone.
        if installed or time.monotonic() >= at + KNOWN_FOR_S:
            installed = CONNECTOR in await self._crm.reader(user).definitions(CONTACTS)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = time.monotonic(), installed
        if installed:
            raise InputRefused(f"{INSTALLED} {DISCONNECT}")


def hubspot_findings(
    settings: LeadsSettings, definitions: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Settings that do not fit the contacts' properties."""
    if CONNECTOR in definitions and not settings.besideConnector:
        yield Finding(
            about="connector",
            message=INSTALLED,
            remedy=DISCONNECT,
        )
    for each in settings.fields:
        definition = definitions.get(each.hubspot)
        remedy = "Name a contact property that can be written, or take the field out."
        if definition is None:
            message = f"Contacts have no property {each.hubspot}."
        elif _is_read_only(definition) and settings.direction != "to-salesforce":
            message = f"The property {each.hubspot} can only be read."
        else:
            continue
        yield Finding(about=f"fields.{each.hubspot}", message=message, remedy=remedy)
    if KEY in definitions and not definitions[KEY].get("hasUniqueValue"):
        yield Finding(
            about=KEY,
            message=f"Contacts may share a value of {KEY}, so that repeats would not be noticed.",
            remedy="Delete the property in HubSpot and run the recipe's setup for this user.",
        )
    if settings.lifecycle is not None and "lifecyclestage" in definitions:
        options = definitions["lifecyclestage"].get("options") or ()
        known = [str(each["value"]) for each in options]
        for stage in settings.lifecycle.stages:
            if known and stage.hubspot not in known:
                yield Finding(
                    about="lifecycle",
                    message=f"HubSpot has no lifecycle stage {stage.hubspot}.",
                    remedy=f"Use internal names: {', '.join(known[:SHOWN])}.",
                )


def salesforce_findings(settings: LeadsSettings, described: Described) -> Iterator[Finding]:
    """Settings that do not fit the leads' fields, as the connected user sees them."""
    if settings.externalIdField not in described.types:
        yield Finding(
            about="externalIdField",
            message=f"The connected user does not see Lead.{settings.externalIdField}.",
            remedy="Make it in Salesforce (Setup, Object Manager, Lead, Fields: text, 64 "
            "characters, external id, unique, case sensitive) and give the user access to it: a "
            "new field is hidden from everyone.",
        )
    yield from _field_findings(settings, described)
    if settings.lifecycle is not None:
        active: Sequence[str] = described.picklists.get("Status", ())
        for stage in settings.lifecycle.stages:
            if active and stage.salesforce not in active:
                yield Finding(
                    about="lifecycle",
                    message=f"Lead.Status has no active value {stage.salesforce}.",
                    remedy=f"Use API names of active values: {', '.join(active[:SHOWN])}.",
                )


def _field_findings(settings: LeadsSettings, described: Described) -> Iterator[Finding]:
    by_lower = {name.lower(): name for name in described.types}
    mapped = [each.salesforce for each in settings.fields]
    for name in mapped:
        found = by_lower.get(name.lower())
        if found is None:
            message = f"Lead has no field {name}, or field-level security hides it: it is skipped."
        elif found not in described.writable and settings.direction != "to-hubspot":
            message = f"Lead.{found} cannot be written by the connected user: it is skipped."
        else:
            continue
        remedy = "Give the user access to it in Salesforce, or take the field out."
        yield Finding(about=f"fields.{name}", message=message, remedy=remedy)
    if settings.direction != "to-hubspot" and settings.createLeads:
        lower = {each.lower() for each in mapped}
        for name in ("LastName", "Company"):
            if name in described.required and name.lower() not in lower:
                yield Finding(
                    about=f"fields.{name}",
                    message=f"Salesforce requires Lead.{name}, and no property is mapped to it.",
                    remedy="Map one, or set createLeads to false.",
                )


def salesforce_owner_findings(
    settings: LeadsSettings, active: Mapping[str, bool]
) -> Iterator[Finding]:
    """Owners that the org does not have. `active`: whether each user or queue that was found is
    active, by 15 characters of its id.
    """
    for owner in salesforce_owners(settings):
        if not active.get(owner[:15], False):
            why = "is inactive" if owner[:15] in active else "is no user or queue of the org"
            yield Finding(
                about="owners",
                message=f"Salesforce's owner {owner} {why}.",
                remedy="Name an active user (005...) or a queue (00G...).",
            )


def hubspot_owner_findings(settings: LeadsSettings, ids: Container[str]) -> Iterator[Finding]:
    """Owners that the HubSpot account does not have."""
    for owner in sorted(settings.owners):
        if owner not in ids:
            yield Finding(
                about="owners",
                message=f"HubSpot has no owner {owner}, or it is archived.",
                remedy="Use the ids (not the user ids) of GET /crm/v3/owners.",
            )


def salesforce_owners(settings: LeadsSettings) -> list[str]:
    """The users and queues that the settings name."""
    return sorted({*settings.owners.values(), *filter(None, [settings.defaultOwner])})


def _is_read_only(definition: Mapping[str, Any]) -> bool:
    return bool((definition.get("modificationMetadata") or {}).get("readOnlyValue"))

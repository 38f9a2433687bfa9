"""Hold the mapping against both accounts: when a person asks, and once a day by itself.

What the daily check finds is an event and stands in the recipe's health; it stops nothing. It is
kept in the poll's cursor, so that each change for the better or the worse is published once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.crm.object_types import CONTACTS
from broker.crm.partners import PartnerUser
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.events import NewEvent
from broker.domain.runs import RetryLater, SettingsCheck, SettingsProblem
from broker.errors import BrokerError, ScopesMissing
from broker.recipes.base import Finding
from broker.recipes.leads.account import (
    hubspot_findings,
    hubspot_owner_findings,
    salesforce_findings,
    salesforce_owner_findings,
    salesforce_owners,
)
from broker.recipes.leads.models import NAME, LeadsSettings
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.settings import RecipeSetup
from broker.recipes.starts.polling import DuePoll
from broker.stores.recipes.polls import PollRecord

EVERY = timedelta(hours=24)
MOST_KEPT = 50
"""How often the mapping is checked, and how many findings of a user are kept."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a daily check leaves: its state for the next one, and what is to be published."""

    state: Mapping[str, Any]
    events: Sequence[NewEvent] = ()


class MappingChecks:
    """Checks of fields, stages and owners on both sides."""

    def __init__(self, setup: RecipeSetup[LeadsSettings], crm: CrmRecords, leads: Leads) -> None:
        self._setup = setup
        self._crm = crm
        self._leads = leads

    async def of_salesforce(self, partner: PartnerUser, settings: LeadsSettings) -> list[Finding]:
        """What the org lacks. Raises as `Leads.describe`."""
        described = await self._leads.describe(partner, fresh=True)
        found = [*salesforce_findings(settings, described)]
        active = await self._leads.owners(partner, salesforce_owners(settings))
        return [*found, *salesforce_owner_findings(settings, active)]

    async def of_hubspot(self, user: HubSpotUser, settings: LeadsSettings) -> list[Finding]:
        """What the HubSpot account lacks. Raises what a read raises."""
        reader = self._crm.reader(user)
        found = [*hubspot_findings(settings, await reader.definitions(CONTACTS))]
        if not settings.owners:
            return found
        try:
            return [*found, *hubspot_owner_findings(settings, await reader.owners())]
        except ScopesMissing:
            unread = Finding(
                about="scopes",
                message="HubSpot does not show its owners to the app: they are not checked.",
                remedy="Add the scope crm.objects.owners.read to the app at HubSpot and here; have "
                "the user connect again.",
            )
            return [*found, unread]

    async def go_on(self, due: DuePoll, state: Mapping[str, Any] | None) -> Checked:
        """Check the mapping where it is time to. What cannot be read now leaves the last result
        until the next day: the poll itself tells of it.
        """
        now = due.started_at
        if state is None:  # a person has just checked, or could have
            return Checked({"at": now.isoformat(), "next": now.isoformat(), "findings": []})
        if now - datetime.fromisoformat(state["next"]) < EVERY:
            return Checked(state)
        settings = (await self._setup.of_app(due.user.workspace_id, due.app_id)).model
        try:
            found = await self.of_salesforce(due.partner, settings)
            found += await self.of_hubspot(due.user, settings)
        except (BrokerError, RetryLater):
            return Checked({**state, "next": now.isoformat()})
        findings = [each.model_dump() for each in found[:MOST_KEPT]]
        stamps = {"at": now.isoformat(), "next": now.isoformat()}
        events = [] if findings == state["findings"] else [_event(due, findings)]
        return Checked({**stamps, "findings": findings}, events)


def check_of(polls: Sequence[PollRecord]) -> SettingsCheck | None:
    """The last checks for all users together."""
    checks = [(each.user_ref, each.cursor["check"]) for each in polls if "check" in each.cursor]
    if not checks:
        return None
    return SettingsCheck(
        max(datetime.fromisoformat(check["at"]) for _, check in checks),
        [
            SettingsProblem(user, each["about"], each["message"], each["remedy"])
            for user, check in checks
            for each in check["findings"]
        ],
    )


def _event(due: DuePoll, findings: Sequence[Mapping[str, str]]) -> NewEvent:
    kind = "recipe.check.failed" if findings else "recipe.check.passed"
    data = {"recipe": NAME, "findings": findings}
    user = due.user
    return NewEvent(kind, user.app_slug, user.user_ref, user.hub_id, data)

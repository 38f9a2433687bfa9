"""The leads recipe: a HubSpot contact and a Salesforce lead are kept equal in the mapped fields."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from broker.crm.object_types import CONTACTS, deleted_record
from broker.crm.records import SYNC_GROUP, HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.model import App, Caller
from broker.domain.runs import (
    Consistency,
    RetryLater,
    RunRequest,
    SettingsCheck,
    Step,
    StepContext,
)
from broker.errors import BrokerError, InputRefused
from broker.recipes.base import (
    DefaultRecipe,
    Finding,
    PropertyDefinitions,
    RecipeDeps,
    StartingRecord,
)
from broker.recipes.leads.account import Connectors
from broker.recipes.leads.backfill import Backfill
from broker.recipes.leads.changes import LeadChanges
from broker.recipes.leads.checks import MappingChecks, check_of
from broker.recipes.leads.comparison import Comparison, consistency_of
from broker.recipes.leads.models import CONTACT, KEY, LeadsRequest, LeadsSettings, Side
from broker.recipes.leads.org.refusals import FieldsChanged
from broker.recipes.leads.org.salesforce import Leads
from broker.recipes.leads.pairs.merging import Change
from broker.recipes.leads.pairs.pairing import Pairing
from broker.recipes.leads.pairs.planning import Planner, marks_of
from broker.recipes.leads.pairs.work import Work, operation_of, shown, values_of
from broker.recipes.leads.requests import contact_request, lead_request, since_request, version_of
from broker.recipes.leads.steps import LeadSteps, build_result
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.lead_pairs import LeadPairs, clear_contact
from broker.stores.recipes.polls import PollStore

T = TypeVar("T")

MOST_COMPARED = 1000
"""Of how many users' orgs the recipe's health shows the comparison."""


class LeadsRecipe(DefaultRecipe[LeadsSettings]):
    """The recipe in one process."""

    def __init__(self, deps: RecipeDeps, setup: RecipeSetup[LeadsSettings]) -> None:
        self.setup = setup
        self._crm = deps.crm
        self._accounts = deps.accounts
        self._leads = Leads(deps.partners)
        self._pairs = LeadPairs(deps.database)
        self._planner = Planner(deps.crm)
        pairing = Pairing(deps.crm, self._leads, self._pairs)
        backfill = Backfill(deps.crm, self._leads, self._pairs, pairing)
        self._steps = LeadSteps(
            setup, deps.partners, self._leads, pairing, backfill, Connectors(deps.crm)
        )
        self._checks = MappingChecks(setup, deps.crm, self._leads)
        comparison = Comparison(deps.crm, self._leads, self._pairs, deps.hubspot_url)
        self._changes = LeadChanges(self._steps, self._leads, self._pairs, comparison, self._checks)
        self._polls = PollStore(deps.database)

    def steps(self) -> Sequence[Step]:
        return self._steps.steps()

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        return build_result(context)

    async def run_request(self, app: App, caller: Caller, body: LeadsRequest) -> RunRequest:
        """One run for each version of a pair: a start after either side has changed is another."""
        body.check()
        return await self._described_again(self._run_request, app, caller, body)

    async def _run_request(self, app: App, caller: Caller, body: LeadsRequest) -> RunRequest:
        work = await self._work(app, caller, body)
        if body.since is not None:
            side = body.side or Side.SALESFORCE
            body.check_side(work.settings)
            return since_request(app.id, work.user, work.partner, body.since, side)
        contact_id, contact, lead_id, lead = await self._records(work, body)
        version = version_of(contact, None if lead is None else dict(lead.values), lead_id)
        if contact_id is not None:
            return contact_request(app.id, work.user, work.partner, contact_id, version)
        assert lead_id is not None  # noqa: S101  # `check` has seen to it
        return lead_request(app.id, work.user, work.partner, lead_id, version)

    async def dry_run(self, app: App, caller: Caller, body: LeadsRequest) -> Mapping[str, Any]:
        body.check()
        return await self._described_again(self._dry_run, app, caller, body)

    async def _dry_run(self, app: App, caller: Caller, body: LeadsRequest) -> Mapping[str, Any]:
        work = await self._work(app, caller, body)
        contact_id, contact, lead_id, lead = await self._records(work, body)
        found: dict[str, Any] = {"contactId": contact_id, "leadId": lead_id}
        if contact is None and lead is None:
            raise InputRefused("Neither HubSpot nor Salesforce has this record.")
        if contact is not None and contact_id is not None and lead is not None:
            pair = await self._pairs.of_contact(work.place, contact_id)
            work, marks = work.known_in(contact), marks_of(work, contact_id)
            seen = None if pair is None else pair.seen
            merged = await self._planner.plan(work, contact, lead, seen, marks)
            return {
                **found,
                "operation": operation_of(merged.changes),
                "wouldWrite": [shown(each) for each in merged.changes],
                "notes": list(merged.notes),
            }
        contact_values = {} if contact is None else values_of(work, contact)
        lead_values = {} if lead is None else lead.values
        operation = "create" if lead is None else "from-salesforce"
        writes = []
        for each in work.fields:
            value = (
                each.to_salesforce(contact_values.get(each.hubspot, ""))
                if lead is None
                else each.to_hubspot(lead_values.get(each.salesforce, ""), "")
            )
            if value:
                side = Side.SALESFORCE if lead is None else Side.HUBSPOT
                writes.append(shown(Change(each, side, "", value, overwritten=False)))
        return {**found, "operation": operation, "wouldWrite": writes}

    async def record_request(
        self, record: StartingRecord, settings: StoredSettings[LeadsSettings]
    ) -> RunRequest:
        # A change that is reported while the user has to connect again is not lost: its run fails.
        partner = await self._steps.partner(record.user, settings.model, usable=False)
        return contact_request(
            record.app_id,
            record.user,
            partner,
            record.record_id,
            f"event:{record.occasion}",
            **({"reported": Side.HUBSPOT} if record.occasion else {}),
        )

    def properties(self, _settings: LeadsSettings) -> Sequence[PropertyDefinitions]:
        definition = {
            "name": KEY,
            "label": "Salesforce lead key",
            "type": "string",
            "fieldType": "text",
            "groupName": SYNC_GROUP,
            "hasUniqueValue": True,
        }
        return (PropertyDefinitions(CONTACTS, {KEY: definition}),)

    async def findings(
        self, _app: App, user: HubSpotUser, settings: StoredSettings[LeadsSettings]
    ) -> list[Finding]:
        """Settings that do not fit one of the two accounts."""
        model, found = settings.model, list[Finding]()
        try:
            partner = await self._steps.partner(user, model)
            found += await self._checks.of_salesforce(partner, model)
        except RetryLater as later:
            found.append(_finding("Salesforce", later.reason, "Check again later."))
        except BrokerError as refusal:
            remedy = f"Have the user connect an org with the app {model.salesforceApp}."
            found.append(_finding("Salesforce", refusal.detail or refusal.title(), remedy))
        try:
            found += await self._checks.of_hubspot(user, model)
        except (BrokerError, RetryLater):  # told by the general part of the check
            return found
        return found

    async def offered(
        self, user: HubSpotUser | None, settings: LeadsSettings | None
    ) -> tuple[dict[str, dict[str, str]], str | None]:
        """The fields of both sides that may be mapped, with their labels or types, and why there
        are none.
        """
        found = {each.value: dict[str, str]() for each in Side}
        if user is None:
            return found, None
        try:
            definitions = await self._crm.reader(user).definitions(CONTACTS)
            found[Side.HUBSPOT] = {
                name: str(each.get("label")) for name, each in sorted(definitions.items())
            }
            if settings is not None:
                described = await self._leads.describe(await self._steps.partner(user, settings))
                found[Side.SALESFORCE] = {
                    name: described.types[name] for name in sorted(described.writable)
                }
        except RetryLater as later:
            return found, later.reason
        except BrokerError as refusal:
            return found, refusal.detail or refusal.title()
        return found, None

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        _users: Mapping[str, Sequence[str]],
    ) -> None:
        """Delete what is known of the values of a contact that was deleted."""
        for event in events:
            deleted = None if event.hub_id is None else deleted_record(event)
            if deleted is not None and deleted[0] == CONTACT and event.hub_id is not None:
                batch = locked.batch
                await clear_contact(
                    locked.session, batch.workspace_id, batch.app_id, event.hub_id, deleted[1]
                )

    async def consistency(self, app: App) -> Consistency | None:
        """The last comparison of pairs at random, of so many users."""
        polls = await self._polls.of_app(app.workspace_id, app.id, self.setup.name, MOST_COMPARED)
        return consistency_of(polls)

    async def settings_check(self, app: App) -> SettingsCheck | None:
        """The last check of the mapping that the recipe made by itself, for so many users."""
        polls = await self._polls.of_app(app.workspace_id, app.id, self.setup.name, MOST_COMPARED)
        return check_of(polls)

    async def poll(self, due: DuePoll) -> PollResult:
        return await self._changes.look(due)

    def clear_cache(self) -> None:
        self._leads.clear_cache()

    async def _described_again(
        self,
        found: Callable[[App, Caller, LeadsRequest], Awaitable[T]],
        app: App,
        caller: Caller,
        body: LeadsRequest,
    ) -> T:
        """What `found` finds, with a fresh description of the fields where they have changed."""
        try:
            return await found(app, caller, body)
        except FieldsChanged:
            self._leads.clear_cache()
            return await found(app, caller, body)

    async def _work(self, app: App, caller: Caller, body: LeadsRequest) -> Work:
        settings = (await self.setup.get(app)).model
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        return await self._steps.work(app.id, user, await self._steps.partner(user, settings))

    async def _records(self, work: Work, body: LeadsRequest) -> tuple[Any, Any, Any, Any]:
        """Contact id, contact, lead id and lead, as far as they are known to belong together."""
        contact_id, lead_id, lead = body.contactId, body.leadId, None
        if lead_id is not None:
            lead = await self._leads.read(work.partner, lead_id, work.fields, work.external)
            lead_id = lead_id if lead is None else lead.id
            pair = (await self._pairs.of_leads(work.place, [lead_id])).get(lead_id)
            if pair is not None:
                contact_id = pair.contact_id
            elif lead is not None and lead.external_id:
                contact_id = work.contact_of(lead.external_id)
        contact = None
        if contact_id is not None:
            reader = self._crm.reader(work.user)
            contact = await reader.read(CONTACTS, contact_id, work.property_names)
            if lead_id is None:
                pair = await self._pairs.of_contact(work.place, contact_id)
                if pair is not None and pair.lead_id is not None:
                    lead_id = pair.lead_id
                    lead = await self._leads.read(work.partner, lead_id, work.fields, work.external)
        return contact_id, contact, lead_id, lead


def _finding(about: str, message: str, remedy: str) -> Finding:
    return Finding(about=about, message=message, remedy=remedy)

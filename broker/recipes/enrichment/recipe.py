"""The enrichment recipe: what a vendor knows of a contact's e-mail address fills what is empty."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from broker.crm.object_types import CONTACTS, deleted_record
from broker.crm.records import SYNC_GROUP, HubSpotUser, RecordReader
from broker.domain.events import ProviderEvent
from broker.domain.model import App, Caller
from broker.domain.runs import RetryLater, RunRequest, Step, StepContext
from broker.errors import BrokerError, InputRefused
from broker.providers.enrichment.catalog import VENDORS
from broker.providers.enrichment.client import EnrichmentClient
from broker.recipes.base import (
    DefaultRecipe,
    Finding,
    PropertyDefinitions,
    RecipeDeps,
    StartingRecord,
)
from broker.recipes.enrichment.emails import normalised, why_not
from broker.recipes.enrichment.lookups import Lookups, outcome_of
from broker.recipes.enrichment.models import (
    AT,
    BY,
    CONFIDENCE,
    CONTACT,
    NAME,
    EnrichmentRequest,
    EnrichmentSettings,
)
from broker.recipes.enrichment.steps import EnrichmentSteps, build_result, mismatch, planned
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.enrichment_answers import AddressKey, EnrichmentAnswers, delete_contact

PURGE_S = 600.0


class EnrichmentRecipe(DefaultRecipe[EnrichmentSettings]):
    """The recipe in one process."""

    def __init__(self, deps: RecipeDeps, setup: RecipeSetup[EnrichmentSettings]) -> None:
        self.setup = setup
        self._crm = deps.crm
        self._accounts = deps.accounts
        self._answers = EnrichmentAnswers(deps.database)
        self._client = EnrichmentClient(deps.vendor_urls)
        lookups = Lookups(self._client, self._answers, deps.vendors)
        self._steps = EnrichmentSteps(setup, deps.crm, lookups, self._answers)

    async def properties_of(self, user: HubSpotUser) -> Mapping[str, Mapping[str, Any]]:
        """The definitions of the account's contact properties, by name. Raises as a read does."""
        return await self._crm.reader(user).definitions(CONTACTS)

    def steps(self) -> Sequence[Step]:
        return self._steps.steps()

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        return build_result(context)

    async def run_request(self, app: App, caller: Caller, body: EnrichmentRequest) -> RunRequest:
        """One run for a contact as it is now, under the settings as they are, in one day: a start
        after anything of this has changed is another, and costs nothing while the answer is stored.
        """
        body.check()
        settings = await self.setup.get(app)
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        contact_id, contact = await self._contact(user, settings.model, body)
        state = [
            sorted(
                (name, value or "") for name, value in contact.items() if name != "hs_object_id"
            ),
            settings.updated_at.isoformat(),
            f"{datetime.now(UTC):%Y-%m-%d}",
        ]
        version = hashlib.sha256(json.dumps(state).encode()).hexdigest()[:24]
        return _request(app, user, contact_id, version)

    async def record_request(
        self, record: StartingRecord, _settings: StoredSettings[EnrichmentSettings]
    ) -> RunRequest:
        """The run of a contact that HubSpot names, one for each event or callback."""
        user = record.user
        return RunRequest(
            user.workspace_id,
            record.app_id,
            NAME,
            f"{user.hub_id}-{record.record_id}@{record.occasion}",
            user.user_ref,
            user.hub_id,
            {"contactId": record.record_id},
        )

    async def dry_run(self, app: App, caller: Caller, body: EnrichmentRequest) -> Mapping[str, Any]:
        """What a run would write, where the answer is stored; a dry run spends no lookup."""
        body.check()
        settings = await self.setup.get(app)
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        contact_id, contact = await self._contact(user, settings.model, body)
        model, email = settings.model, normalised(contact.get("email"))
        fields = {"contactId": contact_id, "vendor": model.vendor}
        reason = why_not(email, skip_free_mail=model.skipFreeMail)
        if email is None or reason is not None:
            return {**fields, "outcome": "refused", "reason": reason}
        key = AddressKey.of(app.workspace_id, model.vendor, email)
        answer = (await self._answers.find(key, model.minConfidence)).answer
        if answer is None:
            title = VENDORS[model.vendor].title
            return {**fields, "wouldLookUp": {"vendor": title, "email": email}}
        fields |= outcome_of(answer.outcome, looked_up=False)
        if answer.outcome != "found":
            return fields
        reason = mismatch(email, contact, answer, model)
        if reason is not None:
            return {**fields, "outcome": "refused", "reason": reason}
        reader = self._crm.reader(user)
        definitions = await reader.definitions(CONTACTS)
        sources = await self._steps.sources(reader, contact_id, model)
        made = planned(contact, answer, model, definitions, sources)
        changes = {
            name: {"from": made.overwritten.get(name), "to": value}
            for name, value in made.changes.items()
        }
        return {
            **fields,
            "confidence": answer.confidence,
            "wouldWrite": changes,
            "skipped": made.skipped,
        }

    def properties(self, _settings: EnrichmentSettings) -> Sequence[PropertyDefinitions]:
        return (PropertyDefinitions(CONTACTS, _MARKERS),)

    async def findings(
        self, _app: App, user: HubSpotUser, settings: StoredSettings[EnrichmentSettings]
    ) -> list[Finding]:
        """Mapped properties that cannot be written. The vendor is not asked: each lookup may be
        billed.
        """
        try:
            definitions = await self._crm.reader(user).definitions(CONTACTS)
        except (BrokerError, RetryLater):  # told by the general part of the check
            return []
        found = []
        for name in settings.model.fields:
            definition = definitions.get(name)
            if definition is None:
                message = f"Contacts have no property {name}: it is skipped."
                found.append(_finding(message, "Create it, or take it out of the settings."))
            elif (definition.get("modificationMetadata") or {}).get("readOnlyValue"):
                message = f"The property {name} can only be read: it is skipped."
                found.append(_finding(message, "Take it out of the settings."))
        return found

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        _users: Mapping[str, Sequence[str]],
    ) -> None:
        """Delete what is stored about a contact that was deleted."""
        for event in events:
            deleted = None if event.hub_id is None else deleted_record(event)
            if deleted is not None and deleted[0] == CONTACT and event.hub_id is not None:
                batch = locked.batch
                await delete_contact(
                    locked.session, batch.workspace_id, batch.app_id, event.hub_id, deleted[1]
                )

    def periodic_tasks(self) -> Sequence[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        return (("old answers", PURGE_S, self._answers.purge),)

    async def close(self) -> None:
        await self._client.close()

    async def _contact(
        self, user: HubSpotUser, settings: EnrichmentSettings, body: EnrichmentRequest
    ) -> tuple[str, Mapping[str, str | None]]:
        """The contact's id and its mapped values. Raises InputRefused when there is none."""
        reader: RecordReader = self._crm.reader(user)
        contact_id = body.contactId
        if contact_id is None:
            found = await reader.read(CONTACTS, str(body.email), ["hs_object_id"], "email")
            contact_id = None if found is None else found.get("hs_object_id")
        contact = None
        if contact_id is not None:
            contact = await self._steps.read_mapped(reader, contact_id, settings)
        if contact_id is None or contact is None:
            name = "email" if body.contactId is None else "contactId"
            raise InputRefused(
                "HubSpot has no such contact.", errors=[{"field": name, "message": "is unknown"}]
            )
        return contact_id, contact


def _request(app: App, user: HubSpotUser, contact_id: str, version: str) -> RunRequest:
    return RunRequest(
        app.workspace_id,
        app.id,
        NAME,
        f"{user.hub_id}-{contact_id}@{version}",
        user.user_ref,
        user.hub_id,
        {"contactId": contact_id},
    )


def _finding(message: str, remedy: str) -> Finding:
    return Finding(about="properties", message=message, remedy=remedy)


def _marker(name: str, label: str, kind: str, field_type: str) -> dict[str, str]:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "fieldType": field_type,
        "groupName": SYNC_GROUP,
    }


_MARKERS = {
    AT: _marker(AT, "Enriched at", "datetime", "date"),
    BY: _marker(BY, "Enriched by", "string", "text"),
    CONFIDENCE: _marker(CONFIDENCE, "Enrichment confidence", "number", "number"),
}

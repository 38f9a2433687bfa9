"""The steps of a run: read the contact, look its address up, write what is missing.

What makes each effect one: a lookup is single by its address (`lookups`), and a write is decided
over the contact as it is at that moment, so that a repeat finds nothing left to write.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from broker.crm.object_types import CONTACTS
from broker.crm.records import CrmRecords, RecordReader, RecordWriter, user_of
from broker.domain.runs import Run, Step, StepContext
from broker.errors import InputRefused
from broker.providers.enrichment.catalog import VENDORS
from broker.recipes.enrichment.emails import normalised, why_not
from broker.recipes.enrichment.lookups import Lookups
from broker.recipes.enrichment.models import AT, BY, CONFIDENCE, EnrichmentSettings
from broker.recipes.enrichment.writing import Definitions, Plan, is_same_person, plan
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.stores.recipes.enrichment_answers import AddressKey, EnrichmentAnswers, StoredAnswer

NAMES = ("email", "firstname", "lastname")
GONE = {"outcome": "refused", "reason": "contact-gone"}


class EnrichmentSteps:
    """The steps, in one process."""

    def __init__(
        self,
        setup: RecipeSetup[EnrichmentSettings],
        crm: CrmRecords,
        lookups: Lookups,
        answers: EnrichmentAnswers,
    ) -> None:
        self._setup = setup
        self._crm = crm
        self._lookups = lookups
        self._answers = answers

    def steps(self) -> Sequence[Step]:
        return (
            Step("read-contact", self.read_contact),
            Step("look-up", self.look_up, has_side_effect=True),
            Step("write-contact", self.write_contact, has_side_effect=True),
        )

    async def read_contact(self, context: StepContext) -> Mapping[str, Any]:
        """The contact's address, or why it is not looked up."""
        run, settings = context.run, await self._settings(context.run)
        contact = await self._writer(run).read(CONTACTS, run.input["contactId"], NAMES)
        email = None if contact is None else normalised(contact.get("email"))
        await self._answers.record_contact(run, run.input["contactId"], email)
        if contact is None:
            return GONE
        reason = why_not(email, skip_free_mail=settings.model.skipFreeMail)
        return {
            "email": email,
            **({} if reason is None else {"outcome": "refused", "reason": reason}),
        }

    async def look_up(self, context: StepContext) -> Mapping[str, Any]:
        """The vendor's answer, stored beside the run."""
        read = context.outcomes["read-contact"]
        if "outcome" in read:
            return {name: read[name] for name in ("outcome", "reason")}
        run, settings = context.run, await self._settings(context.run)
        looked = await self._lookups.look_up(
            run.workspace_id, settings, read["email"], context.checkpoint
        )
        return {"vendor": settings.model.vendor, **looked}

    async def write_contact(self, context: StepContext) -> Mapping[str, Any]:
        """Write what the settings allow, over the contact as it is now."""
        looked = context.outcomes["look-up"]
        if looked["outcome"] != "found":
            return looked
        run, settings = context.run, await self._settings(context.run)
        email, writer = context.outcomes["read-contact"]["email"], self._writer(run)
        key = AddressKey.of(run.workspace_id, looked["vendor"], email)
        answer = (await self._answers.find(key, 0)).answer
        contact_id, definitions = run.input["contactId"], await writer.definitions(CONTACTS)
        contact = await self.read_mapped(writer, contact_id, settings.model)
        if answer is None or contact is None:
            return {**looked, **GONE}
        fields = {**looked, "confidence": answer.confidence}
        reason = mismatch(email, contact, answer, settings.model)
        if reason is not None:
            return {**fields, "outcome": "refused", "reason": reason}
        sources = await self.sources(writer, contact_id, settings.model)
        made = planned(contact, answer, settings.model, definitions, sources)
        marks = markers(looked["vendor"], answer)
        there = {name: each for name, each in marks.items() if name in definitions}
        if not await self._write(writer, contact_id, made, there):
            return {**fields, **GONE}
        written = {*made.changes, *(made.same if context.outcome_unknown else ())}
        return {
            **fields,
            "written": sorted(written),
            "overwritten": made.overwritten,
            "skipped": made.skipped,
        }

    async def read_mapped(
        self, reader: RecordReader, contact_id: str, settings: EnrichmentSettings
    ) -> Mapping[str, str | None] | None:
        """The contact with every property that may be written; None when it is gone."""
        return await reader.read(CONTACTS, contact_id, [*NAMES, *settings.fields])

    async def sources(
        self, reader: RecordReader, contact_id: str, settings: EnrichmentSettings
    ) -> Mapping[str, str]:
        """What wrote each property that may be overwritten."""
        names = [name for name, rule in settings.fields.items() if rule.policy == "overwrite"]
        return await reader.sources(CONTACTS, contact_id, names) if names else {}

    async def _write(
        self,
        writer: RecordWriter,
        contact_id: str,
        made: Plan,
        marks: Mapping[str, str],
    ) -> bool:
        """Write a plan; properties that HubSpot rejects (an admin's rule) leave it. False when the
        contact is gone.
        """
        while made.changes:
            try:
                return await writer.update(CONTACTS, contact_id, {**made.changes, **marks})
            except InputRefused as refusal:
                named = {each["field"] for each in refusal.context.get("errors", ())}
                rejected = named & set(made.changes)
                if not rejected or rejected == set(made.changes) != named:
                    raise
                for name in rejected:
                    del made.changes[name]
                    made.overwritten.pop(name, None)
                    made.skip(name, "rejected-by-hubspot")
        return True

    def _writer(self, run: Run) -> RecordWriter:
        user = user_of(run)
        assert user is not None  # noqa: S101  # every run of the recipe acts for a user
        return self._crm.writer(user)

    async def _settings(self, run: Run) -> StoredSettings[EnrichmentSettings]:
        return await self._setup.of_app(run.workspace_id, run.app_id)


def mismatch(
    email: str,
    contact: Mapping[str, str | None],
    answer: StoredAnswer,
    settings: EnrichmentSettings,
) -> str | None:
    """Why an answer is not this contact's; None when it is."""
    if normalised(contact.get("email")) != email:
        return "email-changed"
    if answer.confidence is not None and answer.confidence < settings.minConfidence:
        return "low-confidence"
    return None if is_same_person(email, contact, answer.fields) else "another-person"


def planned(
    contact: Mapping[str, str | None],
    answer: StoredAnswer,
    settings: EnrichmentSettings,
    definitions: Definitions,
    sources: Mapping[str, str],
) -> Plan:
    """What is to be written of an answer."""
    return plan(settings.fields, answer.fields, contact, definitions, sources)


def markers(vendor: str, answer: StoredAnswer) -> dict[str, str]:
    """When, by whom and how surely a contact was enriched."""
    marks = {AT: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", BY: VENDORS[vendor].title}
    if answer.confidence is not None:
        marks[CONFIDENCE] = f"{answer.confidence:g}"
    return marks


def build_result(context: StepContext) -> dict[str, Any]:
    """A run's result."""
    return {
        "ok": True,
        "contactId": context.run.input["contactId"],
        **context.outcomes["write-contact"],
    }

"""Greets a contact: reads its first name, writes a greeting onto it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from broker.crm.object_types import CONTACTS, type_id
from broker.crm.records import HubSpotUser, user_of
from broker.domain.model import App, Caller
from broker.domain.runs import ObjectTrigger, RunRequest, Step, StepContext
from broker.errors import InputRefused
from broker.recipes.base import (
    DefaultRecipe,
    PropertyDefinitions,
    RecipeDeps,
    RecipeSpec,
    StartingRecord,
    StartRequest,
    StartResponse,
    TriggerRule,
    WorkflowAction,
)
from broker.recipes.secret_fields import NeededSecret
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.web.core.requests import RequestModel, Text, UserRef

GREETING = {
    "name": "greeting",
    "label": "Greeting",
    "type": "string",
    "fieldType": "text",
    "groupName": "contactinformation",
}


class GreetingSettings(RequestModel):
    """The settings; `apiKey` is sealed and never shown."""

    word: Text = "Hello"
    apiKey: NeededSecret = None
    trigger: TriggerRule | None = None


class GreetingRequest(StartRequest):
    """A contact of a connected user."""

    userForeignIdentifier: UserRef
    contactId: Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]


class GreetingResponse(StartResponse):
    """What was written, or would be."""

    greeting: str | None = None


class Greeting(DefaultRecipe[GreetingSettings]):
    """The recipe in one process."""

    def __init__(self, deps: RecipeDeps, setup: RecipeSetup[GreetingSettings]) -> None:
        self.setup = setup
        self._crm = deps.crm
        self._accounts = deps.accounts

    def steps(self) -> Sequence[Step]:
        return (
            Step("read-contact", self.read_contact),
            Step("write-greeting", self.write_greeting, has_side_effect=True),
        )

    async def read_contact(self, context: StepContext) -> dict[str, Any]:
        settings = await self.setup.of_app(context.run.workspace_id, context.run.app_id)
        user, contact = user_of(context.run), context.run.input["contactId"]
        assert user is not None
        return {"greeting": await self._greeting(user, contact, settings.model)}

    async def write_greeting(self, context: StepContext) -> dict[str, Any]:
        user, contact = user_of(context.run), context.run.input["contactId"]
        assert user is not None
        changes = {"greeting": context.outcomes["read-contact"]["greeting"]}
        await self._crm.writer(user).update(CONTACTS, contact, changes)
        return {}

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        return {"ok": True, "created": True, **context.outcomes["read-contact"]}

    async def run_request(self, app: App, caller: Caller, body: GreetingRequest) -> RunRequest:
        settings = await self.setup.get(app)
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        return await self.record_request(
            StartingRecord(app.id, user, CONTACTS, body.contactId), settings
        )

    async def record_request(
        self, record: StartingRecord, _settings: StoredSettings[GreetingSettings]
    ) -> RunRequest:
        user, contact = record.user, record.record_id
        return RunRequest(
            user.workspace_id,
            record.app_id,
            self.setup.name,
            f"{user.hub_id}-{contact}",
            user.user_ref,
            user.hub_id,
            {"contactId": contact},
        )

    async def dry_run(self, app: App, caller: Caller, body: GreetingRequest) -> dict[str, Any]:
        settings = (await self.setup.get(app)).model
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        return {"greeting": await self._greeting(user, body.contactId, settings)}

    def properties(self, _settings: GreetingSettings) -> Sequence[PropertyDefinitions]:
        return (PropertyDefinitions(CONTACTS, {"greeting": GREETING}),)

    async def _greeting(self, user: HubSpotUser, contact: str, settings: GreetingSettings) -> str:
        found = await self._crm.reader(user).read(CONTACTS, contact, ["firstname"])
        if found is None or not found.get("firstname"):
            raise InputRefused(
                f"The contact {contact} has no first name.",
                errors=[{"field": "firstname", "message": "is empty"}],
            )
        return f"{settings.word}, {found['firstname']}!"


def triggers(settings: GreetingSettings) -> Sequence[ObjectTrigger]:
    rule, contacts = settings.trigger, type_id(CONTACTS)
    assert contacts is not None
    return () if rule is None else (ObjectTrigger(contacts, rule.property, rule.value),)


GREETINGS = RecipeSpec(
    name="greeting",
    version=1,
    title="Greeting",
    settings=GreetingSettings,
    start=GreetingRequest,
    response=GreetingResponse,
    build=Greeting,
    triggers=triggers,
    action=WorkflowAction(CONTACTS, "contactId", ("greeting",), lambda _: False),
)

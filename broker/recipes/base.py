"""What a recipe is: a `RecipeSpec`, data and functions that `catalog.RECIPES` names.

A spec is made once, of types and functions. Each process calls its `build` once with `RecipeDeps`,
which gives a `BuiltRecipe`: the steps, and what settings, starts and HubSpot's calls mean. Routes,
storage, sealing, triggers, workflow actions, runs and the console's navigation are made from it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

from pydantic import BaseModel

from broker.crm.accounts import HubSpotAccounts
from broker.crm.partners import PartnerCalls
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.invalidation import Invalidation
from broker.domain.model import App, Caller
from broker.domain.runs import (
    Consistency,
    ObjectTrigger,
    RunRecord,
    RunRequest,
    SettingsCheck,
    Step,
    StepContext,
)
from broker.recipes.addresses import ConsolePanel, Route, VendorWebhook
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.services.runs.tasks import TaskKind
from broker.stores.core.database import Database
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.vendors import VendorClients
from broker.telemetry.metrics import Metrics
from broker.web.core.requests import RequestModel, Text

S = TypeVar("S", bound=RequestModel)
B = TypeVar("B", bound="StartRequest")
B_contra = TypeVar("B_contra", bound="StartRequest", contravariant=True)


class StartRequest(RequestModel):
    """The fields that every start has."""

    dryRun: bool = False


class StartResponse(BaseModel):
    """What came of a start; `ok` is null while the run goes on."""

    ok: bool | None
    runId: UUID | None = None
    state: str | None = None
    created: bool | None = None
    dryRun: Literal[True] | None = None


class TriggerRule(RequestModel):
    """A record whose property becomes this value starts the recipe."""

    property: Text
    value: Text


class Finding(BaseModel):
    """Something that would make a run fail, and what to do about it."""

    about: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class StartingRecord:
    """The HubSpot record for which HubSpot starts a run, and the user for whom it acts."""

    app_id: UUID
    user: HubSpotUser
    object_type: str
    record_id: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Inputs of a workflow action, by their names; nothing else may override a record."""
    occasion: str = ""
    """What tells this start from another of the same record: the event's or the callback's id."""


@dataclass(frozen=True, slots=True)
class PropertyDefinitions:
    """Properties of one object type that a recipe needs, as HubSpot defines them."""

    object_type: str
    by_name: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class WorkflowAction(Generic[S]):
    """A workflow action, and the button of a card, that start the recipe for a record.

    `inputs` names the action's input fields that may override the record; `outputs` the fields of a
    run's result that the action returns; `record_field` is where a card's body names the record,
    as `objectId` does. `allows_cards` says whether settings let cards and "Send a webhook" start
    runs.
    """

    object_type: str
    record_field: str
    outputs: tuple[str, ...]
    allows_cards: Callable[[S], bool]
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecipeDeps:
    """What a process gives to a recipe. `hubspot_url` is where people see HubSpot; `vendor_urls`
    are the settings that say where a vendor is reached, by the vendor's name.
    """

    public_url: str
    hubspot_url: str
    vendor_urls: Mapping[str, str]
    database: Database
    records: RunRecords
    crm: CrmRecords
    accounts: HubSpotAccounts
    partners: PartnerCalls
    vendors: VendorClients
    metrics: Metrics


class BuiltRecipe(Protocol[S, B_contra]):
    """A recipe in one process."""

    setup: RecipeSetup[S]

    def steps(self) -> Sequence[Step]:
        """The steps, in order. A name is stored: it is never reused for another step."""

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        """The result of a run whose steps are all done."""

    async def run_request(self, app: App, caller: Caller, body: B_contra) -> RunRequest:
        """The run that a start asks for. Raises for whatever can be refused before it begins."""

    async def dry_run(self, app: App, caller: Caller, body: B_contra) -> Mapping[str, Any]:
        """What a start would do, as fields of the recipe's response; nothing is changed anywhere.
        Raises as a real run would for what it can see.
        """

    async def record_request(
        self, record: StartingRecord, settings: StoredSettings[S]
    ) -> RunRequest:
        """The run for a record that HubSpot names: a trigger or a workflow action. Raises as
        `run_request`.
        """

    def properties(self, settings: S) -> Sequence[PropertyDefinitions]:
        """The HubSpot properties that setup creates and check looks for."""

    async def findings(
        self, app: App, user: HubSpotUser, settings: StoredSettings[S]
    ) -> list[Finding]:
        """What else would make a run fail, apart from connection, scopes and properties."""

    async def consistency(self, app: App) -> Consistency | None:
        """The last comparison of the records on both sides, for the recipe's health."""

    async def settings_check(self, app: App) -> SettingsCheck | None:
        """What the recipe's own last check of its settings found, for the recipe's health."""

    async def current(self, workspace_id: UUID, run: RunRecord) -> RunRecord:
        """A run with what became known since it ended."""

    async def shown(self, app: App, settings: StoredSettings[S]) -> Mapping[str, Any]:
        """The settings as the API shows them, without secrets."""

    def task_kinds(self) -> Sequence[TaskKind]:
        """What the recipe does for runs that have ended: due until it is done."""

    def periodic_tasks(self) -> Sequence[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        """Other background work: a name, an interval in seconds or WHEN_DUE, and a function that
        says how much it did.
        """

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        users: Mapping[str, Sequence[str]],
    ) -> None:
        """See fresh events of a provider's webhooks (`locked.batch.provider`), with the users
        connected to each account, in the transaction that publishes them. An error leaves the whole
        delivery for another attempt.
        """

    async def poll(self, due: DuePoll) -> PollResult:
        """Look for what has changed since the cursor; it changes nothing. It is asked for each user
        who is connected on both sides, by one process at a time, where the spec names a
        `polled_app`. An error leaves the cursor for a later attempt.
        """

    def clear_cache(self) -> None:
        """Discard cached settings."""

    def invalidate(self, change: Invalidation) -> None:
        """Discard the cached settings that a change has made stale."""

    async def close(self) -> None:
        """Close the clients that the recipe opened."""


class DefaultRecipe(Generic[S]):
    """The parts of `BuiltRecipe` that a recipe may leave out."""

    setup: RecipeSetup[S]

    def properties(self, _settings: S) -> Sequence[PropertyDefinitions]:
        return ()

    async def findings(
        self, _app: App, _user: HubSpotUser, _settings: StoredSettings[S]
    ) -> list[Finding]:
        return []

    async def consistency(self, _app: App) -> Consistency | None:
        return None

    async def settings_check(self, _app: App) -> SettingsCheck | None:
        return None

    async def current(self, _workspace_id: UUID, run: RunRecord) -> RunRecord:
        return run

    async def shown(self, _app: App, settings: StoredSettings[S]) -> Mapping[str, Any]:
        return settings.model.model_dump()

    def task_kinds(self) -> Sequence[TaskKind]:
        return ()

    def periodic_tasks(self) -> Sequence[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        return ()

    async def watch(
        self,
        _locked: LockedBatch,
        _events: Sequence[ProviderEvent],
        _users: Mapping[str, Sequence[str]],
    ) -> None:
        """Provider events start nothing."""

    async def poll(self, due: DuePoll) -> PollResult:
        """Nothing is polled, for the spec names no app to poll."""
        return PollResult(due.cursor or {}, 3600)

    def clear_cache(self) -> None:
        """Nothing is cached."""

    def invalidate(self, _change: Invalidation) -> None:
        """Nothing is cached."""

    async def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, slots=True, eq=False)
class RecipeSpec(Generic[S, B]):
    """One recipe. `name` stands in addresses and in stored rows, so it never changes; `version`
    grows with each change of the steps, and a process leaves runs of a higher one to a newer one.

    `settings` is the body of `PUT /api/apps/{slug}/recipes/{name}`: fields of the types
    `NeededSecret` and `OptionalSecret` are sealed and never shown. `start` is the body of
    `POST /api/recipes/{name}/{slug}` and `response` its answer. `triggers` says which changes of
    records start it by themselves, `polled_app` names the app (its slug) whose users' accounts are
    polled, `handlers` makes one object for each type in `routes`.
    """

    name: str
    version: int
    title: str
    settings: type[S]
    start: type[B]
    response: type[StartResponse]
    build: Callable[[RecipeDeps, RecipeSetup[S]], BuiltRecipe[S, B]]
    check_settings: Callable[[S], None] = lambda _: None
    triggers: Callable[[S], Sequence[ObjectTrigger]] = lambda _: ()
    polled_app: Callable[[S], str | None] = lambda _: None
    rotating_secrets: tuple[str, ...] = ()
    action: WorkflowAction[S] | None = None
    inbound: tuple[VendorWebhook, ...] = ()
    routes: tuple[Route, ...] = ()
    handlers: Callable[[Any, Any], Sequence[object]] = lambda *_: ()
    panel: ConsolePanel | None = None


AnySpec = RecipeSpec[Any, Any]
AnyRecipe = BuiltRecipe[Any, Any]

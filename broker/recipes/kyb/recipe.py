"""The KYB recipe: a Company, or any CRM's record, becomes one case at First Mile Labs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from broker.crm.records import HubSpotUser
from broker.domain.invalidation import Invalidation
from broker.domain.model import App, Caller
from broker.domain.runs import (
    RetryLater,
    RunRecord,
    RunRequest,
    Step,
    StepContext,
)
from broker.domain.vendors import MintedToken, VendorAccount
from broker.domain.work import WHEN_DUE
from broker.errors import BrokerError
from broker.providers.fml.client import FirstMileLabs
from broker.providers.fml.protocol import WRITE_SCOPE
from broker.recipes.base import (
    DefaultRecipe,
    Finding,
    PropertyDefinitions,
    RecipeDeps,
    StartingRecord,
)
from broker.recipes.kyb.case_events import CaseEvents
from broker.recipes.kyb.identity import serves_another_account
from broker.recipes.kyb.kickoffs import Kickoffs
from broker.recipes.kyb.models import (
    KickoffRequest,
    KybSettings,
)
from broker.recipes.kyb.properties import property_definitions
from broker.recipes.kyb.steps import VENDOR, KybSteps, build_result, vendor_account
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.services.runs.tasks import TaskKind
from broker.services.vendors.api import VendorApi
from broker.stores.recipes.kyb_cases import Cases


class KybRecipe(DefaultRecipe[KybSettings]):
    """KYB in one process."""

    def __init__(self, deps: RecipeDeps, setup: RecipeSetup[KybSettings]) -> None:
        self.setup = setup
        self.cases = Cases(deps.database)
        self._client = FirstMileLabs(deps.vendor_urls[VENDOR])
        self._api = VendorApi(self._fetch_token, deps.vendors)
        self._steps = KybSteps(setup, self._client, self._api, deps.vendors, self.cases, deps.crm)
        self._kickoffs = Kickoffs(
            setup,
            deps.accounts,
            deps.crm,
            deps.vendors,
            self.cases,
            deps.records,
            self._client.url,
        )
        self.events = CaseEvents(setup, self.cases, deps.crm, deps.metrics)
        self.public_url = deps.public_url

    def steps(self) -> Sequence[Step]:
        return self._steps.steps()

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        return build_result(context)

    async def run_request(self, app: App, caller: Caller, body: KickoffRequest) -> RunRequest:
        return await self._kickoffs.run_request(app, caller, body)

    async def record_request(
        self, record: StartingRecord, settings: StoredSettings[KybSettings]
    ) -> RunRequest:
        return await self._kickoffs.record_request(record, settings)

    async def dry_run(self, app: App, caller: Caller, body: KickoffRequest) -> Mapping[str, Any]:
        return await self._kickoffs.dry_run(app, caller, body)

    def properties(self, settings: KybSettings) -> Sequence[PropertyDefinitions]:
        return (property_definitions(settings),)

    async def findings(
        self, app: App, user: HubSpotUser, settings: StoredSettings[KybSettings]
    ) -> list[Finding]:
        """Whether First Mile Labs takes the client, and whether it serves this account."""
        found: list[Finding] = []
        account = vendor_account(app.workspace_id, settings)
        try:
            minted = await self._api.fresh_token(account)
        except RetryLater as later:
            found.append(_finding(later.reason, "Check again later."))
        except BrokerError as refusal:
            found.append(_finding(refusal.detail or refusal.title(), "See the message."))
        else:
            if minted.scopes and WRITE_SCOPE not in minted.scopes:
                message = f"The client at First Mile Labs lacks the scope {WRITE_SCOPE}."
                found.append(_finding(message, "Make a client that has it and put it here."))
        served = await self._kickoffs.served_account(app.workspace_id, settings)
        by_company = settings.model.recordIds == "company"
        if by_company and served is not None and user.hub_id not in {None, served}:
            message = serves_another_account(served).detail or ""
            found.append(Finding(about="account", message=message, remedy="See the message."))
        if "webhookSecret" not in settings.secrets:
            message = "There is no webhook secret: every event of First Mile Labs is refused."
            remedy = "Add the webhook URL there and put the secret that it shows."
            found.append(_finding(message, remedy))
        return found

    async def current(self, workspace_id: UUID, run: RunRecord) -> RunRecord:
        """A finished run's result with the status that First Mile Labs reported last."""
        if run.result is None:
            return run
        state = await self.cases.of_run(workspace_id, run.id)
        if state is None or state.status is None:
            return run
        return replace(run, result={**run.result, "status": state.status})

    async def shown(self, app: App, settings: StoredSettings[KybSettings]) -> Mapping[str, Any]:
        served = await self._kickoffs.served_account(app.workspace_id, settings)
        return {**settings.model.model_dump(), "hubId": served}

    def task_kinds(self) -> Sequence[TaskKind]:
        return (self.events.task_kind(),)

    def periodic_tasks(self) -> Sequence[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        return (
            ("case events", WHEN_DUE, self.events.apply_due),
            ("old event bodies", 600, self.cases.purge_bodies),
        )

    def clear_cache(self) -> None:
        self.events.clear_cache()

    def invalidate(self, change: Invalidation) -> None:
        self.events.invalidate(change)

    async def close(self) -> None:
        await self._client.close()

    async def _fetch_token(self, account: VendorAccount) -> MintedToken:
        return await self._client.mint(account.client_id, account.client_secret)


def _finding(message: str, remedy: str) -> Finding:
    return Finding(about="First Mile Labs", message=message, remedy=remedy)

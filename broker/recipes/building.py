"""The recipes of one process: each spec built, with runs, triggers and workflow actions for all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from broker.crm.accounts import HubSpotAccounts
from broker.crm.partners import PartnerCalls
from broker.crm.records import CrmRecords
from broker.domain.invalidation import Invalidation
from broker.domain.runs import Recipe
from broker.domain.work import WHEN_DUE
from broker.recipes.base import AnyRecipe, AnySpec, RecipeDeps
from broker.recipes.checks import Checks
from broker.recipes.monitoring import HealthWatch
from broker.recipes.settings import RecipeSetup
from broker.recipes.starts.polls import Polls
from broker.recipes.starts.starting import Starter
from broker.recipes.starts.triggers import Triggers
from broker.recipes.starts.workflow_callbacks import WorkflowCallbacks
from broker.sealing import Sealer
from broker.services.proxy.forwarding import Proxy
from broker.services.runs.engine import Runs
from broker.services.runs.tasks import TaskWorker
from broker.stores.core.database import Database
from broker.stores.recipes.polls import PollStore
from broker.stores.recipes.recipe_health import RecipeHealth
from broker.stores.recipes.recipe_settings import RecipeSettings
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.runs import RunStore
from broker.stores.recipes.tasks import TaskStore
from broker.stores.recipes.vendors import VendorClients
from broker.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Recipes:
    """The recipes of one process, by name, and what they share."""

    specs: Sequence[AnySpec]
    built: Mapping[str, AnyRecipe]
    records: RunRecords
    runs: Runs
    crm: CrmRecords
    accounts: HubSpotAccounts
    partners: PartnerCalls
    starter: Starter
    checks: Checks
    triggers: Triggers
    callbacks: WorkflowCallbacks
    tasks: TaskWorker
    health: RecipeHealth
    watch: HealthWatch
    polls: Polls

    def periodic_tasks(self) -> list[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        """Background work: a name, an interval in seconds or WHEN_DUE, and a function that says how
        much it did.
        """
        return [
            ("runs", WHEN_DUE, self.runs.work_due),
            ("tasks of runs", WHEN_DUE, self.tasks.work_due),
            ("polls", WHEN_DUE, self.polls.work_due),
            ("old runs", 600, self.records.purge),
            ("recipe health", WHEN_DUE, self.watch.judge_due),
            ("unhealthy recipes", 30, self.watch.measure),
            *(task for recipe in self.built.values() for task in recipe.periodic_tasks()),
        ]

    def clear_cache(self) -> None:
        """Discard cached settings."""
        for recipe in self.built.values():
            recipe.clear_cache()

    def invalidate(self, change: Invalidation) -> None:
        """Discard the cached settings that a change has made stale."""
        for recipe in self.built.values():
            recipe.invalidate(change)

    async def close(self) -> None:
        """Close the clients that recipes opened."""
        await asyncio.gather(*(recipe.close() for recipe in self.built.values()))


def build_recipes(
    specs: Sequence[AnySpec],
    database: Database,
    sealer: Sealer,
    proxy: Proxy,
    accounts: HubSpotAccounts,
    partners: PartnerCalls,
    metrics: Metrics,
    public_url: str,
    hubspot_url: str,
    vendor_urls: Mapping[str, str],
) -> Recipes:
    """Each of the specs, built on what the rest of the broker provides."""
    store, records, crm = RecipeSettings(database, sealer), RunRecords(database), CrmRecords(proxy)
    by_name = {each.name: each for each in specs}
    metrics.expect_runs(by_name)
    deps = RecipeDeps(
        public_url=public_url,
        hubspot_url=hubspot_url,
        vendor_urls=vendor_urls,
        database=database,
        records=records,
        crm=crm,
        accounts=accounts,
        partners=partners,
        vendors=VendorClients(database, sealer),
        metrics=metrics,
    )
    built = {each.name: each.build(deps, _setup(each, store)) for each in specs}
    steps = {
        name: Recipe(name, by_name[name].version, recipe.steps(), recipe.build_result)
        for name, recipe in built.items()
    }
    runs = Runs(RunStore(database), records, list(steps.values()), metrics)
    tasks, health = TaskStore(database), RecipeHealth(database)
    callbacks = WorkflowCallbacks(tasks, records, crm, by_name)
    kinds = [
        callbacks.task_kind(),
        *(kind for each in built.values() for kind in each.task_kinds()),
    ]
    return Recipes(
        specs=specs,
        built=built,
        records=records,
        runs=runs,
        crm=crm,
        accounts=accounts,
        partners=partners,
        starter=Starter(runs, built),
        checks=Checks(accounts, crm),
        triggers=Triggers(store, built, steps),
        callbacks=callbacks,
        tasks=TaskWorker(tasks, kinds),
        health=health,
        watch=HealthWatch(health, metrics),
        polls=Polls(PollStore(database), partners, built, steps),
    )


def _setup(spec: AnySpec, store: RecipeSettings) -> RecipeSetup[Any]:
    return RecipeSetup(
        store,
        spec.name,
        spec.settings,
        check=spec.check_settings,
        triggers=spec.triggers,
        polled_app=spec.polled_app,
        rotating=spec.rotating_secrets,
    )

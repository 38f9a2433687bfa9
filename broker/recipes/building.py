"""Everything that recipes are made of; the next recipe is another module, and a line here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from broker.crm.companies import CompanyAccess
from broker.providers.fml.client import FirstMileLabs
from broker.recipes.kyb.case_events import CaseEvents
from broker.recipes.kyb.kickoffs import Kickoffs
from broker.recipes.kyb.settings import KybSetup
from broker.recipes.kyb.steps import Kyb
from broker.recipes.triggers import Triggers
from broker.recipes.workflow_callbacks import WorkflowCallbacks
from broker.sealing import Sealer
from broker.services.installs.oauth_flow import Installs
from broker.services.proxy.forwarding import Proxy
from broker.services.runs.engine import Runs
from broker.services.vendors.fml_api import FmlApi
from broker.stores.connections.connections import Connections
from broker.stores.core.database import Database
from broker.stores.recipes.kyb_cases import Cases
from broker.stores.recipes.recipe_settings import RecipeSettings
from broker.stores.recipes.run_records import RunRecords
from broker.stores.recipes.runs import RunStore
from broker.stores.recipes.vendors import VendorClients
from broker.stores.recipes.workflow_callbacks import CallbackStore
from broker.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Recipes:
    """The recipes of one process."""

    records: RunRecords
    runs: Runs
    cases: Cases
    companies: CompanyAccess
    setup: KybSetup
    kickoffs: Kickoffs
    events: CaseEvents
    triggers: Triggers
    callbacks: WorkflowCallbacks

    def periodic_tasks(self) -> list[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        """What must happen by itself: a name, every how many seconds, and the work."""
        return [
            ("runs", 0.25, self.runs.work_due),
            ("actions", 1, lambda: self.callbacks.complete_due(20)),
            ("case events", 0.25, lambda: self.events.apply_due(50)),
            ("company updates", 0.5, lambda: self.events.write_due(20)),
            ("old runs", 600, self.records.purge),
            ("old event bodies", 600, self.cases.purge_bodies),
        ]


def build_recipes(
    database: Database,
    sealer: Sealer,
    fml: FirstMileLabs,
    proxy: Proxy,
    connections: Connections,
    installs: Installs,
    metrics: Metrics,
) -> Recipes:
    """The recipes on what the rest of the broker gives them."""
    settings, records, cases = (
        RecipeSettings(database, sealer),
        RunRecords(database),
        Cases(database),
    )
    companies, setup = CompanyAccess(proxy), KybSetup(settings)
    kyb = Kyb(setup, FmlApi(fml, VendorClients(database, sealer)), cases, companies).recipe()
    runs = Runs(RunStore(database), records, [kyb], metrics)
    return Recipes(
        records=records,
        runs=runs,
        cases=cases,
        companies=companies,
        setup=setup,
        kickoffs=Kickoffs(setup, runs, records, cases, connections, companies, installs, fml.url),
        events=CaseEvents(settings, setup, cases, companies, metrics),
        triggers=Triggers(kyb),
        callbacks=WorkflowCallbacks(CallbackStore(database), records, companies),
    )

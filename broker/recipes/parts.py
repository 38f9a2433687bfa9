"""Everything that recipes are made of; the next recipe is another module, and a line here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from broker.fml.client import FirstMileLabs
from broker.recipes.actions import WaitingActions
from broker.recipes.case_events import CaseEvents
from broker.recipes.kickoffs import Kickoffs
from broker.recipes.kyb import Kyb
from broker.recipes.kyb_settings import KybSetup
from broker.recipes.triggers import Triggers
from broker.sealing import Sealer
from broker.services.companies import CompanyAccess
from broker.services.installs import Installs
from broker.services.labs import Labs
from broker.services.proxy import Proxy
from broker.services.runs import Runs
from broker.stores.actions import Actions
from broker.stores.cases import Cases
from broker.stores.connections import Connections
from broker.stores.database import Database
from broker.stores.recipes import RecipeSettings
from broker.stores.run_records import RunRecords
from broker.stores.runs import RunStore
from broker.stores.vendors import Vendors
from broker.telemetry import Metrics


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
    actions: WaitingActions

    def chores(self) -> list[tuple[str, float, Callable[[], Awaitable[Any]]]]:
        """What must happen by itself: a name, every how many seconds, and the work."""
        return [
            ("runs", 0.25, self.runs.work_due),
            ("actions", 1, lambda: self.actions.complete_due(20)),
            ("case events", 0.25, lambda: self.events.apply_due(50)),
            ("company updates", 0.5, lambda: self.events.write_due(20)),
            ("old runs", 600, self.records.forget_old),
            ("old event bodies", 600, self.cases.forget_bodies),
        ]


def put_together(
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
    kyb = Kyb(setup, Labs(fml, Vendors(database, sealer)), cases, companies).recipe()
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
        actions=WaitingActions(Actions(database), records, companies),
    )

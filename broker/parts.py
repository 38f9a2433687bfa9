"""What one process is made of: every part by its name."""

from dataclasses import dataclass

from broker.hubspot.client import HubSpot
from broker.recipes.parts import Recipes
from broker.services.callers import Callers
from broker.services.calls import CallLog
from broker.services.confirmations import Confirmations
from broker.services.connecting import Connecting
from broker.services.deliveries import Deliverer
from broker.services.grants import Grants
from broker.services.installs import Installs
from broker.services.intake import Intake
from broker.services.journal import JournalReader
from broker.services.proxy import Proxy
from broker.services.quota import Quota
from broker.services.revocations import Revoker
from broker.services.splitting import Splitter
from broker.services.upkeep import Upkeep
from broker.settings import Settings
from broker.stores.apps import Apps
from broker.stores.batches import Batches
from broker.stores.calls import Calls
from broker.stores.connect import Sessions
from broker.stores.connections import Connections
from broker.stores.database import Database
from broker.stores.deliveries import Deliveries
from broker.stores.endpoints import Endpoints
from broker.stores.events import Events
from broker.stores.idempotency import IdempotentCalls
from broker.stores.installs import HeldGrants, Links
from broker.stores.keys import Keys
from broker.stores.operators import Operators
from broker.stores.revocations import Revocations
from broker.stores.seals import Seals
from broker.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Broker:
    """Everything that one process is made of."""

    settings: Settings
    dsn: str
    database: Database
    metrics: Metrics
    hubspot: HubSpot
    seals: Seals
    keys: Keys
    apps: Apps
    connections: Connections
    links: Links
    held_grants: HeldGrants
    revocations: Revocations
    revoker: Revoker
    grants: Grants
    installs: Installs
    sessions: Sessions
    operators: Operators
    connecting: Connecting
    confirmations: Confirmations
    upkeep: Upkeep
    callers: Callers
    quota: Quota
    calls: Calls
    call_log: CallLog
    idempotent_calls: IdempotentCalls
    proxy: Proxy
    batches: Batches
    intake: Intake
    splitter: Splitter
    events: Events
    endpoints: Endpoints
    deliveries: Deliveries
    deliverer: Deliverer
    journal: JournalReader
    recipes: Recipes

    def forget(self) -> None:
        """Ask the database anew for whatever was remembered."""
        self.callers.forget_all()
        self.proxy.forget_all()
        self.intake.forget_all()
        self.recipes.events.forget_all()

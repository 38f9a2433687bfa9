"""What one process is made of: every part by its name."""

from dataclasses import dataclass

from broker.bootstrap.agenda import Agenda
from broker.crm.subscriptions import SubscriptionKeeper
from broker.domain.invalidation import Invalidation
from broker.providers.catalog import Providers
from broker.recipes.building import Recipes
from broker.services.access.callers import Callers
from broker.services.events.deliverer import Deliverer
from broker.services.events.intake import Intake
from broker.services.events.journal_reader import JournalReader
from broker.services.events.splitter import Splitter
from broker.services.grants.connection_admin import ConnectionAdmin
from broker.services.grants.renewals import Grants
from broker.services.grants.revocations import Revoker
from broker.services.installs.connect_sessions import ConnectFlow
from broker.services.installs.oauth_flow import Installs
from broker.services.installs.pending_grants import Confirmations
from broker.services.proxy.call_log import CallLog
from broker.services.proxy.forwarding import Proxy
from broker.services.proxy.idempotency import Idempotency
from broker.services.quota.service import Quota
from broker.settings import Settings
from broker.stores.access.audit import Audit
from broker.stores.access.keys import Keys
from broker.stores.access.operators import Operators
from broker.stores.connections.apps import Apps
from broker.stores.connections.connect_sessions import ConnectSessions
from broker.stores.connections.connections import Connections
from broker.stores.connections.links import Links
from broker.stores.connections.pending_grants import PendingGrants
from broker.stores.connections.revocations import Revocations
from broker.stores.core.database import Database
from broker.stores.core.seals import Seals
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.events import Events
from broker.stores.events.replays import Replays
from broker.stores.events.webhook_inbox import WebhookInbox
from broker.stores.proxy.calls import Calls
from broker.stores.proxy.idempotency import IdempotentCalls
from broker.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Components:
    """Everything that one process is made of."""

    settings: Settings
    database_url: str
    database: Database
    agenda: Agenda
    metrics: Metrics
    providers: Providers
    seals: Seals
    keys: Keys
    audit: Audit
    apps: Apps
    connections: Connections
    links: Links
    pending_grants: PendingGrants
    revocations: Revocations
    revoker: Revoker
    grants: Grants
    installs: Installs
    connect_sessions: ConnectSessions
    operators: Operators
    connect_flow: ConnectFlow
    confirmations: Confirmations
    subscriptions: SubscriptionKeeper
    connection_admin: ConnectionAdmin
    callers: Callers
    quota: Quota
    calls: Calls
    call_log: CallLog
    idempotent_calls: IdempotentCalls
    idempotency: Idempotency
    proxy: Proxy
    webhook_inbox: WebhookInbox
    intake: Intake
    splitter: Splitter
    events: Events
    endpoints: Endpoints
    deliveries: Deliveries
    replays: Replays
    deliverer: Deliverer
    journal: JournalReader
    recipes: Recipes

    def invalidate(self, change: Invalidation | None) -> None:
        """Discard the cached values that a change has made stale; all for None."""
        self.metrics.invalidations.labels("all" if change is None else change.kind).inc()
        if change is None:
            self.invalidate_caches()
            return
        for cache in (self.callers, self.proxy, self.intake, self.recipes):
            cache.invalidate(change)

    def invalidate_caches(self) -> None:
        """Discard every cached value."""
        for cache in (self.callers, self.proxy, self.intake, self.recipes):
            cache.clear_cache()

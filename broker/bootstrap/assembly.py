"""The whole broker on one page: what exists and who is handed what. `application` serves it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from broker.bootstrap.components import Components
from broker.bootstrap.gauges import CONNECTIONS_EVERY_S, OVERDUE_EVERY_S, Gauges
from broker.bootstrap.worker import PeriodicTask, Worker
from broker.crm.accounts import HubSpotAccounts
from broker.crm.partners import PartnerCalls
from broker.crm.subscriptions import SubscriptionKeeper
from broker.errors import BrokerError
from broker.providers.base import Deadlines
from broker.providers.catalog import SETTINGS, WEBHOOKS, Providers
from broker.providers.transport.pools import Pools
from broker.receivers.client import Receivers
from broker.recipes.base import AnySpec
from broker.recipes.building import build_recipes
from broker.recipes.catalog import RECIPES
from broker.sealing import Keyring, Sealer
from broker.services.access.callers import Callers
from broker.services.events.deliverer import Deliverer
from broker.services.events.intake import Intake
from broker.services.events.journal_reader import JournalReader
from broker.services.events.splitter import Splitter
from broker.services.grants.connection_admin import ConnectionAdmin
from broker.services.grants.renewals import Grants
from broker.services.grants.revocations import Revoker
from broker.services.installs.account_choice import AccountChoice
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
from broker.stores.connections.subscriptions import SubscriptionChecks
from broker.stores.core import database, distribution, migrations
from broker.stores.core.database import Database
from broker.stores.core.invalidation import InvalidationListener
from broker.stores.core.overview import Overview
from broker.stores.core.partitions import maintain
from broker.stores.core.postgres.failures import explained
from broker.stores.core.seals import Seals
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.events import Events
from broker.stores.events.journals import Journals
from broker.stores.events.replays import Replays
from broker.stores.events.retention import EVENT_PARTITIONS
from broker.stores.events.webhook_inbox import WebhookInbox
from broker.stores.proxy.calls import Calls, call_log
from broker.stores.proxy.idempotency import IdempotentCalls
from broker.stores.proxy.quotas import Quotas
from broker.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

Clock = Callable[[], float]


def direct_dsn(settings: Settings, dsn: str) -> str:
    """Where migrations and LISTEN go, which no pooler of transactions can carry."""
    direct = settings.migration_database_url
    return dsn if direct is None else direct.get_secret_value()


@asynccontextmanager
async def open_broker(
    settings: Settings,
    dsn: str,
    keyring: Keyring,
    recipes: Sequence[AnySpec] = RECIPES,
    clock: Clock = time.monotonic,
) -> AsyncIterator[Components]:
    """A broker on a database that is up to date and that its keys open.

    `clock`: the seconds by which what it caches of keys and connections ages.

    Raises Busy, migrations.SchemaMissing, migrations.UnfitDatabase or seals.WrongSealingKey
    otherwise, and migrations.CannotMigrate where it migrates.
    """
    direct = direct_dsn(settings, dsn)
    if settings.migrate_on_start:
        with explained(settings.direct_url_name):
            await migrations.upgrade(direct)
            await distribution.distribute(direct, begin=False)
    with explained("BROKER_DATABASE_URL"):
        await migrations.check(dsn)
    pool = await database.connect(dsn, size=settings.database_pool_size)
    if pool.pooler is not None and direct == dsn:
        log.warning("database_behind_pooler", extra={"set": "BROKER_MIGRATION_DATABASE_URL"})
    providers = Providers(
        Pools(settings.upstream_connect_s, settings.upstream_idle_s, settings.upstream_connections),
        Deadlines(settings.upstream_connect_s, settings.upstream_idle_s, settings.upstream_total_s),
        {name: settings.of_provider(name) for name in SETTINGS},
        allow_private=settings.allow_private_endpoints,
    )
    receivers = Receivers(allow_private=settings.allow_private_endpoints)
    broker: Components | None = None
    try:
        clients = _Clients(providers, receivers, clock)
        broker = _assemble(settings, dsn, pool, clients, Sealer(keyring), recipes)
        pool.on_change = broker.invalidate
        broker.metrics.watch_database(lambda: pool.availability.problem is None)
        await broker.seals.check()
        try:
            yield broker
        finally:
            await _stop(broker)
    finally:
        if broker is not None:
            await broker.recipes.close()
        await receivers.close()
        await providers.close()
        await pool.close()


async def _stop(broker: Components) -> None:
    """Let what was begun end, what calls others before what it calls; then flush."""
    recipes = broker.recipes
    await asyncio.gather(broker.deliverer.stop(), recipes.polls.stop(), recipes.runs.stop())
    await broker.idempotency.stop()
    await broker.grants.stop()
    for flush in (
        broker.proxy.flush_last_used,
        broker.keys.flush_last_used,
        broker.quota.release_all,
        broker.call_log.flush,
    ):
        with suppress(BrokerError):
            await flush()


_Specs = Sequence[AnySpec]


@dataclass(frozen=True, slots=True)
class _Clients:
    """The clients of services outside the broker, and its clock."""

    providers: Providers
    receivers: Receivers
    clock: Clock


def _assemble(
    settings: Settings, dsn: str, pool: Database, clients: _Clients, sealer: Sealer, specs: _Specs
) -> Components:
    metrics, providers = Metrics(), clients.providers
    cache, url = (settings.cached_connections, clients.clock), settings.public_url
    places = url, settings.hubspot_app_url, settings.vendor_urls
    call_log = CallLog(calls := Calls(pool), providers, metrics, kept=settings.call_log_days > 0)
    keys, apps, sessions = Keys(pool), Apps(pool, sealer), ConnectSessions(pool, sealer)
    connections, links = Connections(pool, sealer), Links(pool, sealer)
    pending_grants, revocations = PendingGrants(pool, sealer), Revocations(pool, sealer)
    inbox, revoker = WebhookInbox(pool, sealer), Revoker(revocations, providers, metrics)
    grants = Grants(connections, providers, metrics, settings.renew_ahead_days, pool.max_renewals)
    installs = Installs(apps, links, pending_grants, connections, revoker, providers, url)
    idempotent, waits = IdempotentCalls(pool, sealer), settings.quota_wait_s
    quota = Quota(Quotas(pool), waits, metrics)
    once = Idempotency(idempotent, providers, waits, settings.upstream_total_s)
    proxy = Proxy(connections, grants, installs, quota, providers, once, call_log, metrics, *cache)
    accounts, partners = HubSpotAccounts(connections, installs), PartnerCalls(connections, proxy)
    recipes = build_recipes(specs, pool, sealer, proxy, accounts, partners, metrics, *places)
    return Components(
        settings=settings,
        database_url=direct_dsn(settings, dsn),
        database=pool,
        metrics=metrics,
        providers=providers,
        seals=Seals(pool, sealer),
        keys=keys,
        audit=Audit(pool),
        apps=apps,
        connections=connections,
        links=links,
        pending_grants=pending_grants,
        revocations=revocations,
        revoker=revoker,
        grants=grants,
        installs=installs,
        connect_sessions=sessions,
        operators=Operators(pool),
        connect_flow=ConnectFlow(sessions, installs, AccountChoice(pending_grants)),
        confirmations=Confirmations(pending_grants),
        connection_admin=ConnectionAdmin(apps, connections, grants, revoker, providers),
        callers=Callers(keys, clients.clock),
        quota=quota,
        calls=calls,
        call_log=call_log,
        idempotent_calls=idempotent,
        idempotency=once,
        proxy=proxy,
        webhook_inbox=inbox,
        intake=Intake(inbox),
        splitter=Splitter(inbox, WEBHOOKS, metrics, recipes.triggers.watch),
        events=Events(pool),
        endpoints=Endpoints(pool, sealer),
        deliveries=(deliveries := Deliveries(pool, sealer)),
        replays=Replays(pool),
        deliverer=Deliverer(deliveries, clients.receivers, metrics),
        journal=JournalReader(Journals(pool, sealer), providers.hubspot.client),
        recipes=recipes,
        subscriptions=_subscriptions(pool, partners, apps, providers, installs),
    )


def _subscriptions(
    pool: Database, partners: PartnerCalls, apps: Apps, providers: Providers, installs: Installs
) -> SubscriptionKeeper:
    checks = SubscriptionChecks(pool)
    return SubscriptionKeeper(checks, partners, apps, providers, installs.webhook_url)


def process_tasks(broker: Components) -> Worker:
    """Periodic tasks of every process, whatever else it does: every process calls HubSpot."""
    return Worker(
        [
            PeriodicTask("last_used", 5, broker.proxy.flush_last_used),
            PeriodicTask("keys_used", 60, broker.keys.flush_last_used),
            PeriodicTask("quota_shares", 5, broker.quota.heartbeat),
            PeriodicTask("call_log", 1, broker.call_log.flush),
        ]
    )


def listener(broker: Components) -> InvalidationListener:
    """What other processes notify this one of."""
    return InvalidationListener(
        broker.database_url,
        broker.invalidate,
        broker.quota.on_notification,
        broker.database.availability,
    )


def worker(broker: Components) -> Worker:
    """Periodic tasks of an installation, in any of its processes."""
    gauges = Gauges(Overview(broker.database), broker.metrics)
    days = broker.settings.call_log_days
    partitioned = (call_log(days), *EVENT_PARTITIONS)
    return Worker(
        [
            PeriodicTask("renewals", 1, lambda: broker.grants.renew_due(50)),
            PeriodicTask("end_notices", 60, lambda: broker.connections.publish_end_notices(100)),
            PeriodicTask("revocations", 5, lambda: broker.revoker.revoke_due(10)),
            PeriodicTask("unclaimed_grants", 30, broker.pending_grants.expire_unclaimed),
            PeriodicTask("old_links", 600, broker.links.purge),
            PeriodicTask("old_connect_sessions", 600, broker.connect_sessions.purge),
            PeriodicTask("old_sign_ins", 600, broker.operators.purge),
            PeriodicTask("expired_tokens", 600, broker.keys.purge_tokens),
            PeriodicTask("removed_apps", 60, broker.apps.purge_removed),
            PeriodicTask("expired_quota_shares", 300, broker.quota.purge),
            PeriodicTask("old_idempotency_keys", 600, broker.idempotent_calls.purge),
            PeriodicTask("old_calls", 60, lambda: broker.calls.purge(days)),
            PeriodicTask("partitions", 600, lambda: maintain(broker.database_url, partitioned)),
            PeriodicTask("subscriptions", 30, lambda: broker.subscriptions.look_due(10)),
            PeriodicTask("webhook_inbox", 0.25, lambda: broker.splitter.split_due(50)),
            PeriodicTask("deliveries", 0.25, broker.deliverer.deliver),
            PeriodicTask("replays", 1, broker.replays.enqueue_due),
            PeriodicTask("journals", 5, lambda: broker.journal.read_due(10)),
            PeriodicTask("late_deliveries", 60, broker.deliverer.expire),
            PeriodicTask("previous_secrets", 600, broker.endpoints.purge_previous_secrets),
            PeriodicTask("old_events", 300, broker.events.purge),
            PeriodicTask("seen_events", 300, broker.webhook_inbox.purge_seen),
            PeriodicTask("connection_counts", CONNECTIONS_EVERY_S, gauges.count_connections),
            PeriodicTask("overdue_work", OVERDUE_EVERY_S, gauges.measure_overdue),
            *(PeriodicTask(*each) for each in broker.recipes.periodic_tasks()),
        ],
        on_stop=[
            broker.splitter.stop,
            broker.deliverer.stop,
            broker.recipes.polls.stop,
            broker.recipes.runs.stop,
        ],
    )

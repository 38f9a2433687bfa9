"""The whole broker on one page: what exists and who is handed what. `application` serves it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from broker.bootstrap.agenda import Agenda
from broker.bootstrap.components import Components
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
from broker.stores.core.due_work import DueWork
from broker.stores.core.postgres.failures import explained
from broker.stores.core.seals import Seals
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.events import Events
from broker.stores.events.journals import Journals
from broker.stores.events.replays import Replays
from broker.stores.events.webhook_inbox import WebhookInbox
from broker.stores.proxy.calls import Calls
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
        pool.on_work = broker.agenda.written
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
    await broker.agenda.close()
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
    pace = settings.renew_ahead_days, pool.max_renewals, settings.renewals_per_s
    grants = Grants(connections, providers, metrics, *pace)
    installs = Installs(apps, links, pending_grants, connections, revoker, providers, url)
    quota, once, idempotent = _limits(settings, pool, sealer, providers, metrics)
    proxy = Proxy(connections, grants, installs, quota, providers, once, call_log, metrics, *cache)
    accounts, partners = HubSpotAccounts(connections, installs), PartnerCalls(connections, proxy)
    recipes = build_recipes(specs, pool, sealer, proxy, accounts, partners, metrics, *places)
    return Components(
        settings=settings,
        database_url=direct_dsn(settings, dsn),
        database=pool,
        agenda=Agenda(DueWork(pool), settings.work_pause_s),
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


def _limits(
    settings: Settings, pool: Database, sealer: Sealer, providers: Providers, metrics: Metrics
) -> tuple[Quota, Idempotency, IdempotentCalls]:
    calls, waits = IdempotentCalls(pool, sealer), settings.quota_wait_s
    once = Idempotency(calls, providers, waits, settings.upstream_total_s)
    return Quota(Quotas(pool), waits, metrics), once, calls


def _subscriptions(
    pool: Database, partners: PartnerCalls, apps: Apps, providers: Providers, installs: Installs
) -> SubscriptionKeeper:
    checks = SubscriptionChecks(pool)
    return SubscriptionKeeper(checks, partners, apps, providers, installs.webhook_url)

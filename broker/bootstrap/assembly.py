"""The whole broker on one page: what exists and who is handed what. `application` serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import asyncpg

from broker.bootstrap.components import Broker
from broker.bootstrap.worker import Chore, Job, Worker
from broker.errors import BrokerError
from broker.providers.fml.client import FirstMileLabs
from broker.providers.hubspot.client import Deadlines, HubSpot
from broker.receivers.client import Receivers
from broker.recipes.building import put_together
from broker.sealing import Keyring, Sealer
from broker.services.access.callers import Callers
from broker.services.events.deliverer import Deliverer
from broker.services.events.intake import Intake
from broker.services.events.journal_reader import JournalReader
from broker.services.events.splitter import Splitter
from broker.services.grants.connection_admin import Upkeep
from broker.services.grants.renewals import Grants
from broker.services.grants.revocations import Revoker
from broker.services.installs.connect_sessions import Connecting
from broker.services.installs.oauth_flow import Installs
from broker.services.installs.pending_grants import Confirmations
from broker.services.proxy.call_log import CallLog
from broker.services.proxy.forwarding import Proxy
from broker.services.proxy.idempotency import Idempotency
from broker.services.quota.service import Quota
from broker.settings import Settings
from broker.stores.access.keys import Keys
from broker.stores.access.operators import Operators
from broker.stores.connections.apps import Apps
from broker.stores.connections.connect_sessions import Sessions
from broker.stores.connections.connections import Connections
from broker.stores.connections.installs import HeldGrants, Links
from broker.stores.connections.revocations import Revocations
from broker.stores.core import database, migrations
from broker.stores.core.database import Database
from broker.stores.core.invalidation import Doorbell
from broker.stores.core.seals import Seals
from broker.stores.events.deliveries import Deliveries
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.events import Events
from broker.stores.events.journals import Journals
from broker.stores.events.webhook_inbox import Batches
from broker.stores.proxy.calls import Calls
from broker.stores.proxy.idempotency import IdempotentCalls
from broker.stores.proxy.quotas import Quotas
from broker.telemetry.metrics import Metrics


@asynccontextmanager
async def assembled(settings: Settings, dsn: str, keyring: Keyring) -> AsyncIterator[Broker]:
    """A broker on a database that is up to date and that its keys open.

    Raises Busy, migrations.SchemaMissing or seals.WrongSealingKey otherwise.
    """
    try:
        if settings.migrate_on_start:
            await migrations.bring_up_to_date(dsn)
        await migrations.check(dsn)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise BrokerError(
            f"Postgres cannot be reached at BROKER_DATABASE_URL: {type(error).__name__}"
        ) from error
    pool = await database.connect(dsn)
    hubspot = HubSpot(
        settings.hubspot_api_url,
        settings.hubspot_app_url,
        settings.hubspot_oauth_version,
        Deadlines(settings.upstream_connect_s, settings.upstream_idle_s, settings.upstream_total_s),
    )
    receivers = Receivers(allow_private=settings.allow_private_endpoints)
    fml = FirstMileLabs(settings.fml_url)
    try:
        broker = _assemble(settings, dsn, pool, _Outside(hubspot, receivers, fml), Sealer(keyring))
        await broker.seals.check()
        yield broker
        await asyncio.gather(broker.deliverer.stop(), broker.recipes.runs.stop())
        for last_word in (broker.proxy.write_uses, broker.quota.leave, broker.call_log.write):
            with suppress(BrokerError):
                await last_word()
    finally:
        await fml.close()
        await receivers.close()
        await hubspot.close()
        await pool.close()


@dataclass(frozen=True, slots=True)
class _Outside:
    """The clients of what is not ours."""

    hubspot: HubSpot
    receivers: Receivers
    fml: FirstMileLabs


def _assemble(
    settings: Settings, dsn: str, pool: Database, outside: _Outside, sealer: Sealer
) -> Broker:
    metrics, hubspot = Metrics(), outside.hubspot
    keys, apps = Keys(pool), Apps(pool, sealer)
    connections, links = Connections(pool, sealer), Links(pool, sealer)
    held_grants, revocations = HeldGrants(pool, sealer), Revocations(pool, sealer)
    batches, deliveries = Batches(pool, sealer), Deliveries(pool, sealer)
    sessions = Sessions(pool, sealer)
    revoker = Revoker(revocations, hubspot, metrics)
    grants = Grants(connections, hubspot, metrics)
    installs = Installs(
        apps, links, held_grants, connections, revoker, hubspot, settings.public_url
    )
    quota = Quota(Quotas(pool), settings.quota_wait_s, metrics)
    calls, idempotent = Calls(pool), IdempotentCalls(pool, sealer)
    call_log = CallLog(calls, metrics)
    once = Idempotency(idempotent, settings.quota_wait_s, settings.upstream_total_s)
    proxy = Proxy(connections, grants, installs, quota, hubspot, once, call_log, metrics)
    recipes = put_together(pool, sealer, outside.fml, proxy, connections, installs, metrics)
    return Broker(
        settings=settings,
        dsn=dsn,
        database=pool,
        metrics=metrics,
        hubspot=hubspot,
        seals=Seals(pool, sealer),
        keys=keys,
        apps=apps,
        connections=connections,
        links=links,
        held_grants=held_grants,
        revocations=revocations,
        revoker=revoker,
        grants=grants,
        installs=installs,
        sessions=sessions,
        operators=Operators(pool),
        connecting=Connecting(sessions, installs),
        confirmations=Confirmations(held_grants, connections),
        upkeep=Upkeep(apps, connections, grants, revoker, hubspot),
        callers=Callers(keys),
        quota=quota,
        calls=calls,
        call_log=call_log,
        idempotent_calls=idempotent,
        proxy=proxy,
        batches=batches,
        intake=Intake(batches),
        splitter=Splitter(batches, metrics, recipes.triggers.watch),
        events=Events(pool),
        endpoints=Endpoints(pool, sealer),
        deliveries=deliveries,
        deliverer=Deliverer(deliveries, outside.receivers, metrics),
        journal=JournalReader(Journals(pool, sealer), hubspot),
        recipes=recipes,
    )


def beside(broker: Broker) -> list[Job]:
    """What every process does for itself, whatever else it does: for all of them call HubSpot."""
    chores = Worker(
        [
            Chore("uses", 5, broker.proxy.write_uses),
            Chore("quota shares", 5, broker.quota.keep),
            Chore("call log", 1, broker.call_log.write),
        ]
    )
    doorbell = Doorbell(broker.dsn, broker.forget, broker.quota.rung)
    return [doorbell.listen, chores.run]


def worker(broker: Broker) -> Worker:
    """What must happen by itself, sooner or later, in any of the processes."""
    return Worker(
        [
            Chore("renewals", 1, lambda: broker.grants.renew_due(50)),
            Chore("revocations", 5, lambda: broker.revoker.settle_due(10)),
            Chore("lapsed grants", 30, broker.held_grants.drop_lapsed),
            Chore("old links", 600, broker.links.forget_old),
            Chore("old connect sessions", 600, broker.sessions.forget_old),
            Chore("old sign-ins", 600, broker.operators.forget_expired),
            Chore("expired tokens", 600, broker.keys.forget_expired_tokens),
            Chore("removed apps", 60, broker.apps.erase_removed),
            Chore("lapsed quota shares", 300, broker.quota.forget),
            Chore("old idempotency keys", 600, broker.idempotent_calls.forget),
            Chore("old calls", 60, lambda: broker.calls.forget(broker.settings.call_log_days)),
            Chore("batches", 0.25, lambda: broker.splitter.split_due(50)),
            Chore("deliveries", 0.25, broker.deliverer.deliver),
            Chore("journals", 5, lambda: broker.journal.read_due(10)),
            Chore("late deliveries", 60, broker.deliveries.give_up_late),
            Chore("former secrets", 600, broker.endpoints.forget_former_secrets),
            Chore("old events", 300, broker.events.forget_old),
            Chore("old marks", 300, broker.batches.forget_old),
            *(Chore(*each) for each in broker.recipes.chores()),
        ]
    )

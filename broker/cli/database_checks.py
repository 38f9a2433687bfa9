"""What `broker doctor` checks of Postgres and of the way to it."""

import asyncio
import secrets
import time
from typing import Any

from broker.cli.checks import Checks
from broker.cli.runtime import Runtime, open_components
from broker.errors import BrokerError
from broker.stores.core import migrations
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import CANNOT_CONNECT, explain
from broker.stores.core.postgres.pooler import Pooler, detect
from broker.stores.core.seals import WrongSealingKey
from broker.stores.recipes.recipe_settings import recipes_in_use

WITHIN_S = 5
CLOCK_S = 5

SESSIONS = (
    "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - coalesce(current_setting('reserved_connections', true)::int, 0) AS server,"
    " (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,"
    " (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database"
)
WRITE = (
    "CREATE TEMPORARY TABLE broker_doctor (filler bytea) ON COMMIT DROP;"
    " ALTER TABLE broker_doctor ALTER filler SET STORAGE EXTERNAL;"
    " INSERT INTO broker_doctor SELECT decode(repeat('00', 100000), 'hex')"
)


async def check_database(found: Runtime, checks: Checks) -> set[str]:
    """Check Postgres and what is in it; the names of the recipes that are set up."""
    try:
        session = await DatabaseUrl.parse(found.dsn).connect(
            "broker doctor", command_timeout=WITHIN_S, statement_cache_size=0
        )
    except CANNOT_CONNECT as error:
        checks.wrong("database", f"BROKER_DATABASE_URL: {explain(error)}")
        return set()
    try:
        # Behind a pooler each transaction may meet another session.
        async with session.transaction():
            if not await _check_server(session, checks):
                return set()
        async with session.transaction():
            pooler = await detect(session)
        async with session.transaction():
            await _check_sessions(session, found, pooler, checks)
        await _check_writes(session, checks)
        await _check_notifications(session, found, pooler, checks)
        async with session.transaction():
            missing = await migrations.missing(session)
            behind = missing and not found.embedded
            note = "made when the broker starts" if missing else ""
            checks.expect("schema", not behind, "behind: run `broker migrate`", note)
            recipes = set() if missing else await recipes_in_use(session)
    except CANNOT_CONNECT as error:
        checks.wrong("database", f"BROKER_DATABASE_URL: {explain(error)}")
        return set()
    finally:
        await session.close()
    if not behind and not checks.bad["database"]:
        await _check_keys(found, checks)
    return recipes


async def _check_server(session: Any, checks: Checks) -> bool:
    """Whether this Postgres can be used at all."""
    version = session.get_server_version()
    encoding = await session.fetchval("SELECT current_setting('server_encoding')")
    problem = migrations.unfit(version.major, encoding)
    full = (await session.fetchval("SHOW server_version")).split()[0]
    checks.expect("database", problem is None, problem or "", f"Postgres {full}")
    clock = "SELECT extract(epoch FROM clock_timestamp())::float8"
    skew = abs(await session.fetchval(clock) - time.time())
    checks.expect("clock", skew < CLOCK_S, f"{skew:.0f} s off the database's: set this clock")
    return problem is None


async def _check_sessions(
    session: Any, found: Runtime, pooler: Pooler | None, checks: Checks
) -> None:
    """Whether Postgres admits as many sessions as one process may open, by the settings here."""
    pool_size = found.settings.database_pool_size
    if pooler is not None:
        checks.good(
            "database sessions",
            f"up to {pool_size} a process at the pooler, which has limits of its own (PgBouncer: "
            "max_client_conn, default_pool_size), and one past it",
        )
        return
    needed = pool_size + 1
    admitted = min(each for each in await session.fetchrow(SESSIONS) if each >= 0)
    checks.expect(
        "database sessions",
        admitted >= needed,
        f"each process opens up to {needed}, and Postgres admits {admitted}: lower "
        "BROKER_DATABASE_POOL_SIZE, or raise max_connections or the CONNECTION LIMIT of the "
        "role and the database",
        f"up to {needed} a process, {admitted} admitted: at most {admitted // needed} processes",
    )


async def _check_writes(session: Any, checks: Checks) -> None:
    """Whether Postgres takes a change that needs room on its disk; nothing of it stays."""
    try:
        async with session.transaction():
            await session.execute(WRITE)
            checks.good("database writes")
    except CANNOT_CONNECT as error:
        checks.wrong("database writes", explain(error))


async def _check_notifications(
    session: Any, found: Runtime, pooler: Pooler | None, checks: Checks
) -> None:
    """Whether notifications arrive, which no pooler of transactions lets through."""
    if pooler is Pooler.TRANSACTIONS:
        checks.good(
            "pooler",
            "it does not keep prepared statements apart (PgBouncer before 1.21, or without "
            "max_prepared_statements): each statement takes a transaction, which is slower",
        )
    elif pooler is not None:
        checks.good("pooler", "it keeps prepared statements apart")
    name = found.settings.direct_url_name
    channel, heard = f"broker_doctor_{secrets.token_hex(4)}", asyncio.Event()
    try:
        direct = await DatabaseUrl.parse(found.direct_dsn).connect(
            "broker doctor", command_timeout=WITHIN_S, statement_cache_size=0
        )
    except CANNOT_CONNECT as error:
        checks.wrong("notifications", f"{name}: {explain(error)}")
        return
    try:
        await direct.add_listener(channel, lambda *_: heard.set())
        async with session.transaction():
            await session.execute(f"NOTIFY {channel}")
        async with asyncio.timeout(WITHIN_S):
            await heard.wait()
        checks.good("notifications")
    except TimeoutError:
        checks.wrong(
            "notifications",
            f"none arrives at {name}: set BROKER_MIGRATION_DATABASE_URL to the same database, "
            "past any pooler of transactions",
        )
    finally:
        direct.terminate()


async def _check_keys(found: Runtime, checks: Checks) -> None:
    try:
        async with open_components(found):
            checks.good("keys")
    except WrongSealingKey as error:
        checks.wrong(
            "keys", f"{error}: add the key that encrypted this database to BROKER_SEALING_KEYS"
        )
    except (BrokerError, migrations.SchemaMissing) as error:
        checks.wrong("keys", f"could not be checked: {error}")

"""Bringing the schema up to date, however many start at once.

Everything happens in one transaction, which also holds the lock: a process that is killed, or a
pooler that keeps its session, leaves neither a half-made schema nor a lock.
"""

import asyncio
import logging
import time
from typing import Any

import asyncpg
from pogo_core.error import BadMigrationError
from pogo_core.util import migrate

from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.queries import SQL

log = logging.getLogger(__name__)

LOCK = 0x62726F6B6572
"""The advisory lock that one migrating process holds: "broker" in ASCII."""

OLDEST = 15
POLL_S = 0.5
REPORT_S = 5.0
MAX_WAIT_S = 300.0
"""How long to wait for another process that migrates."""

LOCK_WAIT = "30s"
"""How long a statement waits for a table that others use, unless its migration says otherwise: all
others wait behind it meanwhile."""

LOCK_HOLDER = """
SELECT activity.pid, application_name AS name, state,
       coalesce(host(client_addr), 'a local socket') AS address,
       extract(epoch FROM clock_timestamp() - state_change)::int AS seconds
  FROM pg_locks
  JOIN pg_stat_activity AS activity USING (pid)
 WHERE locktype = 'advisory' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid = $1::bigint::oid AND objid = $2::bigint::oid
"""


class SchemaMissing(Exception):
    """The schema is older than this program; `broker migrate` brings it up to date."""


class UnfitDatabase(Exception):
    """This Postgres or this database cannot be used; the text says why and what to do."""


class CannotMigrate(Exception):
    """The schema cannot be brought up to date; the text says why and what to do."""


async def upgrade(dsn: str, wait_s: float = MAX_WAIT_S) -> list[str]:
    """Apply what is missing, in order; the ids applied.

    Raises UnfitDatabase, CannotMigrate, and what `failures.explain` explains.
    """
    # Without a cache of statements: behind a pooler their names may be taken.
    session = await DatabaseUrl.parse(dsn).connect("broker migrate", statement_cache_size=0)
    try:
        async with session.transaction():
            await check_server(session)
        deadline = time.monotonic() + wait_s
        while (applied := await _apply(session)) is None:
            await _wait_for_holder(session, deadline)
    except BadMigrationError as error:
        cause = error.__cause__
        if isinstance(cause, asyncpg.LockNotAvailableError):
            raise CannotMigrate(
                "other sessions keep a table in use: nothing was changed; end long transactions "
                "(pg_stat_activity shows them), and try again"
            ) from error
        raise cause or error from error
    finally:
        await session.close()
    return applied


async def _apply(session: "asyncpg.Connection[asyncpg.Record]") -> list[str] | None:
    """Apply what is missing under the lock; None where another process holds it."""
    async with session.transaction():
        if not await session.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
            return None
        await session.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        before = await missing(session)
        if before:
            schema = await _schema(session)
            await migrate.apply(session, SQL / "migrations", schema_name=schema)
        return before


async def _wait_for_holder(session: "asyncpg.Connection[asyncpg.Record]", deadline: float) -> None:
    """Wait until the lock may be free, and log who holds it."""
    report_at = time.monotonic()
    while True:
        async with session.transaction():
            holder = await session.fetchrow(LOCK_HOLDER, LOCK >> 32, LOCK & 0xFFFFFFFF)
        if holder is None:
            return
        found = (
            f"session {holder['pid']} of Postgres ({holder['name'] or 'without a name'}, from "
            f"{holder['address']}, {holder['state']} for {holder['seconds']} s)"
        )
        if time.monotonic() > deadline:
            raise CannotMigrate(
                f"another migration holds the lock: {found}. If none is running, end it with "
                f"SELECT pg_terminate_backend({holder['pid']}), and try again"
            )
        if time.monotonic() >= report_at:
            log.warning("migration_waits", extra={"holder": found})
            report_at += REPORT_S
        await asyncio.sleep(POLL_S)


async def check_server(session: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Raise UnfitDatabase unless this Postgres can be used."""
    encoding = await session.fetchval("SELECT current_setting('server_encoding')")
    problem = unfit(session.get_server_version().major, str(encoding))
    if problem:
        raise UnfitDatabase(problem)


def unfit(major: int, encoding: str) -> str | None:
    """What is wrong with a Postgres of this version and a database of this encoding."""
    if major < OLDEST:
        return f"Postgres {major} is too old: {OLDEST} or newer is needed"
    if encoding != "UTF8":
        return (
            f"the database's encoding is {encoding}, which cannot hold every name: make one with "
            "CREATE DATABASE broker ENCODING 'UTF8' TEMPLATE template0"
        )
    return None


async def _schema(session: Any) -> str:
    schema = await session.fetchval("SELECT current_schema()")
    if schema is None:
        path = await session.fetchval("SELECT current_setting('search_path')")
        raise CannotMigrate(
            f"the search_path of this role or database ({path}) names no schema that exists: "
            "create that schema, or reset the search_path"
        )
    return str(schema)


async def missing(session: Any) -> list[str]:
    """The ids of migrations that this program has and the database lacks."""
    known = sorted(file.stem for file in (SQL / "migrations").glob("*.sql"))
    if await session.fetchval("SELECT to_regclass('public._pogo_migration')::text") is None:
        return known
    rows = await session.fetch(
        "SELECT migration_id FROM public._pogo_migration WHERE schema_name = current_schema()"
    )
    applied = {row["migration_id"] for row in rows}
    return [migration for migration in known if migration not in applied]


async def check(dsn: str) -> None:
    """Raise SchemaMissing or UnfitDatabase unless the database is as this program needs it."""
    session = await DatabaseUrl.parse(dsn).connect("broker", statement_cache_size=0)
    try:
        async with session.transaction():
            await check_server(session)
            lacking = await missing(session)
    finally:
        await session.close()
    if lacking:
        raise SchemaMissing(f"the schema lacks {', '.join(lacking)}: run `broker migrate`")

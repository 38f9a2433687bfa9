"""Bringing the schema up to date, however many start at once."""

import asyncpg
from pogo_core.util import migrate

from broker.stores.core.database import Session
from broker.stores.core.queries import SQL

LOCK = 0x62726F6B6572
"""The advisory lock that one migrating process holds: "broker" in ASCII."""


class SchemaMissing(Exception):
    """The schema is older than this program; `broker migrate` brings it up to date."""


async def bring_up_to_date(dsn: str) -> list[str]:
    """Apply what is missing, in order; the ids applied. Others wait for the lock meanwhile."""
    session = await asyncpg.connect(dsn, timeout=30)
    try:
        await session.execute("SELECT pg_advisory_lock($1)", LOCK)
        before = await missing(session)
        if before:
            await migrate.apply(session, SQL / "migrations", schema_name="public")
        return before
    finally:
        await session.close()


async def missing(session: "asyncpg.Connection[asyncpg.Record] | Session") -> list[str]:
    """The ids of migrations that this program has and the database lacks."""
    ours = sorted(file.stem for file in (SQL / "migrations").glob("*.sql"))
    if await session.fetchval("SELECT to_regclass('public._pogo_migration')") is None:
        return ours
    rows = await session.fetch("SELECT migration_id FROM public._pogo_migration")
    applied = {row["migration_id"] for row in rows}
    return [migration for migration in ours if migration not in applied]


async def check(dsn: str) -> None:
    """Raise SchemaMissing unless the schema is as this program needs it."""
    session = await asyncpg.connect(dsn, timeout=10)
    try:
        lacking = await missing(session)
    finally:
        await session.close()
    if lacking:
        raise SchemaMissing(f"the schema lacks {', '.join(lacking)}: run `broker migrate`")

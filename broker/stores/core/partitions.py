"""Partitions of a table by the day: made ahead, and dropped when they are old enough.

A row of a day that has no partition goes to the partition for the rest, so that nothing is lost
where none can be made: with a role that may not, or before a process that works has started.
"""

import logging
from datetime import UTC, date, datetime, timedelta

import asyncpg

from broker.errors import Busy
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import CANNOT_CONNECT

log = logging.getLogger(__name__)

DAYS_AHEAD = 3
LOCK_WAIT = "2s"
"""How long to wait for a table that others use: they wait behind it meanwhile."""

NAMES = """
SELECT relname
  FROM pg_inherits
  JOIN pg_class
    ON pg_class.oid = inhrelid
 WHERE inhparent = $1::text::regclass
"""


async def maintain(dsn: str, table: str, keep_days: int, today: date | None = None) -> int:
    """Make the partitions of today (UTC) and the next days, and drop those whose last row is older
    than `keep_days`; how many of both. Where no day is kept, none is made.

    Raises Busy when Postgres cannot be reached.
    """
    today = today or datetime.now(UTC).date()
    try:
        session = await DatabaseUrl.parse(dsn).connect(
            "broker partitions", command_timeout=60, statement_cache_size=0
        )
    except CANNOT_CONNECT as error:
        raise Busy from error
    try:
        names = {row[0] for row in await session.fetch(NAMES, table)}
        wanted = [today + timedelta(days=n) for n in range(DAYS_AHEAD + 1) if keep_days]
        missing = [day for day in wanted if _name(table, day) not in names]
        old = sorted(
            name
            for name in names
            if (day := _day(table, name)) and day < today - timedelta(days=keep_days)
        )
        for day in missing:
            await _make(session, table, day)
        for name in old:
            await _drop(session, name)
    except (asyncpg.LockNotAvailableError, asyncpg.DuplicateTableError):
        return 0  # later: the table is in use, or another process has made it
    except asyncpg.InsufficientPrivilegeError:
        log.warning("partitions_not_maintained", extra={"table": table, "reason": "privileges"})
        return 0
    finally:
        await session.close()
    return len(missing) + len(old)


async def _make(session: "asyncpg.Connection[asyncpg.Record]", table: str, day: date) -> None:
    name, rest = _name(table, day), f"{table}_rest"
    begin, end = day.isoformat(), (day + timedelta(days=1)).isoformat()
    bounds = f"FOR VALUES FROM ('{begin} 00:00:00+00') TO ('{end} 00:00:00+00')"
    of_day = f"at >= '{begin} 00:00:00+00' AND at < '{end} 00:00:00+00'"
    async with session.transaction():
        await session.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        await session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        if not await session.fetchval(f"SELECT EXISTS (SELECT FROM {rest} WHERE {of_day})"):  # noqa: S608
            await session.execute(f"CREATE TABLE {name} PARTITION OF {table} {bounds}")
            return
        await session.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
        await session.execute(
            f"WITH moved AS (DELETE FROM {rest} WHERE {of_day} RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved"
        )
        await session.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} {bounds}")


async def _drop(session: "asyncpg.Connection[asyncpg.Record]", name: str) -> None:
    async with session.transaction():
        await session.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        await session.execute(f"DROP TABLE IF EXISTS {name}")


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _day(table: str, name: str) -> date | None:
    """The day of a partition; None for the rest."""
    digits = name.removeprefix(f"{table}_")
    return datetime.strptime(digits, "%Y%m%d").date() if digits.isdecimal() else None  # noqa: DTZ007

"""Partitions of tables by days: made ahead, and dropped when they are old enough.

A row of a day that has no partition goes to the partition for the rest, so that nothing is lost
where none can be made: with a role that may not, or before a process that works has started.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

import asyncpg

from broker.errors import Busy
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import CANNOT_CONNECT

log = logging.getLogger(__name__)

SqlSession: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

DAYS_AHEAD = 3
LOCK_WAIT = "2s"
"""How long to wait for a table that others use: they wait behind it meanwhile."""

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('partitions', 0))"
"""Taken by the one process that does this, until its session ends."""

NAMES = """
SELECT relname
  FROM pg_inherits
  JOIN pg_class
    ON pg_class.oid = inhrelid
 WHERE inhparent = $1::text::regclass
"""


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions of a table, each of so many days (UTC; weeks begin on Monday).

    `bound` is the least value of `column` on a day. Rows stay for `keep_days` whole days; where
    that is 0, no partition is made. `kept_while`, a query with a partition's least value and the
    next one's, finds a row while some of its rows are still needed.
    """

    table: str
    column: str
    keep_days: int
    bound: Callable[[date], str]
    days: int = 1
    kept_while: str | None = None

    def begin(self, day: date) -> date:
        """The first day of the partition that holds a day."""
        return day - timedelta(days=(day.toordinal() - 1) % self.days)

    def name(self, begin: date) -> str:
        return f"{self.table}_{begin:%Y%m%d}"

    def begin_of(self, name: str) -> date | None:
        """The first day of a partition by its name; None for the rest."""
        digits = name.removeprefix(f"{self.table}_")
        return datetime.strptime(digits, "%Y%m%d").date() if digits.isdecimal() else None  # noqa: DTZ007

    def bounds(self, begin: date) -> tuple[str, str]:
        return self.bound(begin), self.bound(begin + timedelta(days=self.days))


async def maintain(dsn: str, tables: Sequence[Partitions], today: date | None = None) -> int:
    """Make the partitions of today (UTC) and the next days, and drop those whose last row is old
    enough, of each table in turn; how many of both. 0 while another process does it.

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
        if not await session.fetchval(TRY_LOCK):
            return 0
        return sum([await _maintain(session, table, today) for table in tables])
    finally:
        await session.close()


async def _maintain(session: SqlSession, table: Partitions, today: date) -> int:
    begins = {
        begin
        for row in await session.fetch(NAMES, table.table)
        if (begin := table.begin_of(row[0]))
    }
    wanted = {
        table.begin(today + timedelta(days=n)) for n in range(DAYS_AHEAD + 1) if table.keep_days
    }
    last = today - timedelta(days=table.keep_days + table.days)
    done = 0
    try:
        for begin in sorted(wanted - begins):
            await _make(session, table, begin)
            done += 1
        for begin in sorted(begin for begin in begins if begin <= last):
            done += await _drop(session, table, begin)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        pass  # later: the table is in use
    except asyncpg.InsufficientPrivilegeError:
        log.warning(
            "partitions_not_maintained", extra={"table": table.table, "reason": "privileges"}
        )
    return done


async def _make(session: SqlSession, table: Partitions, begin: date) -> None:
    name, whole, rest = table.name(begin), table.table, f"{table.table}_rest"
    least, end = table.bounds(begin)
    bounds = f"FOR VALUES FROM ('{least}') TO ('{end}')"
    of_days = f"{table.column} >= '{least}' AND {table.column} < '{end}'"
    async with session.transaction():
        await _lock(session, whole)
        if await session.fetchval(f"SELECT 1 FROM {rest} WHERE {of_days} LIMIT 1") is None:  # noqa: S608
            await session.execute(f"CREATE TABLE {name} PARTITION OF {whole} {bounds}")
            return
        await session.execute(f"CREATE TABLE {name} (LIKE {whole} INCLUDING ALL)")
        await session.execute(
            f"WITH moved AS (DELETE FROM {rest} WHERE {of_days} RETURNING *) "  # noqa: S608
            f"INSERT INTO {name} SELECT * FROM moved"
        )
        await session.execute(f"ALTER TABLE {whole} ATTACH PARTITION {name} {bounds}")


async def _drop(session: SqlSession, table: Partitions, begin: date) -> bool:
    """Drop a partition unless its rows are needed; whether it was dropped."""
    if await _is_needed(session, table, begin):
        return False
    async with session.transaction():
        await _lock(session, table.table)
        # Once more: whoever made it needed before the lock has committed, and nobody else can.
        if await _is_needed(session, table, begin):
            return False
        await session.execute(f"DROP TABLE IF EXISTS {table.name(begin)}")
    return True


async def _lock(session: SqlSession, table: str) -> None:
    await session.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
    await session.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")


async def _is_needed(session: SqlSession, table: Partitions, begin: date) -> bool:
    if table.kept_while is None:
        return False
    return await session.fetchval(table.kept_while, *table.bounds(begin)) is not None

"""The pool: how every store reaches Postgres, and what it means when Postgres is away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from broker.domain.invalidation import Invalidation
from broker.errors import Busy
from broker.stores.core.invalidation import collected

ACQUIRE_S = 5.0
COMMAND_S = 10.0

UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    ConnectionError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises when Postgres is away, frozen, full, or gave this session up."""

Session = asyncpg.pool.PoolConnectionProxy


async def _keep_as_is(_connection: Any) -> None:
    """Skip asyncpg's reset query, a hidden second round trip: no session state is ever left."""


async def connect(dsn: str, *, size: int = 20) -> "Database":
    """Open a pool of at most `size` connections. Raises Busy when Postgres cannot be reached."""
    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=size,
            command_timeout=COMMAND_S,
            timeout=ACQUIRE_S,
            reset=_keep_as_is,
            server_settings={"application_name": "broker"},
        )
    except UNAVAILABLE as error:
        raise Busy(f"Postgres cannot be reached: {type(error).__name__}") from error
    return Database(pool)


def _ignore(_change: Invalidation) -> None:
    """What happens to changes where nothing is cached."""


class Database:
    """The pool. Each method raises Busy when Postgres cannot answer in time."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self.on_change: Callable[[Invalidation], None] = _ignore
        """Called with each change that a transaction notified, once it is committed."""

    async def close(self) -> None:
        try:
            async with asyncio.timeout(ACQUIRE_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection for a few statements."""
        try:
            session = await self._pool.acquire(timeout=ACQUIRE_S)
        except (asyncpg.PostgresError, *UNAVAILABLE) as error:
            raise Busy from error  # no session, whatever Postgres says of it
        try:
            try:
                yield session
            finally:
                await self._pool.release(session)
        except UNAVAILABLE as error:
            raise Busy from error

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """A connection whose statements commit together, when the block ends well."""
        with collected() as changes:
            async with self.session() as session, session.transaction():
                yield session
        for change in changes:
            self.on_change(change)

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        async with self.session() as session:
            return await session.fetch(query, *values)

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        async with self.session() as session:
            return await session.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: Any) -> Any:
        async with self.session() as session:
            return await session.fetchval(query, *values)

    async def execute(self, query: str, *values: Any) -> int:
        """Run a statement; how many rows it touched."""
        async with self.session() as session:
            done = await session.execute(query, *values)
        count = done.rpartition(" ")[2]
        return int(count) if count.isdecimal() else 0


def escaped(text: str) -> str:
    """A text as LIKE finds it, whatever wildcards it holds."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\x00", "")

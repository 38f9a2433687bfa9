"""The pool: how every store reaches Postgres, and what it means when Postgres is away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from broker.domain.invalidation import Invalidation
from broker.domain.work import NewWork
from broker.errors import Busy
from broker.stores.core.invalidation import collected
from broker.stores.core.postgres.availability import Availability
from broker.stores.core.postgres.connection_url import DatabaseUrl
from broker.stores.core.postgres.failures import CANNOT_CONNECT, explained
from broker.stores.core.postgres.gates import Gates
from broker.stores.core.postgres.pooler import Pooler, detect
from broker.stores.core.postgres.sessions import Session, SessionLost
from broker.stores.core.queries import sql

T = TypeVar("T")

POOL_SIZE = 10
COMMAND_S = 10.0
IDLE_S = 60.0
"""How long a session may be unused: less than the firewalls and balancers of the large clouds allow
a silent connection (four minutes and more)."""

PURGE_BATCH = 1000


async def _keep_as_is(_connection: Any) -> None:
    """Skip asyncpg's reset query, a hidden second round trip: no session state is ever left."""


async def connect(dsn: str, *, size: int = POOL_SIZE) -> "Database":
    """Open a pool of at most `size` sessions. Raises Busy when Postgres cannot be reached."""
    url = DatabaseUrl.parse(dsn)
    with explained("BROKER_DATABASE_URL"):
        probe = await url.connect("broker", command_timeout=COMMAND_S, statement_cache_size=0)
        try:
            pooler = await detect(probe)
        finally:
            await probe.close()
    pool = asyncpg.create_pool(
        connect=url.open,
        min_size=0,
        max_size=size,
        max_inactive_connection_lifetime=IDLE_S,
        command_timeout=COMMAND_S,
        reset=_keep_as_is,
        # Without names nothing is left in a session that another client gets next.
        statement_cache_size=0 if pooler is Pooler.TRANSACTIONS else 100,
        **url.arguments("broker"),
    )
    return Database(await pool, Gates(size), url.timeout_s, pooler)


def _ignore(_change: Invalidation) -> None:
    """What happens to changes where nothing is cached."""


def _find_later(_work: NewWork) -> None:
    """What happens to background work where nobody waits for it."""


class Database:
    """The pool. Each method raises Busy when Postgres cannot answer in time."""

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        gates: Gates,
        timeout_s: float,
        pooler: Pooler | None,
    ) -> None:
        self._pool = pool
        self._gates = gates
        self._timeout_s = timeout_s
        self.pooler = pooler
        self.availability = Availability()
        self.on_change: Callable[[Invalidation], None] = _ignore
        """Called with each change that a transaction notified, once it is committed."""
        self.on_work: Callable[[NewWork], None] = _find_later
        """Called with the background work that statements wrote, once it is committed."""

    async def close(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @property
    def max_renewals(self) -> int:
        """How many renewals may wait for providers at once: each locks a row, and others do too."""
        return max(1, self._gates.max_row_holders - 2)

    @property
    def open_sessions(self) -> int:
        """How many sessions this process holds, used or not."""
        return int(self._pool.get_size())

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A session for a few statements, each a transaction of its own."""
        async with self._gates.hold():
            session, release = await self._acquire()
            try:
                yield session
            except SessionLost as error:
                raise Busy from error
            finally:
                await release()
        self._committed(session)

    @asynccontextmanager
    async def transaction(self, row: Hashable | None = None) -> AsyncIterator[Session]:
        """A session whose statements commit together, when the block ends well.

        `row`: a key of the row that the block locks for long; blocks of this process with the same
        key follow one another without holding a session while they wait.
        """
        with collected() as changes:
            async with self._gates.hold(row):
                session, release = await self._on_a_living_session(self._begin)
                try:
                    try:
                        yield session
                    except BaseException:
                        await session.rollback()
                        raise
                    await session.commit()
                finally:
                    await release()
        for change in changes:
            self.on_change(change)
        self._committed(session)

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self._once(Session.fetch, query, values)
        return found

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        found: asyncpg.Record | None = await self._once(Session.fetchrow, query, values)
        return found

    async def fetchval(self, query: str, *values: Any) -> Any:
        return await self._once(Session.fetchval, query, values)

    async def execute(self, query: str, *values: Any) -> int:
        """Run a statement; how many rows it touched."""
        done = await self._once(Session.execute, query, values)
        self.availability.answered(written=True)
        return row_count(done)

    async def purge(self, query: str, *values: Any) -> int:
        """Delete some of what is old enough; how many rows, 0 while another process does it.

        The last parameter of the statement is how many it may delete: a bounded turn can always
        end within its time, however much has gathered.
        """
        async with self.transaction() as session:
            if not await session.fetchval(sql.try_lock, query.partition("\n")[0]):
                return 0
            return row_count(await session.execute(query, *values, PURGE_BATCH))

    async def _once(self, method: Any, query: str, values: tuple[Any, ...]) -> Any:
        """One statement; again on another session where the first did certainly nothing."""
        async with self._gates.hold():
            found, session = await self._on_a_living_session(
                lambda: self._try(method, query, values)
            )
        self._committed(session)
        return found

    async def _try(self, method: Any, query: str, values: tuple[Any, ...]) -> tuple[Any, Session]:
        session, release = await self._acquire()
        try:
            return await method(session, query, *values), session
        finally:
            await release()

    def _committed(self, session: Session) -> None:
        if session.due or session.planned:
            self.on_work(NewWork(session.due, session.planned))

    async def _on_a_living_session(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives. Each session that was found dead is closed, so that there are no more
        tries than sessions and a new one.
        """
        for _ in range(self._pool.get_max_size()):
            with suppress(SessionLost):
                return await work()
        try:
            return await work()
        except SessionLost as error:
            raise Busy from error

    async def _begin(self) -> tuple[Session, Callable[[], Any]]:
        session, release = await self._acquire()
        try:
            await session.begin()
        except BaseException:
            await release()
            raise
        return session, release

    async def _acquire(self) -> tuple[Session, Callable[[], Any]]:
        try:
            connection = await self._pool.acquire(timeout=self._timeout_s)
        except CANNOT_CONNECT as error:
            # No session, whatever Postgres says of it.
            raise self.availability.not_connected(error) from error
        session = Session(
            connection, self.availability, bracketed=self.pooler is Pooler.TRANSACTIONS
        )

        async def release() -> None:
            await self._pool.release(connection)

        return session, release


def row_count(done: str) -> int:
    """How many rows a statement touched, by the tag that Postgres gave it."""
    count = done.rpartition(" ")[2]
    return int(count) if count.isdecimal() else 0


def escaped(text: str) -> str:
    """A text as LIKE finds it, whatever wildcards it holds."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("\x00", "")


__all__ = ["Database", "Session", "connect", "escaped", "row_count"]

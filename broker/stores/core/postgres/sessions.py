"""One session of the pool: its statements, and where each failure becomes a refusal.

Only what a statement, BEGIN or COMMIT raises is judged; an error of the block that uses the session
passes as it is.
"""

import contextlib
import re
from typing import Any

import asyncpg

from broker.errors import Busy
from broker.stores.core.postgres.availability import Availability
from broker.stores.core.postgres.failures import LOST, UNAVAILABLE
from broker.stores.core.queries import sql

BEGIN = (
    "BEGIN; SET LOCAL lock_timeout = '8s'; SET LOCAL idle_in_transaction_session_timeout = '15s'"
)
"""How long a statement waits for a lock, less than the client waits for the statement; and how long
a transaction may do nothing: a provider's answer takes less."""

OUTCOME_UNKNOWN = (
    "The database was lost while the change was committed: it may or may not have been made. "
    "Check before you repeat it."
)

_READS = re.compile(r"(?:--[^\n]*\n|\s)*SELECT\b", re.IGNORECASE)


class SessionLost(Exception):
    """The session ended before anything was done in it; another one can do it."""


class Session:
    """Statements on one connection. Raises Busy when Postgres cannot do one, and the driver's own
    errors for what the statement itself did, such as a constraint that does not hold.
    """

    __slots__ = ("_availability", "_bracketed", "_connection", "_open", "due", "planned")

    def __init__(
        self,
        connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
        availability: Availability,
        *,
        bracketed: bool,
    ) -> None:
        """`bracketed`: each statement needs a transaction, for behind this connection others use
        the same session between transactions.
        """
        self._connection = connection
        self._availability = availability
        self._bracketed = bracketed
        self._open = False
        self.due: frozenset[str] = frozenset()
        """Kinds of background work that was written here and is due at once."""
        self.planned = False
        """Whether background work was written that is due later."""

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await self._run(self._connection.fetch, query, values)
        return found

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        found: asyncpg.Record | None = await self._run(self._connection.fetchrow, query, values)
        return found

    async def fetchval(self, query: str, *values: Any) -> Any:
        return await self._run(self._connection.fetchval, query, values)

    async def execute(self, query: str, *values: Any) -> str:
        """Run a statement; Postgres' word and count for what it did, such as `UPDATE 3`."""
        done: str = await self._run(self._connection.execute, query, values)
        return done

    async def begin(self) -> None:
        """Begin a transaction. Raises SessionLost when the session turns out to be gone."""
        try:
            await self._connection.execute(BEGIN)
        except LOST as error:
            self._availability.statement_failed(error)
            self._close()
            raise SessionLost from error
        except UNAVAILABLE as error:
            self._close()
            raise self._availability.statement_failed(error) from error
        self._open = True

    async def commit(self) -> None:
        try:
            await self._connection.execute("COMMIT")
        except UNAVAILABLE as error:
            self._close()
            self._availability.statement_failed(error)
            raise Busy(OUTCOME_UNKNOWN) from error
        self._open = False
        self._availability.answered(written=True)

    async def rollback(self) -> None:
        """End the transaction without its changes; a session that cannot is closed, which does."""
        try:
            await self._connection.execute("ROLLBACK")
        except (asyncpg.PostgresError, *UNAVAILABLE):
            self._close()
        self._open = False

    def _close(self) -> None:
        """Close the session, which the pool may have found closed before."""
        with contextlib.suppress(asyncpg.InterfaceError):
            self._connection.terminate()

    async def _run(self, method: Any, query: str, values: tuple[Any, ...]) -> Any:
        if self._bracketed and not self._open:
            await self.begin()
            try:
                found = await self._run(method, query, values)
            except BaseException:
                await self.rollback()
                raise
            await self.commit()
            return found
        try:
            found = await method(query, *values)
        except LOST as error:
            refusal = self._availability.statement_failed(error)
            # Postgres' farewell may be here before the end of the connection is.
            self._close()
            # The driver's own refusal: it knew that the session was closed and sent nothing.
            unsent = isinstance(error, asyncpg.InterfaceError)
            if not self._open and (unsent or _READS.match(query)):
                raise SessionLost from error
            raise refusal from error
        except UNAVAILABLE as error:
            raise self._availability.statement_failed(error) from error
        self._availability.answered()
        if query in sql.due_at_once and _has_written(found):
            self.due |= sql.due_at_once[query]
        self.planned = self.planned or query in sql.due_later
        return found


def _has_written(found: Any) -> bool:
    """Whether a statement that writes has, by its rows or by Postgres' word for what it did."""
    return bool(found) and not (isinstance(found, str) and found.endswith(" 0"))

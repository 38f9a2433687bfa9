"""Whether the database is there, up to date, and opened by our keys."""

import asyncio
import time

import asyncpg

from broker.errors import BrokerError
from broker.stores.core import migrations
from broker.stores.core.database import Database
from broker.stores.core.postgres.failures import READ_ONLY
from broker.stores.core.queries import sql
from broker.stores.core.seals import Seals, WrongSealingKey

REMEMBERED_S = 1.0
"""For how long a result is given to others who ask: anybody may, as often as they like."""


class Readiness:
    """Checks what a process needs, in one session at a time, at most once a second."""

    def __init__(self, database: Database, seals: Seals) -> None:
        self._database = database
        self._seals = seals
        self._result: dict[str, str] = {}
        self._checked_at = -REMEMBERED_S
        self._check: asyncio.Task[None] | None = None

    async def check(self) -> dict[str, str]:
        """The database, its schema and its keys, each "ok" or what is wrong."""
        if time.monotonic() - self._checked_at >= REMEMBERED_S:
            if self._check is None or self._check.done():
                self._check = asyncio.create_task(self._look())
            # Whoever leaves must not cancel it for the others.
            await asyncio.shield(self._check)
        return dict(self._result)

    async def _look(self) -> None:
        checks = {"database": "ok", "schema": "ok", "keys": "ok"}
        try:
            async with self._database.session() as session:
                if await session.fetchval(sql.is_read_only):
                    checks["database"] = READ_ONLY
                if await migrations.missing(session):
                    checks["schema"] = "behind"
            if checks["schema"] == "ok" and checks["database"] == "ok":
                await self._seals.check(running=True)
        except WrongSealingKey:
            checks["keys"] = "wrong"
        except BrokerError as error:
            checks = dict.fromkeys(checks, self._database.availability.problem or error.code)
        except asyncpg.PostgresError as error:
            checks["database"] = type(error).__name__
        if checks["database"] == "ok" and self._database.availability.problem is not None:
            checks["database"] = self._database.availability.problem
        self._result, self._checked_at = checks, time.monotonic()

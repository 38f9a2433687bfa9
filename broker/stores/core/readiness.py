"""Whether the database is there, up to date, and opened by our keys."""

import asyncio
import time

import asyncpg

from broker.errors import BrokerError
from broker.stores.core import migrations
from broker.stores.core.database import Database
from broker.stores.core.seals import Seals

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
            await self._seals.check()
        except BrokerError as error:
            checks = dict.fromkeys(checks, error.code)
        except Exception as error:  # noqa: BLE001  # readiness says no, whatever it is
            checks["keys"] = type(error).__name__
        if checks["database"] == "ok":
            try:
                async with self._database.session() as session:
                    if await migrations.missing(session):
                        checks["schema"] = "behind"
            except BrokerError as error:
                checks["database"] = error.code
            except asyncpg.PostgresError as error:
                checks["database"] = type(error).__name__
        self._result, self._checked_at = checks, time.monotonic()

"""Whether the database is there, up to date, and opened by our keys."""

import asyncpg

from broker.errors import BrokerError
from broker.stores.core import migrations
from broker.stores.core.seals import Seals


async def readiness(seals: Seals, dsn: str) -> dict[str, str]:
    """The database, its schema and its keys, each "ok" or what is wrong."""
    checks = {"database": "ok", "schema": "ok", "keys": "ok"}
    try:
        await seals.check()
    except BrokerError as error:
        checks["database"] = checks["schema"] = checks["keys"] = error.code
        return checks
    except Exception as error:  # noqa: BLE001  # readiness says no, whatever it is
        checks["keys"] = type(error).__name__
    try:
        await migrations.check(dsn)
    except migrations.SchemaMissing:
        checks["schema"] = "behind"
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        checks["database"] = type(error).__name__
    return checks

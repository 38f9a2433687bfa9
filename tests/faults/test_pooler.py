"""A broker behind PgBouncer, which hands one session of Postgres to another client after each
transaction.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg
import pytest

from broker.stores.core import migrations
from broker.stores.core.database import connect
from broker.stores.core.postgres.pooler import Pooler
from tests.fixtures.brokers import SEALING_KEY
from tests.fixtures.pooler import PROGRAM, version
from tests.until import until

pytestmark = pytest.mark.skipif(not Path(PROGRAM).exists(), reason="pgbouncer is not installed")


async def test_migrations_through_a_pooler_leave_no_lock_behind(empty_dsn, pooled):
    """F9."""
    through = pooled(empty_dsn)

    first = await asyncio.wait_for(migrations.upgrade(through), 60)

    assert first == ["0001-schema"]
    assert await asyncio.wait_for(migrations.upgrade(through), 20) == []
    assert await asyncio.wait_for(migrations.upgrade(empty_dsn), 20) == []
    session = await asyncpg.connect(empty_dsn)
    try:
        locks = (
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1::int8::oid"
        )
        assert await session.fetchval(locks, migrations.LOCK & 0xFFFFFFFF) == 0
    finally:
        await session.close()


async def test_statements_of_many_clients_of_two_sessions_never_meet(dsn, pooled):
    """F9: prepared statements of one name, and unnamed ones between two messages."""
    one, other = await connect(pooled(dsn)), await connect(pooled(dsn))
    expected = Pooler.TRANSACTIONS if version() < (1, 21) else Pooler.STATEMENTS
    try:
        assert {one.pooler, other.pooler} == {expected}

        async def ask(database, number):
            found = await database.fetchval("SELECT $1::int8 + 1", number)
            text = await database.fetchval("SELECT 'x' || $1::text", str(number))
            async with database.transaction() as session:
                again = await session.fetchval("SELECT $1::int8 + 2", number)
            return found, text, again

        answers = await asyncio.gather(
            *(ask(database, number) for number in range(100) for database in (one, other))
        )
    finally:
        await one.close()
        await other.close()

    wanted = [(n + 1, f"x{n}", n + 2) for n in range(100) for _ in range(2)]
    assert answers == wanted


async def test_postgres_itself_is_not_taken_for_a_pooler(dsn):
    database = await connect(dsn)

    assert database.pooler is None
    await database.close()


async def test_a_broker_behind_a_pooler_hears_of_changes_on_its_direct_line(
    start_process, broker, dsn, pooled
):
    """F9: with a URL for LISTEN and migrations of its own."""
    assert (await broker.connects("u1")).status in {200, 303}
    another = await broker.makes_key("proxy")
    _, url = await start_process(BROKER_DATABASE_URL=pooled(dsn), BROKER_MIGRATION_DATABASE_URL=dsn)
    call = f"{url}/proxy/hbdev/u1/_echo/x"
    for _ in range(20):
        assert (await broker.asks("GET", call)).status == 200
        assert (await broker.asks("GET", f"{url}/api/apps/hbdev")).status == 200
    assert (await broker.asks("GET", f"{url}/readyz", key="")).status == 200
    assert (await broker.asks("GET", call, key=another)).status == 200

    session = await asyncpg.connect(dsn)
    await session.execute("UPDATE api_key SET revoked_at = now() WHERE name = 'another'")
    await session.execute("SELECT pg_notify('broker_invalidation', '')")
    await session.close()

    async def is_refused():
        return (await broker.asks("GET", call, key=another)).status == 401

    await until(is_refused, within=5)


async def test_the_doctor_says_that_notifications_do_not_come_through_a_pooler(
    dsn, pooled, hubspot
):
    """F9."""

    async def doctor(*, as_json=True, **settings):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "broker", "doctor", *(["--json"] if as_json else [])),
            env={
                **{n: each for n, each in os.environ.items() if not n.startswith("BROKER_")},
                "BROKER_DATABASE_URL": pooled(dsn),
                "BROKER_SEALING_KEYS": SEALING_KEY,
                "BROKER_HUBSPOT_API_URL": hubspot.url,
                **settings,
            },
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        return json.loads(output) if as_json else output.decode()

    alone = await doctor()
    with_direct = await doctor(BROKER_MIGRATION_DATABASE_URL=dsn)

    text = await doctor(as_json=False, BROKER_MIGRATION_DATABASE_URL=dsn)

    assert "set BROKER_MIGRATION_DATABASE_URL" in alone["notifications"]
    if version() < (1, 21):
        found = "it does not keep prepared statements apart (PgBouncer before 1.21"
    else:
        found = "it keeps prepared statements apart"
    assert f"ok    pooler: {found}" in text
    assert "ok    database sessions: up to 10 a process at the pooler" in text
    assert {with_direct[each] for each in ("database", "notifications", "schema", "keys")} == {"ok"}

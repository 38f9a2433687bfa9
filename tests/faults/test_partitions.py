"""The call log's partitions: a day each, made ahead and dropped whole."""

from datetime import UTC, datetime, timedelta

import pytest

from broker.stores.core import partitions
from broker.stores.proxy.calls import call_log

CALLS = [call_log(30)]
CALL = "/_echo/call"


async def days(database):
    rows = await database.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'proxied_call'::regclass ORDER BY relname"
    )
    return [row[0].removeprefix("proxied_call_") for row in rows]


async def logged(broker, database):
    await broker.proxies(CALL)
    await broker.parts.call_log.flush()
    return await database.fetch("SELECT tableoid::regclass::text AS place, at FROM proxied_call")


@pytest.fixture
async def connected(broker):
    await broker.connects("u1")
    return broker


async def test_calls_before_the_first_partition_are_moved_into_it(connected, dsn, database):
    before = await logged(connected, database)
    assert [row["place"] for row in before] == ["proxied_call_rest"]

    assert await partitions.maintain(dsn, CALLS) == 4
    assert await partitions.maintain(dsn, CALLS) == 0

    today = datetime.now(UTC).date()
    ahead = [f"{today + timedelta(days=n):%Y%m%d}" for n in range(4)]
    assert await days(database) == [*ahead, "rest"]
    after = await logged(connected, database)
    assert [row["place"] for row in after] == [f"proxied_call_{ahead[0]}"] * 2
    shown = (await connected.asks("GET", "/api/apps/hbdev/calls")).json()["calls"]
    assert len(shown) == 2


async def test_a_day_is_dropped_when_its_last_call_is_old_enough(connected, dsn, database):
    today = datetime.now(UTC).date()
    await partitions.maintain(dsn, CALLS, today - timedelta(days=31))

    assert await partitions.maintain(dsn, CALLS, today) == 5

    found = await days(database)
    assert f"{today - timedelta(days=31):%Y%m%d}" not in found
    assert f"{today - timedelta(days=30):%Y%m%d}" in found


async def test_no_day_is_kept_where_no_call_is_logged(dsn, database):
    await partitions.maintain(dsn, CALLS)

    later = datetime.now(UTC).date() + timedelta(days=9)
    assert await partitions.maintain(dsn, [call_log(0)], later) == 4
    assert await days(database) == ["rest"]


async def test_a_table_in_use_is_left_for_later(dsn, database, monkeypatch):
    monkeypatch.setattr(partitions, "LOCK_WAIT", "50ms")
    async with database.transaction():
        await database.execute("LOCK TABLE proxied_call IN ACCESS SHARE MODE")
        assert await partitions.maintain(dsn, CALLS) == 0
    assert await partitions.maintain(dsn, CALLS) == 4


async def test_a_role_that_may_not_make_partitions_loses_no_call(connected, dsn, database, caplog):
    await database.execute("DROP ROLE IF EXISTS caller_only")
    await database.execute("CREATE ROLE caller_only LOGIN")
    try:
        of_role = dsn.replace("postgresql://postgres@", "postgresql://caller_only@")
        assert await partitions.maintain(of_role, CALLS) == 0
        assert "partitions_not_maintained" in [record.message for record in caplog.records]
        assert len(await logged(connected, database)) == 1
    finally:
        await database.execute("DROP ROLE caller_only")

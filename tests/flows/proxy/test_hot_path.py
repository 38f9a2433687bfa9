"""What one call costs in the database."""

import asyncio
import time

import asyncpg

CALL = "/_echo/x"


ASIDE = {"write_calls", "record_last_used", "extend_shares"}
"""What a process does every few seconds for all calls together, whoever calls just then."""


class Queries:
    """The statements that the broker's pool runs for its callers, by their names."""

    def __init__(self, broker):
        self._pool = broker.parts.database._pool
        self.names = []

    async def __aenter__(self):
        connections = [await self._pool.acquire() for _ in range(self._pool.get_max_size())]
        for connection in connections:
            connection.add_query_logger(self._note)
        for connection in connections:
            await self._pool.release(connection)
        return self

    async def __aexit__(self, *_):
        pass

    def _note(self, record):
        name = record.query.removeprefix("-- ").partition("\n")[0]
        if name not in ASIDE:
            self.names.append(name)


async def test_a_call_on_a_connection_used_within_seconds_asks_the_database_nothing(broker):
    await broker.connects("u1")

    async with Queries(broker) as queries:
        broker.parts.invalidate_caches()
        await broker.proxies(CALL)
        queries.names.clear()
        for _ in range(20):
            assert (await broker.proxies(CALL)).status == 200

    assert queries.names == []


FIRST = [
    "BEGIN;",
    "COMMIT;",
    "caller_of_secret",
    "connection_of_user",
    "lock_quota",
    "other_shares_of_quota",
    "write_share",
]
"""What a first call asks: who calls, as whom, and for permits of the account's quota."""


async def test_a_first_call_reads_the_key_and_the_connection_and_takes_permits(broker):
    await broker.connects("u1")

    async with Queries(broker) as queries:
        broker.parts.invalidate_caches()
        assert (await broker.proxies(CALL)).status == 200

    assert sorted(queries.names) == FIRST


async def test_a_thousand_who_miss_at_once_share_one_read(broker):
    await broker.connects("u1")

    async with Queries(broker) as queries:
        broker.parts.invalidate_caches()
        answers = await asyncio.gather(*(broker.proxies(CALL) for _ in range(60)))

    assert {answer.status for answer in answers} == {200}
    assert sorted(queries.names) == FIRST


async def test_a_deleted_connection_stops_elsewhere_though_the_doorbell_is_cut(
    broker, second_broker, database
):
    """F4, U9."""
    await broker.connects("u1")
    assert (await second_broker.proxies(CALL)).status == 200

    await database.execute("DELETE FROM connection")
    deleted, last = time.monotonic(), 0.0
    while time.monotonic() - deleted < 6:
        if (await second_broker.proxies(CALL)).status == 404:
            break
        last = time.monotonic() - deleted
        await asyncio.sleep(0.1)

    assert last < 5.2
    assert (await second_broker.proxies(CALL)).status == 404


async def test_the_doorbell_is_hung_up_again_after_a_lost_connection(broker, database):
    """F4."""

    async def pids():
        rows = await database.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'broker doorbell' AND datname = current_database()"
        )
        return {row["pid"] for row in rows}

    for _ in range(50):
        before = await pids()
        if before:
            break
        await asyncio.sleep(0.05)
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'broker doorbell' AND datname = current_database()"
    )
    for _ in range(80):
        after = await pids()
        if after - before:
            break
        await asyncio.sleep(0.05)

    assert len(before) == 1
    assert len(after - before) == 1


async def test_calls_on_warm_connections_go_on_while_the_database_is_away(
    broker, database, postgres
):
    """F1: the database takes no connection and ends those that there are."""
    await broker.connects("u1")
    assert (await broker.proxies(CALL)).status == 200
    name = await database.fetchval("SELECT current_database()")
    for recent in (
        broker.parts.proxy._cache,
        broker.parts.callers._cache,
    ):
        recent._values = {key: (at - 6, value) for key, (at, value) in recent._values.items()}

    operator = await asyncpg.connect(postgres)
    await operator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    during = await broker.proxies(CALL)
    cold = await broker.proxies(CALL, user="u2")
    ready = await broker.asks("GET", "/readyz", key="")
    alive = await broker.asks("GET", "/healthz", key="")
    await operator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    await operator.close()
    after = await broker.proxies(CALL)

    assert (during.status, after.status) == (200, 200)
    assert (cold.status, cold.code) == (503, "busy")
    assert cold.headers["Retry-After"]
    assert (ready.status, alive.status) == (503, 200)

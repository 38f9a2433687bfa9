"""What one call costs in the database."""

import asyncio
import json
from uuid import uuid4

import pytest

from tests.fixtures.broker_client import RETURN_URL
from tests.fixtures.wire import Wire
from tests.until import until

CALL = "/_echo/x"


ASIDE = {"write_calls", "record_last_used", "extend_shares"}
"""What a process does every few seconds for all calls together, whoever calls just then."""


class Statements:
    """What the broker sends to Postgres for its callers, by the names of its queries."""

    def __init__(self, wire):
        self._sent = wire.statements

    @property
    def names(self):
        found = (
            text.strip().removeprefix("-- ").partition("\n")[0].partition(";")[0]
            for text in self._sent
        )
        return [name for name in found if name not in ASIDE]

    def clear(self):
        self._sent.clear()


@pytest.fixture
async def wire(dsn):
    async with Wire(dsn) as wire:
        yield wire


@pytest.fixture
def statements(wire):
    return Statements(wire)


@pytest.fixture
async def broker(wire, start_broker):
    """A broker whose statements are counted on their way."""
    started = await start_broker(database_url=wire.dsn)
    await started.makes_workspace()
    assert (await started.registers()).status == 201
    return started


async def test_a_call_on_a_connection_used_within_seconds_asks_the_database_nothing(
    broker, statements
):
    await broker.connects("u1")

    statements.clear()
    broker.parts.invalidate_caches()
    await broker.proxies(CALL)
    statements.clear()
    for _ in range(20):
        assert (await broker.proxies(CALL)).status == 200

    assert statements.names == []


FIRST = [
    "BEGIN",
    "COMMIT",
    "caller_of_secret",
    "connection_of_user",
    "lock_quota",
    "other_shares_of_quota",
    "write_share",
]
"""What a first call asks: who calls, as whom, and for permits of the account's quota."""


async def test_a_first_call_reads_the_key_and_the_connection_and_takes_permits(broker, statements):
    await broker.connects("u1")

    statements.clear()
    broker.parts.invalidate_caches()
    assert (await broker.proxies(CALL)).status == 200

    assert sorted(statements.names) == FIRST


async def hear_all(broker, database, *payloads):
    """Notify as another process would; returns once the broker has heard these and all before."""

    def heard():
        labels = {"kind": "recipe"}
        return broker.parts.metrics.registry.get_sample_value("broker_invalidations_total", labels)

    before = heard()
    for payload in (*payloads, f"recipe {uuid4()}/none"):  # they are heard in order
        await database.execute("SELECT pg_notify('broker_invalidation', $1)", payload)
    await until(lambda: heard() != before)


UNRELATED = {
    "a connect session for another user": lambda broker: broker.asks(
        "POST",
        "/api/connect/sessions",
        json={"app": "hbdev", "userForeignIdentifier": "u2", "returnUrl": RETURN_URL},
    ),
    "another user connects": lambda broker: broker.connects("u2", portal=102),
    "another user is disconnected": lambda broker: broker.asks(
        "DELETE", "/api/apps/hbdev/connections/gone"
    ),
    "another app changes": lambda broker: broker.asks("PATCH", "/api/apps/other", json={}),
    "an app is registered": lambda broker: broker.registers("third"),
    "an endpoint is added": lambda broker: broker.sends_to("https://product.example/hook"),
    "a call that writes": lambda broker: broker.proxies(CALL, method="POST", json={}),
    "a wrapped call": lambda broker: broker.asks(
        "POST",
        "/api/raw/hbdev",
        json={"method": "GET", "url": CALL, "userForeignIdentifier": "u1"},
    ),
    "a kickoff that is refused": lambda broker: broker.asks(
        "POST", "/api/recipes/kyb/hbdev", json={"userForeignIdentifier": "u1", "companyId": "1"}
    ),
}


@pytest.mark.parametrize("write", UNRELATED.values(), ids=UNRELATED)
async def test_a_warm_call_stays_without_a_query_after_an_unrelated_write(
    broker, database, statements, write
):
    await broker.connects("u1")
    await broker.connects("gone", portal=102)
    assert (await broker.registers("other")).status == 201
    await hear_all(broker, database)
    assert (await broker.proxies(CALL)).status == 200

    await write(broker)
    await hear_all(broker, database)
    statements.clear()
    assert (await broker.proxies(CALL)).status == 200

    assert statements.names == []


@pytest.mark.parametrize(
    "names", ["connection {workspace}/hbdev/u2", "app {workspace}/other", "key {other}"]
)
async def test_a_notification_of_an_unrelated_change_leaves_a_warm_call_without_a_query(
    broker, database, statements, names
):
    await broker.connects("u1")
    await hear_all(broker, database)
    assert (await broker.proxies(CALL)).status == 200
    payload = names.format(workspace=broker.workspace, other=uuid4())

    statements.clear()
    await hear_all(broker, database, payload)
    assert (await broker.proxies(CALL)).status == 200

    assert statements.names == []


@pytest.mark.parametrize(
    ("names", "read"),
    [
        ("connection {workspace}/hbdev/u1", ["connection_of_user"]),
        ("app {workspace}/hbdev", ["connection_of_user"]),
        ("key {key}", ["caller_of_secret"]),
        ("", ["caller_of_secret", "connection_of_user"]),
        ("something that a newer version knows", ["caller_of_secret", "connection_of_user"]),
    ],
)
async def test_a_notification_discards_what_it_names_and_no_more(
    broker, database, statements, names, read
):
    await broker.connects("u1")
    await hear_all(broker, database)
    assert (await broker.proxies(CALL)).status == 200
    key = await database.fetchval("SELECT id FROM api_key")

    statements.clear()
    await hear_all(broker, database, names.format(workspace=broker.workspace, key=key))
    assert (await broker.proxies(CALL)).status == 200

    assert sorted(statements.names) == read


async def test_a_change_holds_for_the_next_call_of_the_same_process(broker):
    await broker.connects("u1")
    assert (await broker.proxies(CALL)).status == 200

    closed = await broker.asks("PATCH", "/api/apps/hbdev", json={"policy": []})
    refused = await broker.proxies(CALL)
    await broker.asks("PATCH", "/api/apps/hbdev", json={"policy": None})
    passed = await broker.proxies(CALL)
    await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")
    gone = await broker.proxies(CALL)

    assert closed.status == 200
    assert [refused.code, passed.status, gone.code] == ["call-refused", 200, "connection-not-found"]


async def test_a_thousand_who_miss_at_once_share_one_read(broker, statements):
    await broker.connects("u1")

    statements.clear()
    broker.parts.invalidate_caches()
    answers = await asyncio.gather(*(broker.proxies(CALL) for _ in range(60)))

    assert {answer.status for answer in answers} == {200}
    assert sorted(statements.names) == FIRST


async def test_a_connection_deleted_without_a_notification_stops_within_five_seconds(
    broker, second_broker, database, clock
):
    """F4, U9."""
    await broker.connects("u1")
    assert (await second_broker.proxies(CALL)).status == 200

    await database.execute("DELETE FROM connection")
    clock.at += 5.0
    assert (await second_broker.proxies(CALL)).status == 404


async def test_the_listener_reconnects_after_a_lost_connection(broker, database):
    """F4."""

    async def pids():
        rows = await database.fetch(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'broker listener' AND datname = current_database()"
        )
        return {row["pid"] for row in rows}

    before = await until(pids)
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'broker listener' AND datname = current_database()"
    )

    async def others():
        return await pids() - before

    after = await until(others)

    assert len(before) == 1
    assert len(after) == 1


async def test_calls_on_warm_connections_go_on_while_the_database_is_away(
    broker, second_broker, database, operator, clock, no_secret_in_the_logs
):
    """F1: the database takes no connection and ends those that there are."""
    await broker.connects("u1")
    broker = second_broker
    assert (await broker.proxies(CALL)).status == 200
    clock.at += 6  # what is cached must be read again
    name = await database.fetchval("SELECT current_database()")

    await operator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    await operator.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
    )
    during = await broker.proxies(CALL)
    cold = await broker.proxies(CALL, user="u2")
    nowhere = await broker.proxies(CALL, user="u2", slug="other")
    stranger = await broker.proxies(CALL, user="u2", key="bs_" + "0" * 40)
    ready = await broker.asks("GET", "/readyz", key="")
    alive = await broker.asks("GET", "/healthz", key="")
    registry = broker.parts.metrics.registry
    down = registry.get_sample_value("broker_database_up")
    await operator.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    after = await broker.proxies(CALL)

    async def is_up():
        await broker.proxies(CALL, user="u2")
        return registry.get_sample_value("broker_database_up") == 1

    await until(is_up)
    assert down == 0

    assert (during.status, after.status) == (200, 200)
    assert (cold.status, cold.code) == (503, "busy")
    assert cold.headers["Retry-After"]
    assert [each.code for each in (nowhere, stranger)] == ["busy", "busy"]
    await broker.parts.call_log.flush()
    logged = await broker.asks("GET", "/api/apps/hbdev/calls", params={"error": "busy"})
    (call,) = logged.json()["calls"]
    assert (call["requestId"], call["userForeignIdentifier"], call["status"]) == (
        cold.headers["Broker-Request-Id"],
        "u2",
        503,
    )
    assert registry.get_sample_value("broker_refusals_total", {"code": "busy"}) >= 3
    assert registry.get_sample_value("broker_calls_not_logged_total") == 1, "of no known app"
    lines = [json.loads(line) for line in no_secret_in_the_logs.getvalue().splitlines()]
    by_id = {each.get("request_id"): each for each in lines if each["event"] == "answered"}
    for answer, fields in [
        (cold, ("hbdev", "u2")),
        (nowhere, ("other", "u2")),
        (stranger, ("hbdev", None)),
    ]:
        line = by_id[answer.headers["Broker-Request-Id"]]
        assert (line["app"], line.get("user"), line["error"]) == (*fields, "busy")
        assert ("key" in line) == (answer is not stranger)
    assert (ready.status, alive.status) == (503, 200)

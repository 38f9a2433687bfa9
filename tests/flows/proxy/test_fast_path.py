"""The fast path: which calls take it, and that nobody can tell, but by the time."""

import asyncio
import json

import pytest
from yarl import URL

from broker.sandbox.core.faults import Fault
from tests.until import until

LINE = "GET /proxy/hbdev/u1{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n"


@pytest.fixture
async def warm(broker):
    """A broker that has what a call needs in memory."""
    await broker.connects("u1")
    for _ in range(3):  # the second has to wait for permits of the limit that the first announced
        await broker.proxies("/crm/v3/objects/contacts?limit=1")
    return broker


@pytest.fixture
def taken(warm):
    """How many calls the fast path began and completed since the last time."""
    counts = warm.parts.metrics.fast_path
    last = [counts.started, counts.completed]

    def since():
        now = [counts.started, counts.completed]
        begun, completed = (a - b for a, b in zip(now, last, strict=True))
        last[:] = now
        return begun, completed

    return since


async def logged(broker, database):
    await broker.parts.call_log.flush()
    return await database.fetch("SELECT * FROM proxied_call ORDER BY at, id")


async def test_a_warm_call_takes_the_fast_path_and_is_logged_and_counted(warm, taken, database):
    answer = await warm.proxies("/_echo/x?a=1")

    assert answer.status == 200
    assert taken() == (1, 1)
    rows = await logged(warm, database)
    assert (rows[-1]["path"], rows[-1]["status"], rows[-1]["error"]) == ("/{id}/{id}", 200, None)
    assert rows[-1]["request_id"] == answer.headers["Broker-Request-Id"]
    value = warm.parts.metrics.registry.get_sample_value
    route = {"route": "/proxy/{slug}/{user}/{target}", "status": "2xx"}
    assert value("broker_request_seconds_count", route) == len(rows)
    assert value("broker_fast_path_calls_total", {"outcome": "completed"}) >= 1


async def test_it_answers_as_the_handler_does(warm, taken):
    """`Prefer` alone sends a call to the handler."""
    own = {
        "broker-request-id",
        "x-request-id",
        "x-hubspot-correlation-id",
        "date",
        "x-hubspot-ratelimit-remaining",
    }
    for path, rest in (
        ("/_echo/x", {}),
        ("/_echo/x", {"method": "POST", "data": b'{"a":1}'}),
        ("/_bytes/3000", {}),
        ("/_status/404", {}),
        ("/_status/400", {"method": "PATCH", "data": b"{}"}),
        ("/crm/v3/objects/contacts?limit=1", {}),
    ):
        ordinary = await warm.proxies(path, headers={"Prefer": "wait=5"}, **rest)
        assert taken() == (0, 0), path
        fast = await warm.proxies(path, **rest)
        assert taken() == (1, 1), path
        assert (fast.status, fast.body) == (ordinary.status, ordinary.body), path
        headers = [
            [pair for pair in each.headers.items() if pair[0].lower() not in own]
            for each in (fast, ordinary)
        ]
        assert sorted(headers[0]) == sorted(headers[1]), path


async def test_what_it_may_not_send_the_handler_refuses(warm, taken, hubspot):
    reader = await warm.makes_key("proxy:read")
    hubspot.seen.clear()
    for path, code, rest in (
        ("/_echo/x%00y", "invalid-request", {}),
        ("/_echo/x?hapikey=1", "invalid-request", {}),
        ("/_echo/x", "not-allowed", {"method": "POST", "data": b"{}", "key": reader}),
    ):
        for _ in range(2):
            answer = await warm.proxies(path, **rest)
            assert answer.headers["Broker-Error"] == code, path

    assert taken() == (0, 0)
    assert not hubspot.seen


@pytest.mark.parametrize(
    ("fault", "status", "sent"),
    [
        (Fault("/_echo/*", "status", status=503, times=1), 200, 2),
        (Fault("/_echo/*", "status", status=477, times=1), 477, 1),
    ],
    ids=["503", "477"],
)
async def test_what_has_to_be_dealt_with_is_handed_over_with_what_was_begun(
    warm, taken, hubspot, database, fault, status, sent
):
    """One log row, under the id that was given at the beginning, and no attempt too many."""
    before = len(await logged(warm, database))
    hubspot.seen.clear()
    hubspot.faults.add(fault)

    answer = await warm.proxies("/_echo/x")

    rows = (await logged(warm, database))[before:]
    assert (answer.status, len(hubspot.seen)) == (status, sent)
    assert taken() == (1, 0)
    assert len(rows) == 1
    assert rows[0]["request_id"] == answer.headers["Broker-Request-Id"]
    assert rows[0]["retries"] == sent - 1


@pytest.mark.parametrize("status", [200, 404])
async def test_a_number_that_no_header_holds_does_not_cost_a_caller_the_answer(
    warm, taken, hubspot, status
):
    digits = "9" * 5_000
    limits = {"X-HubSpot-RateLimit-Max": digits, "Retry-After": digits}
    hubspot.faults.add(Fault(f"/_status/{status}", "headers", headers=limits))

    for headers in ({}, {"Prefer": "wait=5"}):
        answer = await asyncio.wait_for(warm.proxies(f"/_status/{status}", headers=headers), 10)
        assert answer.status == status
    assert taken() == (1, 1)


async def test_a_token_that_ends_early_is_renewed_by_the_handler(warm, taken, hubspot, database):
    hubspot.expire_access_tokens()

    answer = await warm.proxies("/_echo/x")

    assert answer.status == 200
    assert taken() == (1, 0)
    assert (await logged(warm, database))[-1]["renewed"]


async def test_requests_in_a_row_are_answered_in_their_order(warm, taken):
    """Eight at once on one connection, the fifth of which is not for the fast path."""
    reader, writer = await asyncio.open_connection("localhost", URL(warm.url).port)
    lines = [LINE.format(f"/_echo/{n}", warm.key) for n in range(8)]
    lines[4] = lines[4].replace("\r\n\r\n", "\r\nPrefer: wait=1\r\n\r\n")
    writer.write("".join(lines).encode())
    targets = []
    for _ in lines:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        targets.append(json.loads(await reader.readexactly(length))["target"])
    writer.close()

    assert targets == [f"/_echo/{n}" for n in range(8)]
    assert taken() == (4, 4), "the handler answers what came meanwhile"


async def test_a_caller_who_leaves_frees_the_provider_and_is_logged(warm, taken, hubspot, database):
    hubspot.faults.add(Fault("/_echo/slow", "delay", seconds=30, times=1))
    _, writer = await asyncio.open_connection("localhost", URL(warm.url).port)
    writer.write(LINE.format("/_echo/slow", warm.key).encode())
    await until(lambda: warm.parts.providers.in_flight == 1, within=10)

    writer.transport.abort()

    await until(lambda: warm.parts.providers.in_flight == 0, within=10)
    row = (await logged(warm, database))[-1]
    assert (row["path"], row["status"], row["error"]) == ("/{id}/slow", 499, "caller-left")
    assert taken() == (1, 0)


async def test_a_body_that_the_fast_path_leaves_reaches_the_handler(broker, hubspot):
    """A first call, for which nothing is in memory yet, comes with its body."""
    await broker.connects("u1")

    answer = await broker.proxies("/_echo/x", method="POST", data=b'{"name":"Ada"}')

    assert broker.parts.metrics.fast_path.started == 0
    assert answer.json()["bodyLength"] == 14

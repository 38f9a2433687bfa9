"""Second tries: where they are safe, and never many."""

import asyncio

import pytest

from broker.sandbox.core.faults import Fault

PATH = "/_echo/x"


async def outcome(broker, hubspot, fault, method, body=None, path=PATH, **rest):
    """What the caller gets, and how often HubSpot was asked, when the first answer is a fault."""
    hubspot.faults.clear()
    hubspot.faults.add(fault)
    before = sum("_echo" in seen.raw_path or "/crm" in seen.raw_path for seen in hubspot.seen)
    answer = await broker.proxies(path, method=method, data=body, **rest)
    attempts = sum("_echo" in seen.raw_path or "/crm" in seen.raw_path for seen in hubspot.seen)
    return answer.status, attempts - before


async def test_what_may_be_sent_twice_is_and_nothing_else(broker, hubspot, monkeypatch):
    await broker.connects("u1")
    monkeypatch.setattr("broker.services.quota.retry_budget.PER_CALL", 5.0)

    def status(code, **headers):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return Fault("/*", "status", status=code, times=1, headers=names)

    for code in (502, 503, 504, 520, 521, 524):
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            assert await outcome(broker, hubspot, status(code), method) == (200, 2), (code, method)
        for method in ("POST", "PATCH"):
            assert await outcome(broker, hubspot, status(code), method, b"{}") == (code, 1)
    for method in ("GET", "POST", "PATCH"):
        assert await outcome(broker, hubspot, status(429), method, b"{}") == (200, 2)
        assert await outcome(broker, hubspot, status(477, Retry_After="0"), method) == (200, 2)
        assert await outcome(broker, hubspot, status(477, Retry_After="600"), method) == (477, 1)
        assert await outcome(broker, hubspot, status(503, Retry_After="600"), method) == (503, 1)
    for code in (400, 401, 403, 404, 408, 409, 500, 501):
        assert await outcome(broker, hubspot, status(code), "GET") == (code, 1)
    search = "/crm/v3/objects/contacts/search"
    assert await outcome(broker, hubspot, status(503), "POST", b"{}", search) == (200, 2)
    archive = "/crm/v3/objects/contacts/batch/archive"
    assert await outcome(broker, hubspot, status(503), "POST", b"{}", archive) == (503, 1)


async def test_a_kept_connection_that_proves_dead_costs_a_read_nothing(broker, hubspot):
    """RFC 9110 section 9.2.2; a search reads, though it is a POST."""
    await broker.connects("u1")
    search = "/crm/v3/objects/contacts/search"

    for method, path, expected in (
        ("GET", PATH, (200, 2)),
        ("POST", search, (200, 2)),
        ("POST", PATH, (502, 1)),
        ("PATCH", PATH, (502, 1)),
    ):
        assert (await broker.proxies(PATH)).status == 200  # which leaves a connection
        fault = Fault("/*", "lose-answer", times=1)
        assert await outcome(broker, hubspot, fault, method, b"{}", path) == expected


async def test_a_lock_is_waited_for(broker, hubspot):
    await broker.connects("u1")
    fault = Fault("/*", "status", status=423, times=1)

    assert await outcome(broker, hubspot, fault, "PATCH", b"{}") == (200, 2)


async def test_a_body_that_cannot_be_sent_again_is_not(broker, hubspot):
    await broker.connects("u1")
    fault = Fault("/*", "status", status=503, times=1)

    async def parts():
        yield b"x" * 300_000

    assert await outcome(broker, hubspot, fault, "PUT", parts()) == (503, 1)


async def test_the_last_answer_is_the_callers(broker, hubspot):
    await broker.connects("u1")
    hubspot.faults.add(Fault("/*", "html", status=503))

    answer = await broker.proxies(PATH)

    assert answer.status == 503
    assert b"cloudflare" in answer.body
    assert "Broker-Error" not in answer.headers


async def test_a_failed_try_is_not_left_half_read(broker, hubspot):
    await broker.connects("u1")
    fault = Fault("/*", "status", status=503, times=1, body="x" * 5_000_000)

    assert await outcome(broker, hubspot, fault, "GET") == (200, 2)
    assert broker.parts.providers.in_flight == 0


async def test_an_account_that_is_unwell_is_not_asked_much_more_often(broker, hubspot):
    """F11: at most 1.1 times; another account goes on as if nothing were."""
    await broker.connects("u1")
    await broker.connects("u2", portal=102)
    fault = hubspot.faults.add(Fault("/_echo/sick", "status", status=503))

    sick = await asyncio.gather(*(broker.proxies("/_echo/sick") for _ in range(100)))
    well = [await broker.proxies("/_echo/x", user="u2") for _ in range(20)]

    assert {answer.status for answer in sick} == {503}
    assert {answer.status for answer in well} == {200}
    assert 101 <= fault.hits <= 110


async def test_who_cannot_be_reached_is_tried_again_and_told(broker, start_broker, unused_tcp_port):
    await broker.connects("u1")
    cut_off = await start_broker(hubspot_api_url=f"http://127.0.0.1:{unused_tcp_port}")
    cut_off.key = broker.key

    answer = await cut_off.proxies(PATH, method="POST", data=b"{}")

    assert (answer.status, answer.code) == (502, "hubspot-unavailable")
    await cut_off.parts.call_log.flush()
    calls = (await broker.asks("GET", "/api/apps/hbdev/calls")).json()["calls"]
    assert calls[0]["retries"] == 2


@pytest.mark.parametrize("total", [1.5])
async def test_there_is_no_second_try_beyond_the_deadline(start_broker, hubspot, total):
    broker = await start_broker(upstream_total_s=total)
    await broker.makes_workspace()
    await broker.registers()
    await broker.connects("u1")
    fault = hubspot.faults.add(Fault("/*", "status", status=423))

    assert (await broker.proxies(PATH)).status == 423
    assert fault.hits == 1

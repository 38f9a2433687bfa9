"""What was called for whom, and what came of it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from broker.providers.hubspot.templates import template_of
from broker.sandbox.core.faults import Fault
from broker.services.proxy import call_log
from broker.services.proxy.trace import CallTrace

CALLS = "/api/apps/hbdev/calls"


async def logged(broker, **query):
    await broker.parts.call_log.flush()
    answer = await broker.asks("GET", CALLS, params=query)
    assert answer.status == 200, answer.body
    return answer.json()


async def test_every_call_is_logged_with_who_what_and_how_it_ended(broker, hubspot):
    """O7."""
    await broker.connects("u1")
    created = await broker.proxies(
        "/crm/v3/objects/contacts?x=canary-query",
        method="POST",
        json={"properties": {"email": "canary-body@acme.example"}},
    )
    await broker.proxies(f"/crm/v3/objects/contacts/{created.json()['id']}?properties=email")
    await broker.proxies("/crm/v3/objects/contacts/ada%40acme.example?idProperty=email")

    calls = (await logged(broker))["calls"]

    assert [(call["method"], call["path"], call["status"]) for call in calls] == [
        ("GET", "/crm/v3/objects/contacts/{id}", 404),
        ("GET", "/crm/v3/objects/contacts/{id}", 200),
        ("POST", "/crm/v3/objects/contacts", 201),
    ]
    assert calls[2]["bytes"] == len(created.body)
    assert calls[2]["requestId"] == created.headers["Broker-Request-Id"]
    assert {call["userForeignIdentifier"] for call in calls} == {"u1"}
    assert {(call["retries"], call["renewed"], call["error"]) for call in calls} == {
        (0, False, None)
    }
    assert all(call["keyId"] and call["ms"] >= 0 for call in calls)


async def test_nothing_of_a_query_a_body_or_a_name_is_kept(broker, database):
    await broker.connects("u1")
    await broker.proxies(
        "/contacts/v1/contact/email/secret.name@acme.example/profile?q=secret-query",
        method="POST",
        data=b"secret-body",
        headers={"X-Mine": "secret-header"},
    )
    await broker.parts.call_log.flush()

    rows = await database.fetch("SELECT proxied_call::text AS row FROM proxied_call")

    assert len(rows) == 1
    assert "secret" not in rows[0]["row"]


async def test_refusals_renewals_and_broken_answers_are_told(broker, hubspot):
    await broker.connects("u1")
    hubspot.expire_access_tokens()
    await broker.proxies("/_echo/x")
    hubspot.faults.add(Fault("/_echo/cut", "reset", after_bytes=40))
    with pytest.raises(Exception, match="payload"):
        await broker.proxies("/_echo/cut")
    hubspot.faults.add(Fault("/_echo/hang", "hang"))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(broker.proxies("/_echo/hang"), 0.1)
    hubspot.faults.add(Fault("/_echo/lost", "lose-answer"))
    await broker.proxies("/_echo/lost", method="POST")
    rules = [{"methods": ["GET"], "path": "/crm/*"}]
    await broker.asks("PATCH", "/api/apps/hbdev", json={"policy": rules})
    await broker.proxies("/_echo/x")
    await asyncio.sleep(0.1)

    calls = (await logged(broker))["calls"]

    outcomes = [(call["status"], call["error"], call["renewed"]) for call in reversed(calls)]
    assert outcomes == [
        (200, None, True),
        (200, "answer-cut", False),
        (499, "caller-left", False),
        (502, "hubspot-unavailable", False),
        (403, "call-refused", False),
    ]


async def test_what_a_key_may_not_call_is_logged_and_tells_nothing(broker, hubspot):
    """P25: who tries what its key lacks is seen; and learns of no user by it."""
    await broker.connects("u1")
    key = await broker.makes_key("proxy:read")

    there = await broker.proxies("/_echo/x", method="POST", data=b"{}", key=key)
    nobody = await broker.proxies("/_echo/x", method="POST", data=b"{}", key=key, user="u2")
    nothing = await broker.proxies("/_echo/x", method="POST", data=b"{}", key=key, slug="none")

    for answer in (there, nobody, nothing):
        assert (answer.status, answer.code) == (403, "not-allowed")
    calls = (await logged(broker))["calls"]
    assert [(call["userForeignIdentifier"], call["status"], call["error"]) for call in calls] == [
        ("u2", 403, "not-allowed"),
        ("u1", 403, "not-allowed"),
    ]
    assert not [seen for seen in hubspot.seen if "_echo" in seen.raw_path]


async def test_a_call_is_found_by_its_request_id_method_path_or_error(broker):
    """F9."""
    await broker.connects("u1")
    created = await broker.proxies(
        "/crm/v3/objects/contacts", method="POST", json={"properties": {"email": "a@acme.example"}}
    )
    await broker.proxies(f"/crm/v3/objects/contacts/{created.json()['id']}")
    await broker.proxies(user="nobody")

    async def statuses(**query):
        return [call["status"] for call in (await logged(broker, **query))["calls"]]

    assert await statuses(requestId=created.headers["Broker-Request-Id"].upper()) == [201]
    assert await statuses(requestId="0" * 32) == []
    assert await statuses(method="post") == [201]
    assert await statuses(path="/crm/v3/objects/contacts/98765?properties=email") == [200]
    assert await statuses(path="OBJECTS", status="2xx") == [200, 201]
    assert await statuses(error="connection-not-found") == [404]
    assert await statuses(until="2026-01-01T00:00:00Z") == []


async def test_a_call_for_a_user_who_is_not_connected_is_logged(broker):
    await broker.registers()

    assert (await broker.proxies("/_echo/x", user="joe")).code == "connection-not-found"

    (call,) = (await logged(broker))["calls"]
    assert (call["userForeignIdentifier"], call["status"]) == ("joe", 404)
    assert call["error"] == "connection-not-found"


async def test_calls_are_found_by_user_status_and_time_page_by_page(broker, hubspot):
    """L8."""
    await broker.connects("u1")
    await broker.connects("u2", portal=102)
    hubspot.faults.add(Fault("/_echo/no", "status", status=404))
    for n in range(25):
        await broker.proxies("/_echo/no" if n % 5 == 0 else "/_echo/x", user=f"u{n % 2 + 1}")

    async def walk(**query):
        found, after = [], None
        while True:
            page = await logged(broker, limit="4", **query, **({"after": after} if after else {}))
            found += page["calls"]
            after = page["after"]
            if after is None:
                return found

    everything = await walk()
    assert len({call["id"] for call in everything}) == len(everything) == 25
    assert [call["at"] for call in everything] == sorted(
        (call["at"] for call in everything), reverse=True
    )
    assert len(await walk(userForeignIdentifier="u2")) == 12
    assert len(await walk(status="404")) == 5
    assert len(await walk(status="4xx", userForeignIdentifier="u1")) == 3
    assert len(await walk(status="5xx")) == 0
    (key,) = {call["keyId"] for call in everything}
    assert len(await walk(keyId=key, status="404")) == 5
    assert len(await walk(keyId=str(uuid4()))) == 0
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert len(await walk(since=later)) == 0
    assert len(await walk(since="2020-01-01T00:00:00Z")) == 25


@pytest.mark.parametrize(
    "query",
    [
        {"after": "x"},
        {"after": "AAAA"},
        {"status": "9"},
        {"limit": "501"},
        {"keyId": "bc_1"},
        {"since": "yesterday"},
        {"x": "1"},
    ],
)
async def test_a_malformed_question_is_refused(broker, query):
    """U4, L8."""
    answer = await broker.asks("GET", CALLS, params=query)

    assert (answer.status, answer.code) == (400, "invalid-request")


async def test_one_call_is_found_by_either_request_id_and_calls_by_method_and_path(broker, hubspot):
    await broker.connects("u1")
    made = await broker.proxies(
        "/crm/v3/objects/contacts", method="POST", json={"properties": {"email": "a@acme.example"}}
    )
    read = await broker.proxies("/crm/v3/objects/contacts/404404")
    await broker.proxies("/crm/v3/properties/contacts")

    own, provider = read.headers["Broker-Request-Id"], read.headers["X-Request-Id"]
    by_own = (await logged(broker, requestId=own))["calls"]
    by_provider = (await logged(broker, requestId=provider))["calls"]
    nothing = (await logged(broker, requestId="' OR 1=1"))["calls"]
    posts = (await logged(broker, method="POST"))["calls"]
    objects = (await logged(broker, path="/crm/v3/objects"))["calls"]

    assert own != provider
    assert [each["requestId"] for each in by_own] == [own]
    assert by_provider == by_own
    assert by_own[0]["providerRequestId"] == provider
    assert nothing == []
    assert [each["requestId"] for each in posts] == [made.headers["Broker-Request-Id"]]
    assert [each["method"] for each in objects] == ["GET", "POST"]


async def test_only_those_who_may_see_the_log_and_only_their_own(broker):
    """U1."""
    await broker.connects("u1")
    await broker.proxies("/_echo/x")
    await broker.parts.call_log.flush()
    await broker.registers("other", clientId="other-client")
    key = await broker.makes_key("proxy", "connect")
    elsewhere = await broker.makes_key("calls", apps=("other",))

    assert (await broker.asks("GET", CALLS, key=key)).code == "not-allowed"
    assert (await broker.asks("GET", CALLS, key=elsewhere)).code == "app-not-found"
    other = await broker.asks("GET", "/api/apps/other/calls", key=elsewhere)
    assert other.json() == {"calls": [], "after": None}


async def test_a_slow_database_loses_log_lines_and_never_a_call(broker, database, monkeypatch):
    monkeypatch.setattr(call_log, "MAX_BUFFERED", 10)
    await broker.connects("u1")
    async with database.transaction():
        await database.execute("LOCK TABLE proxied_call")
        writing = asyncio.create_task(broker.parts.call_log.flush())

        answers = await asyncio.gather(*(broker.proxies("/_echo/x") for _ in range(15)))

        assert {answer.status for answer in answers} == {200}
        await asyncio.sleep(0)
    await writing
    assert len((await logged(broker))["calls"]) == 10
    dropped = broker.parts.metrics.registry.get_sample_value("broker_calls_not_logged_total")
    assert dropped == 5


async def test_a_stop_in_the_middle_of_writing_loses_nothing(broker, database):
    """J10."""
    await broker.connects("u1")
    await broker.proxies("/_echo/x")
    async with database.transaction():
        await database.execute("LOCK TABLE proxied_call")
        writing = asyncio.create_task(broker.parts.call_log.flush())
        await asyncio.sleep(0.1)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)

    assert len((await logged(broker))["calls"]) == 1


async def test_old_calls_are_forgotten(start_broker, broker, database):
    await broker.connects("u1")
    await broker.proxies("/_echo/x")
    await broker.proxies("/_echo/y")
    await broker.parts.call_log.flush()
    await database.execute(
        "UPDATE proxied_call SET at = now() - interval '31 days' WHERE id = (SELECT min(id::text)::uuid FROM proxied_call)"
    )

    assert await broker.parts.calls.purge(30) == 1
    assert await broker.parts.calls.purge(30) == 0
    assert len((await logged(broker))["calls"]) == 1


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/crm/v3/objects/contacts/101", "/crm/v3/objects/contacts/{id}"),
        ("/crm/objects/2026-03/contacts/101", "/crm/objects/2026-03/contacts/{id}"),
        ("/crm/v3/objects/0-1/jane/associations/0-2", "/crm/v3/objects/0-1/{id}/associations/{id}"),
        ("/crm/v3/objects/contacts/batch/archive", "/crm/v3/objects/contacts/batch/archive"),
        ("/crm/v3/objects/contacts/jane@x.example", "/crm/v3/objects/contacts/{id}"),
        ("/crm/v3/properties/contacts/secret_name", "/crm/v3/properties/contacts/{id}"),
        (
            "/contacts/v1/contact/email/a@b.example/profile",
            "/contacts/v1/contact/email/{id}/profile",
        ),
        ("/oauth/v1/access-tokens/lowercasetoken", "/oauth/{id}/{id}/{id}"),
        ("/crm%2Fv3/objects", "/crm/v3/objects"),
        ("/a/" + "x/" * 40, "/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/..."),
        ("/", "/"),
    ],
)
def test_a_template_keeps_hubspots_words_and_nothing_else(path, template):
    assert template_of(path) == template
    assert template_of(template) == template  # for one that is written at a second try


async def test_the_log_is_written_in_batches_however_many_calls_come_meanwhile(broker):
    """A statement for each call that comes while one is written would be the hot path's."""
    log, ids = broker.parts.call_log, [uuid4() for _ in range(4)]

    def note():
        call = (ids[0], ids[3], "u1", uuid4().hex, "GET", "/crm/v3/owners", time.time())
        log.record(CallTrace(*call, ids[1], "hubspot", ids[2]))

    async def calling():
        while True:
            note()
            await asyncio.sleep(0)

    going_on = asyncio.create_task(calling())
    try:
        await asyncio.sleep(0.05)
        await asyncio.wait_for(log.flush(), 10)
    finally:
        going_on.cancel()

"""Writes named by an Idempotency-Key."""

import asyncio
from collections import Counter

import pytest

from broker.sandbox.core.faults import Fault
from broker.services.proxy import idempotency

CONTACTS = "/crm/v3/objects/contacts"


def contact(email):
    return {"properties": {"email": email}}


async def writes(broker, key="k-1", email="a@acme.example", path=CONTACTS, user="u1", **rest):
    rest.setdefault("json", contact(email))
    return await broker.proxies(
        path, user=user, method="POST", headers={"Idempotency-Key": key}, **rest
    )


def creates(hubspot):
    return sum(
        seen.method == "POST" and seen.raw_path.startswith(CONTACTS) for seen in hubspot.seen
    )


async def test_a_repeat_gets_the_first_answer_and_hubspot_one_write(broker, second_broker, hubspot):
    """K1: even when the first caller left before its answer."""
    await broker.connects("u1")
    hubspot.faults.add(Fault(f"{CONTACTS}*", "delay", seconds=0.3, times=1))

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(writes(broker), 0.1)
    first = await writes(second_broker)
    again = await writes(broker)

    assert first.status == again.status == 201
    assert first.body == again.body
    assert first.headers["Idempotent-Replayed"] == again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-HubSpot-RateLimit-Max"]
    assert creates(hubspot) == 1


async def test_the_first_answer_is_as_hubspot_gave_it(broker, hubspot):
    await broker.connects("u1")
    plain = await broker.proxies(CONTACTS, method="POST", json=contact("b@acme.example"))

    keyed = await writes(broker)
    refused = await writes(broker, "k-2", json={"nonsense": 1})
    same = await writes(broker, "k-2", json={"nonsense": 1})

    assert set(keyed.headers) == set(plain.headers)
    assert keyed.headers["Content-Length"] == str(len(keyed.body))
    assert (refused.status, same.status) == (400, 400)
    assert refused.body == same.body
    assert "Broker-Error" not in same.headers


async def test_a_key_stands_for_one_request(broker, hubspot):
    """K2: another body, query, method or path; the first answer stays."""
    await broker.connects("u1")
    first = await writes(broker)

    others = [
        await writes(broker, email="b@acme.example"),
        await writes(broker, path=f"{CONTACTS}?x=1"),
        await writes(broker, path="/crm/v3/objects/companies"),
        await broker.proxies(
            CONTACTS,
            method="PATCH",
            headers={"Idempotency-Key": "k-1"},
            json=contact("a@acme.example"),
        ),
    ]

    assert {(answer.status, answer.code) for answer in others} == {
        (409, "idempotency-key-conflict")
    }
    assert {answer.json()["outcome"] for answer in others} == {"different-request"}
    assert (await writes(broker)).body == first.body
    assert creates(hubspot) == 1


async def test_twenty_at_once_are_one_write(broker, second_broker, hubspot):
    """K3."""
    await broker.connects("u1")

    answers = await asyncio.gather(
        *(writes(one) for one in (broker, second_broker) for _ in range(10))
    )

    assert Counter(answer.status for answer in answers) == {201: 20}
    assert len({answer.body for answer in answers}) == 1
    assert creates(hubspot) == 1


async def test_keys_of_two_users_and_two_apps_do_not_meet(broker, hubspot):
    """K4."""
    await broker.registers("other", clientId="other-client")
    await broker.connects("u1")
    await broker.connects("u2", portal=102)
    await broker.connects("u1", slug="other", portal=102)

    answers = [
        await writes(broker, email="a@acme.example"),
        await writes(broker, email="b@acme.example", user="u2"),
        await writes(broker, email="c@acme.example", slug="other"),
    ]

    assert [answer.status for answer in answers] == [201, 201, 201]
    assert creates(hubspot) == 3


async def test_an_outcome_that_nobody_knows_is_told_and_not_tried(broker, hubspot, database):
    """K5."""
    await broker.connects("u1")
    hubspot.faults.add(Fault(f"{CONTACTS}*", "lose-answer", times=1))

    lost = await writes(broker)
    again = await writes(broker)
    await database.execute(
        "UPDATE idempotent_call SET outcome = 'running', in_progress_until = now() - interval '1 s'"
    )
    killed = await writes(broker)

    assert (lost.status, lost.code) == (502, "hubspot-unavailable")
    assert (again.status, again.json()["outcome"]) == (409, "unknown")
    assert (killed.status, killed.json()["outcome"]) == (409, "unknown")
    assert creates(hubspot) == 1


async def test_what_hubspot_surely_did_not_run_may_be_sent_again(broker, hubspot):
    await broker.connects("u1")
    fault = Fault(f"{CONTACTS}*", "status", status=429, body='{"policyName":"X"}', times=3)
    hubspot.faults.add(fault)

    first = await writes(broker)
    again = await writes(broker)

    assert (first.status, again.status) == (429, 201)
    assert "Idempotent-Replayed" not in again.headers


async def test_a_first_call_that_goes_on_for_long_is_told(broker, hubspot, monkeypatch):
    monkeypatch.setattr(idempotency, "REPEAT_WAIT_S", 0.1)
    await broker.connects("u1")
    hubspot.faults.add(Fault(f"{CONTACTS}*", "delay", seconds=1, times=1))

    first = asyncio.create_task(writes(broker))
    await asyncio.sleep(0.1)
    second = await writes(broker)

    assert (second.status, second.json()["outcome"]) == (409, "running")
    assert (await first).status == 201


async def test_a_malformed_key_is_refused(broker, hubspot):
    """K6: and a quoted key is the same as a bare one."""
    await broker.connects("u1")
    await writes(broker, key="good")
    seen = len(hubspot.seen)

    for key in ["", '"', '""', "a b", '"a', 'a"', "a" * 256, "ü", "a\tb", 'a"b']:
        answer = await writes(broker, key=key)
        assert (answer.status, answer.code) == (400, "invalid-request"), key
    wrapped = {"method": "POST", "url": CONTACTS, "userForeignIdentifier": "u1"}
    two = await broker.asks(
        "POST",
        "/api/raw/hbdev",
        json={**wrapped, "headers": {"Idempotency-Key": "a"}},
        headers={"Idempotency-Key": "b"},
    )
    assert (two.status, two.code) == (400, "invalid-request")

    quoted = await writes(broker, key='"good"')
    assert quoted.headers["Idempotent-Replayed"] == "true"
    assert len(hubspot.seen) == seen


async def test_a_read_needs_no_key_and_is_never_kept(broker, hubspot, database):
    await broker.connects("u1")
    key = {"Idempotency-Key": "k"}

    for _ in range(2):
        assert (await broker.proxies(CONTACTS, headers=key)).status == 200
        search = await broker.proxies(f"{CONTACTS}/search", method="POST", json={}, headers=key)
        assert search.status == 200

    assert await database.fetchval("SELECT count(*) FROM idempotent_call") == 0


async def test_wrapped_calls_have_keys_too(broker, hubspot):
    await broker.connects("u1")
    body = {
        "method": "POST",
        "url": CONTACTS,
        "userForeignIdentifier": "u1",
        "body": contact("a@acme.example"),
    }

    first = await broker.asks("POST", "/api/raw/hbdev", json=body, headers={"Idempotency-Key": "k"})
    again = await broker.asks(
        "POST", "/api/raw/hbdev", json={**body, "headers": {"Idempotency-Key": "k"}}
    )

    assert first.status == again.status == 201
    assert first.json() == again.json()
    assert creates(hubspot) == 1


async def test_what_is_kept_is_sealed_and_goes_with_its_connection(broker, hubspot, database):
    """T1."""
    await broker.connects("u1")
    await writes(broker, key="canary-key", email="canary-mail@acme.example")

    rows = await database.fetch(
        "SELECT idempotent_call::text AS row, answer, key_hash FROM idempotent_call"
    )
    assert len(rows) == 1
    assert b"canary" not in rows[0]["answer"] + rows[0]["key_hash"]
    assert "canary" not in rows[0]["row"]

    await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")
    assert await database.fetchval("SELECT count(*) FROM idempotent_call") == 0

"""Processes told to stop (SIGTERM) in the middle of each kind of work: what was begun is ended."""

import asyncio
import contextlib
import json

import aiohttp

from broker.sandbox.core.faults import Fault
from tests.faults.crowd import crowd
from tests.until import until

STOPPED_WITHIN_S = 45
"""What operators are told to give a process: docs/operating.md."""


async def stops(process):
    process.terminate()
    assert await asyncio.wait_for(process.wait(), STOPPED_WITHIN_S) == 0


async def test_no_grant_is_lost_when_a_process_stops_while_it_renews(
    broker, hubspot, database, start_process, figures
):
    """Refresh tokens rotate, and HubSpot takes 0.4 s to answer: five stops with 100 due."""
    hubspot.rotates_refresh_tokens = True
    await crowd(broker, hubspot, database, 100, due=3600, expires=900)
    slow = hubspot.faults.add(Fault("/oauth/*/token", "late-answer", seconds=0.4))
    for _ in range(5):
        await database.execute("UPDATE renewal SET due_at = now()")
        before = slow.hits
        process, _ = await start_process("work")
        await until(lambda before=before: slow.hits > before + 4)
        await stops(process)

    stored = await database.fetchval("SELECT sum(generation - 1)::integer FROM connection_grant")
    states = await database.fetch("SELECT status, count(*) FROM connection GROUP BY status")
    figures({"given": hubspot.refreshes, "stored": stored})
    assert stored == hubspot.refreshes >= 5 * 5
    assert [tuple(row) for row in states] == [("ACTIVE", 100)]


async def test_a_renewal_that_a_caller_caused_is_stored_though_the_process_stops(
    broker, hubspot, database, start_process
):
    hubspot.rotates_refresh_tokens = True
    await broker.connects("u1")
    process, url = await start_process(BROKER_WORK_IN_SERVE="false")
    await broker.makes_stale(database)
    slow = hubspot.faults.add(Fault("/oauth/*/token", "late-answer", seconds=4))
    calling = asyncio.create_task(broker.asks("GET", f"{url}/proxy/hbdev/u1/_echo/x"))
    await until(lambda: slow.hits)
    calling.cancel()
    await stops(process)

    assert hubspot.refreshes == 1
    assert await database.fetchval("SELECT generation FROM connection_grant") == 2


async def test_a_keyed_write_whose_caller_left_is_ended_and_answered_once_the_process_stopped(
    broker, hubspot, start_process
):
    await broker.connects("u1")
    process, url = await start_process(BROKER_WORK_IN_SERVE="false")
    slow = hubspot.faults.add(Fault("/crm/v3/objects/contacts", "late-answer", seconds=4, times=1))

    def write(base):
        return broker.asks(
            "POST",
            f"{base}/proxy/hbdev/u1/crm/v3/objects/contacts",
            json={"properties": {"email": "ada@acme.example"}},
            headers={"Idempotency-Key": "once"},
        )

    calling = asyncio.create_task(write(url))
    await until(lambda: slow.hits)
    calling.cancel()
    await stops(process)
    again = await write(broker.url)

    assert (again.status, again.headers.get("Idempotent-Replayed")) == (201, "true")
    requests = [each for each in hubspot.seen if each.raw_path == "/crm/v3/objects/contacts"]
    assert len(requests) == 1


async def test_deliveries_under_way_are_settled_and_none_is_made_twice(
    broker_with_local_endpoints, receiver, start_process, database, unused_tcp_port
):
    broker = broker_with_local_endpoints
    await broker.connects("u1")
    await broker.sends_to(f"{receiver.url}/slow", "hubspot.*")

    async def slow(_request):
        await asyncio.sleep(1.5)
        return aiohttp.web.Response()

    receiver.answers["/slow"] = slow
    await broker.receives_webhook([contact(number) for number in range(30)])
    while await broker.parts.splitter.split_due(50):
        pass
    listen = f"127.0.0.1:{unused_tcp_port}"
    process, _ = await start_process(
        "work", BROKER_ALLOW_PRIVATE_ENDPOINTS="true", BROKER_METRICS_LISTEN=listen
    )
    await until(lambda: receiver.got)
    alive = await broker.asks("GET", f"http://{listen}/healthz", key="")
    assert (alive.status, alive.json()) == (200, {"status": "alive"})
    await stops(process)

    begun = len(receiver.got)
    states = {
        row["state"]: row["count"]
        for row in await database.fetch("SELECT state, count(*) FROM delivery GROUP BY state")
    }
    assert states == {"delivered": begun, "waiting": 30 - begun}
    receiver.answers.clear()
    await broker.run_background_work()
    assert len({each.id for each in receiver.got}) == len(receiver.got) == 30


async def test_a_batch_that_is_being_split_is_told_once(
    broker_with_local_endpoints, receiver, start_process, database
):
    broker = broker_with_local_endpoints
    await broker.connects("u1")
    await broker.sends_to(f"{receiver.url}/in", "hubspot.*")
    for first in range(0, 4000, 100):
        events = [contact(number) for number in range(first, first + 100)]
        assert (await broker.receives_webhook(events)).status == 200
    process, _ = await start_process("work")  # may not deliver here
    count_events = "SELECT count(*) FROM event WHERE type LIKE 'hubspot.%'"
    await until(lambda: database.fetchval(count_events))
    await stops(process)

    waiting = await database.fetchval("SELECT count(*) FROM webhook_inbox")
    assert await database.fetchval(count_events) + 100 * waiting == 4000
    await database.execute("UPDATE webhook_inbox SET due_at = now()")
    while await broker.parts.splitter.split_due(50):
        pass
    payloads = await database.fetch("SELECT payload FROM event WHERE type LIKE 'hubspot.%'")
    ids = [json.loads(row["payload"])["data"]["eventId"] for row in payloads]
    assert sorted(ids) == list(range(4000))


async def test_a_step_under_way_is_ended_and_not_repeated_elsewhere(kyb, start_process, database):
    process, url = await start_process(BROKER_FML_URL=kyb.fml.url)
    company = kyb.company()
    slow = kyb.fml.fml.faults.add(Fault("/v1/cases", "late-answer", seconds=4, times=1))
    async with aiohttp.ClientSession() as session:
        kickoff = asyncio.create_task(kicks_off(session, kyb, url, company))
        await until(lambda: slow.hits)
        kickoff.cancel()
        await stops(process)
    await database.execute("UPDATE recipe_run SET due_at = now() WHERE due_at IS NOT NULL")
    await kyb.broker.parts.recipes.runs.work_due()
    await kyb.broker.parts.recipes.runs.join()

    assert (len(kyb.fml.fml.cases), len(kyb.requests_to_fml())) == (1, 1)
    assert kyb.shows(company)["fml_case_id"] == next(iter(kyb.fml.fml.cases))


def contact(number):
    return {
        "eventId": number,
        "portalId": 101,
        "occurredAt": 1_764_000_000_000 + number,
        "subscriptionType": "contact.creation",
        "objectId": number,
        "attemptNumber": 0,
    }


async def kicks_off(session, kyb, url, company):
    with contextlib.suppress(aiohttp.ClientError):
        async with session.post(
            f"{url}/api/recipes/kyb/hbdev",
            json={"userForeignIdentifier": "u1", "companyId": company},
            headers={"Authorization": f"Bearer {kyb.broker.key}"},
        ) as answer:
            await answer.read()

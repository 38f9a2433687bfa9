"""Events, from HubSpot or from the broker itself, as the product's receivers meet them."""

import asyncio
import contextlib
import gc
import itertools
import json
import time
from datetime import timedelta
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from broker.bootstrap.server import background_work
from broker.domain.events import NewEvent
from broker.sandbox.core.faults import Fault
from broker.stores.core.queries import sql
from broker.stores.events.events import publish
from tests.until import until

START = 1_764_000_000_000


def contact(number, portal=101, **changes):
    return {
        "eventId": number,
        "subscriptionId": 686627,
        "portalId": portal,
        "appId": 1234567,
        "occurredAt": START + number,
        "subscriptionType": "contact.propertyChange",
        "attemptNumber": 0,
        "objectId": 500 + number,
        "propertyName": "firstname",
        "propertyValue": "Ada",
        "changeSource": "CRM_UI",
        "sourceId": "userId:1",
        **changes,
    }


def types(received):
    return [each.json()["type"] for each in received]


async def test_an_event_arrives_signed_with_hubspots_own_fields(
    broker_with_local_endpoints, receiver
):
    """D1."""
    await broker_with_local_endpoints.connects("u1")
    secret = (await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")).json()[
        "secret"
    ]

    await broker_with_local_endpoints.receives_webhook([contact(1)])
    await broker_with_local_endpoints.run_background_work()

    (got,) = receiver.got
    assert Webhook(secret).verify(got.body, got.headers) == {
        "type": "hubspot.contact.propertyChange",
        "timestamp": "2025-11-24T16:00:00.001Z",
        "data": {
            "app": "hbdev",
            "userForeignIdentifier": "u1",
            "hubId": 101,
            "sequence": (START + 1) * 1000,
            **contact(1),
        },
    }
    assert got.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(got.body.replace(b"Ada", b"Eve"), got.headers)


async def test_what_hubspot_repeats_is_told_once(broker_with_local_endpoints, receiver, database):
    """W4, W5."""
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")

    for attempt in range(10):
        assert (
            await broker_with_local_endpoints.receives_webhook([contact(1, attemptNumber=attempt)])
        ).status == 200
        await broker_with_local_endpoints.run_background_work()
        if attempt % 3 == 2:
            await database.execute("UPDATE seen_event SET seen_on = seen_on - 1")
        await broker_with_local_endpoints.parts.webhook_inbox.purge_seen()
    await broker_with_local_endpoints.receives_webhook(
        [contact(2), contact(2, attemptNumber=3), contact(2, eventId=3)]
    )
    await broker_with_local_endpoints.run_background_work()

    assert len(receiver.got) == 3
    assert len({each.id for each in receiver.got}) == 3


async def test_each_connection_hears_of_its_own_account_only(
    broker_with_local_endpoints, receiver, database
):
    """W6, W7, C15: one bad event loses no other, an unknown account reveals nothing, and two users
    of one account each hear of it once.
    """
    await broker_with_local_endpoints.connects("u1", portal=101)
    await broker_with_local_endpoints.connects("u2", portal=102)
    await broker_with_local_endpoints.connects("u3", portal=101)
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")
    batch = [contact(n, portal=101 + n % 7) for n in range(98)]

    answer = await broker_with_local_endpoints.receives_webhook(
        [*batch, "no event", {"portalId": 101}]
    )
    await broker_with_local_endpoints.run_background_work()

    heard = [each.json()["data"] for each in receiver.got]
    assert answer.status == 200
    assert {(each["userForeignIdentifier"], each["portalId"]) for each in heard} == {
        ("u1", 101),
        ("u2", 102),
        ("u3", 101),
    }
    assert len(heard) == 14 * 3
    assert (
        await database.fetchval("SELECT count(*) FROM webhook_inbox WHERE quarantined_at IS NULL")
        == 0
    )
    assert json.loads(await database.fetchval("SELECT body FROM webhook_inbox")) == [
        "no event",
        {"portalId": 101},
    ]


async def test_another_workspaces_app_hears_nothing(broker_with_local_endpoints, receiver):
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/mine", "*")
    own = broker_with_local_endpoints.workspace, broker_with_local_endpoints.key
    await broker_with_local_endpoints.makes_workspace()
    await broker_with_local_endpoints.registers()
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/theirs", "*")
    await broker_with_local_endpoints.connects("u1")
    receiver.got.clear()
    broker_with_local_endpoints.workspace, broker_with_local_endpoints.key = own

    await broker_with_local_endpoints.receives_webhook([contact(1)])
    await broker_with_local_endpoints.run_background_work()

    assert [each.path for each in receiver.got if each.json()["type"].startswith("hubspot.")] == [
        "/mine"
    ]


async def test_odd_values_come_through_unchanged(broker_with_local_endpoints, receiver):
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")
    odd = {
        "propertyValue": "REDACTED",
        "isSensitive": True,
        "big": 2**80,
        "text": "\u0000é\U0001f600\ud800",
        "app": "not ours",
        "userForeignIdentifier": "u2",
        "hubId": 102,
        "sequence": 0,
    }

    await broker_with_local_endpoints.receives_webhook([contact(1, **odd)])
    await broker_with_local_endpoints.run_background_work()

    heard = receiver.got[0].json()["data"]
    ours = heard["app"], heard["userForeignIdentifier"], heard["hubId"], heard["sequence"]
    assert ours == ("hbdev", "u1", 101, (START + 1) * 1000)
    assert {name: heard[name] for name in list(odd)[:4]} == {
        name: odd[name] for name in list(odd)[:4]
    }


async def test_events_can_be_put_in_order(broker_with_local_endpoints, receiver):
    """D7."""
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")

    for n in (3, 1, 2):
        await broker_with_local_endpoints.receives_webhook(
            [contact(n, objectId=7), contact(n, objectId=7, eventId=n + 10)]
        )
        await broker_with_local_endpoints.run_background_work()

    heard = [each.json()["data"] for each in receiver.got]
    ordered = sorted(heard, key=lambda data: data["sequence"])
    assert [data["occurredAt"] - START for data in ordered] == [1, 1, 2, 2, 3, 3]
    assert len({data["sequence"] for data in heard}) == 6


async def test_an_endpoint_hears_what_it_asked_for(broker_with_local_endpoints, receiver):
    patterns = {
        "/all": ["*"],
        "/family": ["hubspot.contact.*"],
        "/one": ["hubspot.deal.creation", "connection.deleted"],
        "/other": ["hubspot.contact"],
    }
    await broker_with_local_endpoints.connects("u1")
    for path, events in patterns.items():
        await broker_with_local_endpoints.sends_to(receiver.url + path, *events)

    await broker_with_local_endpoints.receives_webhook(
        [contact(1), contact(2, subscriptionType="deal.creation")]
    )
    await broker_with_local_endpoints.run_background_work()

    assert {path: sorted(types(receiver.at(path))) for path in patterns} == {
        "/all": ["hubspot.contact.propertyChange", "hubspot.deal.creation"],
        "/family": ["hubspot.contact.propertyChange"],
        "/one": ["hubspot.deal.creation"],
        "/other": [],
    }


async def test_the_life_of_a_connection_is_told(
    broker_with_local_endpoints, receiver, hubspot, database
):
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "connection.*")

    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.makes_stale(database)
    fault = hubspot.faults.add(Fault("/oauth/*/token", "status", status=503, times=1))
    await broker_with_local_endpoints.proxies()
    hubspot.faults.active.remove(fault)
    await database.execute("UPDATE connection_grant SET failed_at = now() - interval '1 hour'")
    await broker_with_local_endpoints.proxies()
    hubspot.revoke_grants(101)
    await broker_with_local_endpoints.makes_stale(database)
    await asyncio.gather(*(broker_with_local_endpoints.proxies() for _ in range(20)))
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.asks("DELETE", "/api/apps/hbdev/connections/u1")
    await broker_with_local_endpoints.run_background_work()

    payloads = sorted(
        (each.json() for each in receiver.got), key=lambda each: each["data"]["sequence"]
    )
    assert [each["type"] for each in payloads] == [
        "connection.created",
        "connection.renewed_after_failure",
        "connection.reauth_required",
        "connection.created",
        "connection.deleted",
    ]
    assert {each["data"]["userForeignIdentifier"] for each in payloads} == {"u1"}
    assert {each["data"]["hubId"] for each in payloads} == {101}
    assert payloads[2]["data"]["reason"] == "BAD_REFRESH_TOKEN"
    assert [payloads[0]["data"]["reconnected"], payloads[3]["data"]["reconnected"]] == [False, True]


async def test_refused_credentials_are_told_once_however_many_find_out(
    broker_with_local_endpoints, receiver, hubspot, database
):
    for user in ("u1", "u2", "u3"):
        await broker_with_local_endpoints.connects(user)
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "app.*")
    hubspot.apps["client-of-hbdev"].client_secret = "canary-rotated"
    await broker_with_local_endpoints.makes_stale(database)

    await asyncio.gather(
        *(broker_with_local_endpoints.proxies(user=f"u{1 + n % 3}") for n in range(12))
    )
    await broker_with_local_endpoints.run_background_work()

    assert [each.json()["data"] for each in receiver.got] == [
        {
            "app": "hbdev",
            "userForeignIdentifier": None,
            "hubId": None,
            "sequence": receiver.got[0].json()["data"]["sequence"],
        }
    ]
    assert types(receiver.got) == ["app.credentials_refused"]


async def test_what_does_not_happen_is_not_told(broker_with_local_endpoints, receiver, database):
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "*")
    found = await database.fetchrow("SELECT workspace_id, id FROM connection")

    with contextlib.suppress(ZeroDivisionError):
        async with broker_with_local_endpoints.parts.connections.lock(
            found["workspace_id"], found["id"]
        ) as locked:
            await locked.delete("test")
            raise ZeroDivisionError
    await broker_with_local_endpoints.run_background_work()

    assert receiver.got == []
    assert (
        await broker_with_local_endpoints.asks("GET", "/api/apps/hbdev/connections/u1")
    ).status == 200


async def test_a_service_tells_in_a_transaction_of_its_own(
    broker_with_local_endpoints, receiver, database
):
    """What recipes do."""
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "kyb.*")
    app = await broker_with_local_endpoints.parts.apps.get(
        UUID(broker_with_local_endpoints.workspace), "hbdev"
    )

    for number, ends_well in enumerate([True, False]):
        fact = NewEvent("kyb.case.created", app.slug, "u1", 101, {"caseId": number})
        with contextlib.suppress(ZeroDivisionError):
            async with broker_with_local_endpoints.parts.database.transaction() as session:
                await publish(session, app.workspace_id, app.id, [fact])
                1 // ends_well
    await broker_with_local_endpoints.run_background_work()

    assert [each.json()["data"]["caseId"] for each in receiver.got] == [0]


async def test_hubspots_sender_at_its_worst_is_told_once(
    broker_with_local_endpoints, receiver, hubspot
):
    """W5, W6: duplicates, disorder and batches of several accounts."""
    app = hubspot.apps["client-of-hbdev"]
    app.target_url = f"{broker_with_local_endpoints.url}/hubspot/hbdev-{broker_with_local_endpoints.workspace}/webhooks"
    app.subscriptions = {"1": {"eventType": "contact.creation", "active": True}}
    sender = hubspot.webhooks
    sender.duplicates, sender.shuffled, sender.mixes_portals, sender.batch_size = 2, True, True, 7
    await broker_with_local_endpoints.connects("u1", portal=101)
    await broker_with_local_endpoints.connects("u2", portal=102)
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")
    expected = []
    for n in range(60):
        place = hubspot.portals[101 + n % 2]
        record = hubspot.crm(place).create(
            place.type("contacts"), {"properties": {"email": f"c{n}@x.example"}}
        )
        expected.append((place.hub_id, int(record.id)))

    await until(lambda: not (sender.queue or sender.busy), within=10)
    await broker_with_local_endpoints.run_background_work()

    heard = [each.json()["data"] for each in receiver.got]
    assert len(sender.deliveries) >= 3 * 60 / 7
    assert {each.status for each in sender.deliveries} == {200}
    assert sorted((each["hubId"], each["objectId"]) for each in heard) == sorted(expected)
    assert {(each["hubId"], each["userForeignIdentifier"]) for each in heard} == {
        (101, "u1"),
        (102, "u2"),
    }


async def test_a_batch_that_cannot_be_split_holds_up_no_other(
    broker_with_local_endpoints, receiver, database
):
    """D8."""
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")
    await database.execute(
        "INSERT INTO webhook_inbox (workspace_id, id, app_id, source, body, due_at) "
        "SELECT workspace_id, gen_random_uuid(), id, 'webhook', '{', now() - interval '1 day' FROM app"
    )

    await broker_with_local_endpoints.receives_webhook([contact(1)])
    await broker_with_local_endpoints.run_background_work()
    for _ in range(8):
        await database.execute("UPDATE webhook_inbox SET due_at = now()")
        await broker_with_local_endpoints.run_background_work()

    assert len(receiver.got) == 1
    row = await database.fetchrow("SELECT failures, quarantined_at FROM webhook_inbox")
    assert row["failures"] == 8
    assert row["quarantined_at"] is not None


async def test_two_who_split_tell_everything_once(
    broker_with_local_endpoints, receiver, start_broker
):
    """J9."""
    other = await start_broker(allow_private_endpoints=True)
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")
    for n in range(40):
        await broker_with_local_endpoints.receives_webhook(
            [contact(n), contact(n + 1), contact(n + 2)]
        )

    await asyncio.gather(
        broker_with_local_endpoints.run_background_work(),
        other.run_background_work(),
        broker_with_local_endpoints.run_background_work(),
    )
    await asyncio.gather(
        broker_with_local_endpoints.run_background_work(), other.run_background_work()
    )

    heard = [each.json()["data"]["eventId"] for each in receiver.got]
    assert sorted(heard) == list(range(42))


async def test_a_removed_app_leaves_nothing_to_tell(
    broker_with_local_endpoints, receiver, database
):
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "*")
    await broker_with_local_endpoints.receives_webhook([contact(1)])
    await broker_with_local_endpoints.asks("DELETE", "/api/apps/hbdev")
    await broker_with_local_endpoints.run_background_work()
    await broker_with_local_endpoints.parts.revoker.revoke_due(10)
    await broker_with_local_endpoints.parts.apps.purge_removed()

    assert receiver.got == []
    for table in ("webhook_inbox", "event", "delivery", "endpoint", "seen_event", "app"):
        assert await database.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def test_what_is_new_is_sent_at_once_and_what_is_due_later_at_its_time(
    start_broker, receiver, database
):
    """Whichever process has written it, and though nobody looks for a minute while nothing is due."""
    working = await start_broker(allow_private_endpoints=True, work_pause_s=60)
    await working.makes_workspace()
    await working.registers()
    answering = await start_broker(allow_private_endpoints=True)
    answering.workspace, answering.key = working.workspace, working.key
    await working.connects("u1")
    await working.sends_to(f"{receiver.url}/in", "hubspot.*")
    listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%broker_work%'"

    async def listens():
        return await database.fetchval(listening)

    async with background_work(working.parts, periodic=True):
        await until(listens)
        for number, broker in enumerate((working, answering, working), 1):
            await broker.receives_webhook([contact(number)])
            await until(lambda number=number: len(receiver.got) == number)
        again = await database.fetchrow(
            "UPDATE delivery SET state = 'waiting', due_at = now() + interval '1 hour' WHERE event_id ="
            " (SELECT min(event_id::text)::uuid FROM delivery)"
            " RETURNING workspace_id, event_id, endpoint_id, claim"
        )
        settled = (*again, "waiting", None, None, timedelta(seconds=0.3))
        await working.parts.database.execute(sql.finish_delivery, *settled)
        await until(lambda: len(receiver.got) == 4)


async def test_a_batch_of_thirty_thousand_events_keeps_the_loop_free(
    broker_with_local_endpoints, receiver, database
):
    """2.17: no turn of the loop takes long, however many events one signature covers."""
    broker = broker_with_local_endpoints
    await broker.connects("u1")
    await broker.sends_to(f"{receiver.url}/in", "connection.*")
    cpu_times = [time.process_time()]

    async def tick():
        while True:
            await asyncio.sleep(0.001)
            cpu_times.append(time.process_time())

    ticking = asyncio.create_task(tick())
    answer = await broker.receives_webhook([contact(number) for number in range(30_000)])
    gc.freeze()  # a long test run's heap, and what the test did to send it, do not count
    cpu_times[:] = [time.process_time()]
    while await broker.parts.splitter.split_due(50):
        pass
    ticking.cancel()
    gc.unfreeze()

    assert answer.status == 200
    assert (
        await database.fetchval("SELECT count(*) FROM event WHERE type LIKE 'hubspot.%'") == 30_000
    )
    longest = max(after - before for before, after in itertools.pairwise(cpu_times))
    assert longest < (cpu_times[-1] - cpu_times[0]) / 10, (
        "one turn of the loop had a tenth of it all"
    )


@pytest.mark.parametrize("how", ["from a webhook", "in the future"])
async def test_an_uninstall_that_a_webhook_reports_ends_no_grant(
    broker_with_local_endpoints, database, how
):
    """2.17: HubSpot reports uninstalls in its journal only."""
    broker = broker_with_local_endpoints
    await broker.connects("u1")
    at = 4_070_908_800_000 if how == "in the future" else int(time.time() * 1000) + 1000
    event = contact(1, subscriptionType="app.uninstalled", occurredAt=at)

    assert (await broker.receives_webhook([event])).status == 200
    while await broker.parts.splitter.split_due(50):
        pass

    assert await database.fetchval("SELECT status FROM connection") == "ACTIVE"

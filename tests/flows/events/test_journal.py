"""HubSpot's journal: what webhooks left out is told once, what is lost is said to be."""

import asyncio
import itertools
from uuid import uuid4

import pytest

from broker.errors import HubSpotUnavailable
from broker.providers.hubspot.events.journal import OffsetUnknown, read_events, read_file
from broker.providers.hubspot.events.webhooks import read_event
from tests.until import until

CONTACT = "0-1"
numbers = itertools.count()


@pytest.fixture
async def reading(broker_with_local_endpoints, receiver, hubspot, database):
    """A broker that reads the journal of an app with one connection and an endpoint."""
    app = hubspot.apps["client-of-hbdev"]
    changed = await broker_with_local_endpoints.asks(
        "PATCH", "/api/apps/hbdev", json={"journal": True}
    )
    assert changed.json()["journal"] is True
    app.target_url = f"{broker_with_local_endpoints.url}/hubspot/hbdev-{broker_with_local_endpoints.workspace}/webhooks"
    app.subscriptions = {
        "1": {"eventType": "contact.creation", "active": True},
        "2": {"eventType": "contact.propertyChange", "propertyName": "firstname", "active": True},
    }
    for portal in (101, 102):
        hubspot.journal.subscribe(
            app.client_id,
            {
                "subscriptionType": "OBJECT",
                "portalId": portal,
                "objectTypeId": CONTACT,
                "actions": ["CREATE", "UPDATE", "DELETE"],
                "properties": ["firstname"],
            },
        )
    await broker_with_local_endpoints.connects("u1")
    await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "*")
    await reads(broker_with_local_endpoints, database)
    receiver.got.clear()
    return broker_with_local_endpoints


async def reads(broker, database):
    """Let the poller look at every journal now, and let what it finds be told."""
    await database.execute("UPDATE journal SET due_at = now()")
    await broker.parts.journal.read_due(10)
    await broker.run_background_work()


def creates(hubspot, count, portal=101):
    """A person makes contacts; their ids."""
    place = hubspot.portals[portal]
    crm, kind = hubspot.crm(place), place.type("contacts")
    made = [
        crm.create(kind, {"properties": {"email": f"c{next(numbers)}@x.example"}})
        for _ in range(count)
    ]
    return [int(each.id) for each in made]


async def webhooks_sent(hubspot):
    await until(lambda: not (hubspot.webhooks.queue or hubspot.webhooks.busy), within=10)


def delivered(receiver, kind="hubspot.contact.creation"):
    heard = [each.json() for each in receiver.got]
    return sorted(each["data"]["objectId"] for each in heard if each["type"] == kind)


async def test_a_gap_in_the_webhooks_is_filled_and_nothing_is_told_twice(
    reading, receiver, hubspot, database
):
    """W12."""
    before = creates(hubspot, 30)
    await webhooks_sent(hubspot)
    hubspot.webhooks.paused = True
    dropped = creates(hubspot, 1000) + creates(hubspot, 5, portal=102)
    hubspot.webhooks.queue.clear()
    hubspot.webhooks.paused = False
    after = creates(hubspot, 30)
    await webhooks_sent(hubspot)
    await reading.run_background_work()

    for _ in range(3):
        await reads(reading, database)

    assert delivered(receiver) == sorted(before + dropped[:1000] + after)
    ordered = sorted((each.json()["data"] for each in receiver.got), key=lambda d: d["sequence"])
    moments = [each["occurredAt"] for each in ordered]
    assert moments == sorted(moments)


async def test_what_the_journal_told_first_no_webhook_tells_again(
    reading, receiver, hubspot, database
):
    hubspot.webhooks.paused = True
    made = creates(hubspot, 5)
    place = hubspot.portals[101]
    crm, kind = hubspot.crm(place), place.type("contacts")
    for each in made:
        crm.update(kind, crm.find(kind, str(each)), {"firstname": "Ada"})
    await reads(reading, database)
    hubspot.webhooks.paused = False
    await webhooks_sent(hubspot)
    await reading.run_background_work()

    assert len(hubspot.webhooks.deliveries) > 0
    assert delivered(receiver) == made
    assert delivered(receiver, "hubspot.contact.propertyChange") == made
    changed = next(e.json()["data"] for e in receiver.got if "propertyChange" in e.json()["type"])
    assert (changed["propertyName"], changed["propertyValue"]) == ("firstname", "Ada")


async def test_two_changes_of_one_moment_are_two_while_the_journal_is_read(reading, receiver):
    event = {
        "portalId": 101,
        "occurredAt": 1_764_000_000_000,
        "subscriptionType": "contact.creation",
        "objectId": 7,
    }

    await reading.receives_webhook([{**event, "eventId": 1}, {**event, "eventId": 2}])
    await reading.run_background_work()

    assert delivered(receiver) == [7, 7]


async def test_what_is_older_than_the_journal_is_said_to_be_lost(
    reading, receiver, hubspot, database
):
    """W12."""
    await database.execute("UPDATE journal SET read_to = now() - interval '5 days'")
    hubspot.webhooks.paused = True
    made = creates(hubspot, 3)

    for _ in range(3):
        await reads(reading, database)

    lost = [e.json() for e in receiver.got if e.json()["type"] == "hubspot.events_lost"]
    assert len(lost) == 1
    days = await database.fetchrow(
        "SELECT extract(epoch FROM now() - $1::text::timestamptz)::float8 / 86400 AS since, "
        "extract(epoch FROM now() - $2::text::timestamptz)::float8 / 86400 AS until",
        lost[0]["data"]["from"],
        lost[0]["data"]["to"],
    )
    assert (round(days["since"], 2), round(days["until"], 2)) == (5.0, 3.0)
    assert delivered(receiver) == made


async def test_an_offset_that_hubspot_forgot_costs_nothing(reading, receiver, hubspot, database):
    hubspot.webhooks.paused = True
    first = creates(hubspot, 3)
    await reads(reading, database)
    await database.execute("UPDATE journal SET position = $1", str(uuid4()))
    second = creates(hubspot, 3)

    await reads(reading, database)

    assert delivered(receiver) == first + second


async def test_an_uninstall_ends_the_connections_of_that_account_once(
    reading, receiver, hubspot, database
):
    """C23."""
    await reading.connects("u2", portal=102)
    await reading.connects("u3", portal=101)
    receiver.got.clear()
    refreshes = hubspot.refreshes

    hubspot.revoke_grants(101)
    for _ in range(2):
        await reads(reading, database)

    states = await database.fetch(
        "SELECT user_ref, status, last_error FROM connection JOIN connection_grant "
        "USING (workspace_id) WHERE connection_id = id ORDER BY 1"
    )
    assert [tuple(row) for row in states] == [
        ("u1", "REAUTH_REQUIRED", "uninstalled"),
        ("u2", "ACTIVE", None),
        ("u3", "REAUTH_REQUIRED", "uninstalled"),
    ]
    ended = [e.json() for e in receiver.got if e.json()["type"] == "connection.reauth_required"]
    assert sorted(each["data"]["userForeignIdentifier"] for each in ended) == ["u1", "u3"]
    assert {each["data"]["reason"] for each in ended} == {"uninstalled"}
    assert hubspot.refreshes == refreshes


async def test_an_uninstall_before_a_new_install_ends_nothing(reading, hubspot, database):
    hubspot.revoke_grants(101)
    await reading.connects("u1")

    await reads(reading, database)

    assert await database.fetchval("SELECT status FROM connection") == "ACTIVE"


async def test_two_pollers_read_everything_once(reading, receiver, hubspot, database, start_broker):
    other = await start_broker(allow_private_endpoints=True)
    hubspot.journal.per_file = 3
    hubspot.webhooks.paused = True
    made = creates(hubspot, 40)

    async def keep_due():
        while True:
            await database.execute("UPDATE journal SET due_at = now()")
            await asyncio.sleep(0.01)

    nagging = asyncio.create_task(keep_due())
    for _ in range(4):
        await asyncio.gather(
            *(each.parts.journal.read_due(10) for each in (reading, other, reading, other))
        )
    nagging.cancel()
    await asyncio.gather(nagging, return_exceptions=True)
    await reads(reading, database)

    assert delivered(receiver) == made


async def test_a_journal_that_cannot_be_read_is_left_alone_for_a_while(reading, hubspot, database):
    hubspot.apps["client-of-hbdev"].client_secret = "canary-other"
    hubspot.grants.access_tokens.clear()

    for _ in range(3):
        await reads(reading, database)

    row = await database.fetchrow(
        "SELECT failures, last_error, due_at > now() + interval '3 seconds' AS rests FROM journal"
    )
    assert tuple(row) == (3, "credentials-refused", True)


async def test_a_journal_whose_end_is_refused_is_read_again_once_and_then_rests(
    reading, receiver, hubspot, database, monkeypatch
):
    """F20: HubSpot answers 404 where 204 is documented."""
    after = type(hubspot.journal).after

    def refuses_its_end(journal, client_id, offset):
        found = after(journal, client_id, offset)
        if found is None and offset is not None:
            raise KeyError(offset)
        return found

    monkeypatch.setattr(type(hubspot.journal), "after", refuses_its_end)
    hubspot.webhooks.paused = True
    made = creates(hubspot, 5)
    hubspot.seen.clear()

    for _ in range(3):
        await reads(reading, database)

    paths = [each.raw_path for each in hubspot.seen if "/journal/" in each.raw_path]
    minted = [each for each in hubspot.seen if each.raw_path.endswith("/token")]
    assert len([path for path in paths if path.endswith("/earliest")]) <= 2 * 3
    assert len(paths) <= 2 * 3 * (2 + len(made))
    assert minted == []
    row = await database.fetchrow(
        "SELECT failures, due_at > now() + interval '15 seconds' AS rests FROM journal"
    )
    assert tuple(row) == (3, True)
    assert delivered(receiver) == made


async def test_readings_of_one_journal_share_a_token(reading, hubspot, database):
    hubspot.seen.clear()

    for _ in range(3):
        await reads(reading, database)

    assert [each for each in hubspot.seen if each.raw_path.endswith("/token")] == []


async def test_no_journal_is_read_unless_the_app_says_so(
    broker_with_local_endpoints, hubspot, database
):
    await broker_with_local_endpoints.parts.journal.read_due(10)
    await broker_with_local_endpoints.asks("PATCH", "/api/apps/hbdev", json={"journal": True})
    await broker_with_local_endpoints.parts.journal.read_due(10)
    paths = [each.raw_path for each in hubspot.seen if "journal" in each.raw_path]
    await broker_with_local_endpoints.asks("PATCH", "/api/apps/hbdev", json={"journal": False})
    await broker_with_local_endpoints.parts.journal.read_due(10)

    assert paths.count("/webhooks-journal/journal/2026-03/latest") == 1
    assert paths.count("/webhooks-journal/subscriptions/2026-03") == 2
    assert await database.fetchval("SELECT count(*) FROM journal") == 0


def test_a_file_is_fetched_from_hubspots_storage_only():
    api = "https://api.hubapi.com"

    def verdict(url):
        body = f'{{"currentOffset":"3f2c","url":"{url}"}}'.encode()
        try:
            return read_file(200, body, api) is not None
        except HubSpotUnavailable:
            return False

    good = [
        "https://journal.s3.amazonaws.com/a?X-Amz-Signature=b",
        "https://journal.s3.us-east-1.amazonaws.com/a",
        "https://journal.s3-eu-west-1.amazonaws.com/a",
        "https://api.hubapi.com/a",
    ]
    bad = [
        "http://journal.s3.amazonaws.com/a",
        "https://evil.test/a",
        "https://s3.amazonaws.com.evil.test/a",
        "https://x@journal.s3.amazonaws.com/a",
        "https://journal.s3.amazonaws.com:8443/a",
        "https://169.254.169.254/a",
        "file:///etc/passwd",
    ]
    assert [verdict(url) for url in good] == [True] * len(good)
    assert [verdict(url) for url in bad] == [False] * len(bad)
    for status in (400, 404, 410):
        with pytest.raises(OffsetUnknown):
            read_file(status, b"", api)
    for status, body in ((500, b""), (200, b"[]"), (200, b"{}"), (403, b"{}"), (200, b"<html>")):
        with pytest.raises(HubSpotUnavailable):
            read_file(status, body, api)


def test_the_journals_words_become_the_webhooks():
    file = b"""{"offset":"o","publishedAt":"2026-11-20T10:00:00Z","journalEvents":[
      {"type":"OBJECT","action":"UPDATE","portalId":1,"occurredAt":"2026-11-20T09:59:59.500Z",
       "objectTypeId":"0-2","objectId":5,"propertyChanges":{"name":"Acme","domain":"a.example"}},
      {"type":"OBJECT","action":"CREATE","portalId":1,"occurredAt":1,"objectTypeId":"2-9","objectId":6},
      {"type":"ASSOCIATION","action":"ASSOCIATION_REMOVED","portalId":1,"occurredAt":2,"objectTypeId":"0-3"},
      {"type":"LIST_MEMBERSHIP","action":"ADDED_TO_LIST","portalId":1,"occurredAt":3},
      {"type":"APP_LIFECYCLE_EVENT","action":"APP_UNINSTALL","portalId":1,"occurredAt":4},
      "no event"]}"""

    read = [read_event(each) for each in read_events(file)]

    assert [each and each.type for each in read] == [
        "company.propertyChange",
        "company.propertyChange",
        "object.creation",
        "deal.associationChange",
        "object.added_to_list",
        "app.uninstalled",
        None,
    ]
    assert read[0].occurred_ms == 1_795_168_799_500
    assert (read[0].fields["propertyName"], read[0].fields["propertyValue"]) == ("name", "Acme")
    assert read[3].fields["associationRemoved"] is True
    for wrong in (b"", b"[]", b"{}", b'{"journalEvents":{}}', b"\xff"):
        with pytest.raises(ValueError):
            read_events(wrong)

"""Deliveries: until they are taken, and nobody at the expense of anybody else."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from broker.domain.uuid7 import another_uuid7_of, first_id
from broker.services.events.deliverer import BACKOFF, MAX_CONCURRENT_PER_ENDPOINT
from broker.stores.events import replays
from tests.until import until

ENDPOINTS = "/api/apps/hbdev/endpoints"


def event(number, portal=101):
    return {
        "eventId": number,
        "portalId": portal,
        "occurredAt": 1_764_000_000_000 + number,
        "subscriptionType": "contact.creation",
        "objectId": number,
    }


def verified(secret, received):
    try:
        Webhook(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


async def let_time_pass(database):
    await database.execute("UPDATE delivery SET due_at = now() WHERE due_at IS NOT NULL")
    await database.execute("UPDATE endpoint SET resumes_at = NULL")


async def of(broker, endpoint, **query):
    answer = await broker.asks("GET", f"{ENDPOINTS}/{endpoint}/deliveries", params=query)
    assert answer.status == 200, answer.body
    return answer.json()


@pytest.fixture
async def endpoint(broker_with_local_endpoints, receiver):
    """The id of an endpoint at `/in` of an app with one connection."""
    await broker_with_local_endpoints.connects("u1")
    created = await broker_with_local_endpoints.sends_to(f"{receiver.url}/in", "hubspot.*")
    return created.json()["id"]


async def test_an_endpoint_is_shown_without_its_secret_ever_after(
    broker_with_local_endpoints, receiver, endpoint
):
    other = await broker_with_local_endpoints.sends_to(f"{receiver.url}/other", "connection.*")
    secret = other.json()["secret"]
    listed = await broker_with_local_endpoints.asks("GET", ENDPOINTS)
    shown = await broker_with_local_endpoints.asks("GET", f"{ENDPOINTS}/{endpoint}")
    changed = await broker_with_local_endpoints.asks(
        "PATCH", f"{ENDPOINTS}/{endpoint}", json={"events": ["kyb.*"]}
    )
    removed = await broker_with_local_endpoints.asks("DELETE", f"{ENDPOINTS}/{endpoint}")
    after = await broker_with_local_endpoints.asks("GET", f"{ENDPOINTS}/{endpoint}")

    assert other.status == 201
    assert secret.startswith("whsec_")
    assert [each["url"] for each in listed.json()["endpoints"]] == [
        f"{receiver.url}/in",
        f"{receiver.url}/other",
    ]
    assert shown.json() == listed.json()["endpoints"][0]
    assert "secret" not in shown.json()
    assert changed.json()["events"] == ["kyb.*"]
    assert (removed.status, after.status, after.code) == (204, 404, "endpoint-not-found")


async def test_what_is_no_endpoint_is_refused_with_every_wrong_field(broker):
    bad = [
        {"url": "http://127.0.0.1:9/"},
        {"url": "https://localhost/"},
        {"url": "https://0x7f.1/"},
        {"url": "https://169.254.169.254/latest"},
        {"url": "ftp://product.example/"},
        {"url": "https://product.example/", "events": []},
        {"url": "https://product.example/", "events": ["hub*"]},
        {"url": "https://product.example/", "events": ["*.creation"]},
        {"url": "https://product.example/", "secret": "mine"},
        {"events": ["*"]},
    ]

    answers = [await broker.asks("POST", ENDPOINTS, json=body) for body in bad]

    assert [answer.status for answer in answers] == [400] * len(bad)
    assert all(answer.json()["errors"] for answer in answers)
    assert (await broker.asks("GET", ENDPOINTS)).json() == {"endpoints": []}


async def test_an_app_has_fifty_endpoints_at_most(broker):
    url = "https://product.example/events"
    made = [(await broker.sends_to(url)).status for _ in range(51)]

    assert made == [201] * 50 + [400]


async def test_endpoints_belong_to_their_app_and_need_the_scope(
    broker_with_local_endpoints, receiver, endpoint
):
    """U1."""
    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.run_background_work()
    delivery = (await of(broker_with_local_endpoints, endpoint))["deliveries"][0]["id"]
    await broker_with_local_endpoints.registers("second")
    elsewhere = "/api/apps/second"
    key = await broker_with_local_endpoints.makes_key("connect", "proxy")
    span = {"from": "2020-01-01", "to": "2030-01-01"}

    for method, path, rest in [
        ("GET", f"/endpoints/{endpoint}", {}),
        ("PATCH", f"/endpoints/{endpoint}", {"json": {"enabled": False}}),
        ("DELETE", f"/endpoints/{endpoint}", {}),
        ("GET", f"/endpoints/{endpoint}/deliveries", {}),
        ("POST", f"/endpoints/{endpoint}/test", {}),
        ("POST", f"/endpoints/{endpoint}/rotate", {}),
        ("POST", f"/endpoints/{endpoint}/replay", {"params": span}),
        ("POST", f"/deliveries/{delivery}/replay", {}),
        ("POST", "/deliveries/nothing/replay", {}),
    ]:
        foreign = await broker_with_local_endpoints.asks(method, elsewhere + path, **rest)
        weak = await broker_with_local_endpoints.asks(
            method, "/api/apps/hbdev" + path, key=key, **rest
        )
        assert (foreign.status, weak.status) == (404, 403), f"{method} {path}"
    assert len(receiver.got) == 1


async def test_secrets_overlap_for_a_day(broker_with_local_endpoints, receiver, endpoint, database):
    """D2."""
    old = broker_with_local_endpoints.secrets[-1]
    new = (await broker_with_local_endpoints.asks("POST", f"{ENDPOINTS}/{endpoint}/rotate")).json()[
        "secret"
    ]
    broker_with_local_endpoints.secrets.append(new)

    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.run_background_work()
    await database.execute("UPDATE endpoint SET previous_secret_until = now() - interval '1 s'")
    await broker_with_local_endpoints.receives_webhook([event(2)])
    await broker_with_local_endpoints.run_background_work()
    await broker_with_local_endpoints.parts.endpoints.purge_previous_secrets()

    both, only_new = receiver.got
    assert len(both.headers["webhook-signature"].split(" ")) == 2
    assert [verified(old, both), verified(new, both)] == [True, True]
    assert [verified(old, only_new), verified(new, only_new)] == [False, True]
    assert await database.fetchval("SELECT previous_secret FROM endpoint") is None


async def test_a_delivery_is_tried_for_three_days_and_then_dead(
    broker_with_local_endpoints, receiver, endpoint, database
):
    """D5."""
    receiver.answers["/in"] = 500
    await broker_with_local_endpoints.receives_webhook([event(1)])
    gaps = []

    for _ in range(20):
        await broker_with_local_endpoints.run_background_work()
        gap = await database.fetchval(
            "SELECT extract(epoch FROM due_at - attempted_at)::float8 FROM delivery"
        )
        if gap is not None:
            gaps.append(gap)
        await let_time_pass(database)

    assert len(receiver.got) == 12
    assert len({each.id for each in receiver.got}) == 1
    assert len({each.body for each in receiver.got}) == 1
    for gap, planned in zip(gaps, BACKOFF.schedule, strict=True):
        assert planned * 0.84 <= gap <= planned + 2, gaps
    assert 2.5 * 86_400 < sum(BACKOFF.schedule) < 3 * 86_400
    (shown,) = (await of(broker_with_local_endpoints, endpoint, state="dead"))["deliveries"]
    assert (shown["attempts"], shown["lastStatus"], shown["nextAttemptAt"]) == (12, 500, None)


async def test_what_a_closed_endpoint_kept_waiting_is_dead_after_three_days(
    broker_with_local_endpoints, receiver, endpoint, database
):
    await database.execute("UPDATE endpoint SET resumes_at = now() + interval '5 minutes'")
    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.run_background_work()
    await database.execute("UPDATE delivery SET expires_at = now()")
    await broker_with_local_endpoints.parts.deliverer.expire()

    (shown,) = (await of(broker_with_local_endpoints, endpoint))["deliveries"]
    assert (shown["state"], shown["attempts"]) == ("dead", 0)
    assert receiver.got == []
    counted = broker_with_local_endpoints.parts.metrics.registry.get_sample_value
    assert counted("broker_deliveries_total", {"outcome": "dead"}) == 1


async def test_a_replay_sends_the_same_event_again(
    broker_with_local_endpoints, receiver, endpoint, database
):
    """D5, D9."""
    receiver.answers["/in"] = 500
    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.run_background_work()
    await database.execute("UPDATE delivery SET state = 'dead', due_at = NULL")
    receiver.answers["/in"] = 200
    await let_time_pass(database)
    (shown,) = (await of(broker_with_local_endpoints, endpoint))["deliveries"]

    again = await broker_with_local_endpoints.asks(
        "POST", f"/api/apps/hbdev/deliveries/{shown['id']}/replay"
    )
    await broker_with_local_endpoints.run_background_work()

    first, second = receiver.got
    assert again.status == 202
    assert first.id == second.id == shown["messageId"]
    assert first.body == second.body
    assert [each.headers.get("broker-replayed") for each in receiver.got] == [None, "true"]
    (shown,) = (await of(broker_with_local_endpoints, endpoint))["deliveries"]
    assert (shown["state"], shown["attempts"], shown["replayed"]) == ("delivered", 1, True)


async def test_a_span_is_replayed_for_one_user_at_a_steady_pace(
    broker_with_local_endpoints, receiver, endpoint, database
):
    """D9: with what the endpoint never got, and nothing of anybody else's."""
    await broker_with_local_endpoints.connects("u2", portal=102)
    await broker_with_local_endpoints.receives_webhook([event(n, portal=101) for n in range(120)])
    await broker_with_local_endpoints.receives_webhook([event(n, portal=102) for n in range(5)])
    await broker_with_local_endpoints.run_background_work()
    late = (await broker_with_local_endpoints.sends_to(f"{receiver.url}/late", "hubspot.*")).json()[
        "id"
    ]
    now = datetime.now(UTC)
    span = {
        "from": (now - timedelta(hours=1)).isoformat(),
        "to": (now + timedelta(hours=1)).isoformat().replace("+", " "),
        "userForeignIdentifier": "u1",
    }
    receiver.got.clear()

    replayed = await broker_with_local_endpoints.asks(
        "POST", f"{ENDPOINTS}/{late}/replay", params=span
    )
    spread = await database.fetchval(
        "SELECT extract(epoch FROM max(due_at) - min(due_at))::float8 FROM delivery "
        "WHERE due_at IS NOT NULL"
    )
    for _ in range(5):
        await let_time_pass(database)
        await broker_with_local_endpoints.run_background_work()
    twice = await broker_with_local_endpoints.asks(
        "POST", f"{ENDPOINTS}/{late}/replay", params=span
    )

    assert (replayed.status, replayed.json()) == (202, {"replayed": 120, "until": None})
    assert 2.3 < spread < 2.5
    assert {each.path for each in receiver.got} == {"/late"}
    assert {each.json()["data"]["userForeignIdentifier"] for each in receiver.got} == {"u1"}
    assert len({each.id for each in receiver.got}) == 120
    assert twice.json()["replayed"] == 120
    empty = {**span, "from": "2020-01-01", "to": "2020-01-02"}
    assert (
        await broker_with_local_endpoints.asks("POST", f"{ENDPOINTS}/{late}/replay", params=empty)
    ).json()["replayed"] == 0
    for wrong in ({}, {"from": "x", "to": "y"}, {"from": "2020-01-02", "to": "2020-01-01"}):
        answer = await broker_with_local_endpoints.asks(
            "POST", f"{ENDPOINTS}/{late}/replay", params=wrong
        )
        assert answer.status == 400


async def test_410_disables_until_somebody_enables(
    broker_with_local_endpoints, receiver, endpoint, database
):
    """D5."""
    receiver.answers["/in"] = 410
    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.run_background_work()
    shown = (await broker_with_local_endpoints.asks("GET", f"{ENDPOINTS}/{endpoint}")).json()
    receiver.answers["/in"] = 200
    await broker_with_local_endpoints.receives_webhook([event(2)])
    await let_time_pass(database)
    await broker_with_local_endpoints.run_background_work()
    while_disabled = len(receiver.got)

    enabled = await broker_with_local_endpoints.asks(
        "PATCH", f"{ENDPOINTS}/{endpoint}", json={"enabled": True}
    )
    await broker_with_local_endpoints.run_background_work()

    assert (shown["enabled"], shown["disabledBecause"]) == (False, "gone")
    assert while_disabled == 1
    assert (enabled.json()["enabled"], enabled.json()["disabledBecause"]) == (True, None)
    assert [each.json()["data"]["eventId"] for each in receiver.got] == [1, 2]


async def test_a_failing_endpoint_is_left_alone_then_tried_with_one(
    broker_with_local_endpoints, receiver, endpoint, database
):
    receiver.answers["/in"] = 503
    await broker_with_local_endpoints.receives_webhook([event(n) for n in range(50)])
    await broker_with_local_endpoints.run_background_work()
    closed = (await broker_with_local_endpoints.asks("GET", f"{ENDPOINTS}/{endpoint}")).json()
    before = len(receiver.got)
    await broker_with_local_endpoints.run_background_work()
    left_alone = len(receiver.got)
    await database.execute("UPDATE endpoint SET resumes_at = now()")
    await broker_with_local_endpoints.run_background_work()
    probed = len(receiver.got)
    receiver.answers["/in"] = 200
    await let_time_pass(database)
    await broker_with_local_endpoints.run_background_work()

    assert closed["failures"] == before == MAX_CONCURRENT_PER_ENDPOINT
    assert closed["resumesAt"] is not None
    assert closed["createdAt"] < closed["failingSince"] < closed["resumesAt"]
    assert (left_alone, probed) == (before, before + 1)
    again = (await broker_with_local_endpoints.asks("GET", f"{ENDPOINTS}/{endpoint}")).json()
    assert (again["failures"], again["failingSince"]) == (0, None)
    assert len({each.id for each in receiver.got}) == 50


async def test_a_receiver_may_ask_for_more_time(
    broker_with_local_endpoints, receiver, endpoint, database
):
    async def later(_request):
        return web.Response(status=429, headers={"Retry-After": "900"})

    receiver.answers["/in"] = later
    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.run_background_work()

    gap = await database.fetchval("SELECT extract(epoch FROM due_at - now())::float8 FROM delivery")
    assert 890 < gap <= 900


async def test_a_receiver_that_hangs_holds_up_nobody_else(
    broker_with_local_endpoints, receiver, endpoint
):
    """D4, D8: a long queue behind one endpoint costs the others nothing."""
    release = asyncio.Event()

    async def hang(_request):
        await release.wait()
        return web.Response(status=503)

    receiver.answers["/in"] = hang
    for n in range(5):
        await broker_with_local_endpoints.receives_webhook(
            [event(100 * n + each) for each in range(100)]
        )
    while await broker_with_local_endpoints.parts.splitter.split_due(50):
        pass
    for n in range(10):
        await broker_with_local_endpoints.sends_to(f"{receiver.url}/good{n}", "hubspot.*")
    await broker_with_local_endpoints.receives_webhook([event(1000 + n) for n in range(20)])
    while await broker_with_local_endpoints.parts.splitter.split_due(50):
        pass

    async def all_sent():
        await broker_with_local_endpoints.parts.deliverer.deliver_due()
        return len(receiver.got) == 200 + MAX_CONCURRENT_PER_ENDPOINT

    await until(all_sent)
    release.set()
    await broker_with_local_endpoints.parts.deliverer.join()

    assert len(receiver.at("/in")) == MAX_CONCURRENT_PER_ENDPOINT
    assert all(len(receiver.at(f"/good{n}")) == 20 for n in range(10))


async def test_a_test_event_says_at_once_what_came_of_it(
    broker_with_local_endpoints, receiver, endpoint
):
    other = (await broker_with_local_endpoints.sends_to(f"{receiver.url}/other", "*")).json()["id"]

    good = await broker_with_local_endpoints.asks("POST", f"{ENDPOINTS}/{endpoint}/test")
    receiver.answers["/in"] = 500
    bad = await broker_with_local_endpoints.asks("POST", f"{ENDPOINTS}/{endpoint}/test")
    await broker_with_local_endpoints.run_background_work()

    assert (good.status, good.json()["state"], good.json()["lastStatus"]) == (
        200,
        "delivered",
        200 + 4,
    )
    assert (bad.status, bad.json()["state"], bad.json()["lastStatus"]) == (200, "dead", 500)
    assert [each.path for each in receiver.got] == ["/in", "/in"]
    assert receiver.got[0].json()["type"] == "endpoint.test"
    assert (await of(broker_with_local_endpoints, other))["deliveries"] == []


async def test_deliveries_are_listed_newest_first_in_pages(
    broker_with_local_endpoints, receiver, endpoint
):
    await broker_with_local_endpoints.receives_webhook([event(n) for n in range(7)])
    await broker_with_local_endpoints.run_background_work()

    first = await of(broker_with_local_endpoints, endpoint, limit=4)
    second = await of(broker_with_local_endpoints, endpoint, limit=4, before=first["before"])

    assert [len(first["deliveries"]), len(second["deliveries"])] == [4, 3]
    assert second["before"] is None
    ids = [each["id"] for each in first["deliveries"] + second["deliveries"]]
    assert len(set(ids)) == 7
    events = [each["messageId"] for each in first["deliveries"] + second["deliveries"]]
    assert events == sorted(events, reverse=True)
    assert (await of(broker_with_local_endpoints, endpoint, state="waiting"))["deliveries"] == []


async def test_a_late_outcome_does_not_undo_a_replay(
    broker_with_local_endpoints, receiver, endpoint, database
):
    """The claim is the fence."""
    release = asyncio.Event()

    async def slow(_request):
        await release.wait()
        return web.Response(status=200)

    receiver.answers["/in"] = slow
    await broker_with_local_endpoints.receives_webhook([event(1)])
    await broker_with_local_endpoints.parts.splitter.split_due(5)
    await broker_with_local_endpoints.parts.deliverer.deliver_due()
    await until(lambda: receiver.got)
    (shown,) = (await of(broker_with_local_endpoints, endpoint))["deliveries"]
    await broker_with_local_endpoints.asks(
        "POST", f"/api/apps/hbdev/deliveries/{shown['id']}/replay"
    )
    release.set()
    await broker_with_local_endpoints.parts.deliverer.join()

    assert await database.fetchval("SELECT state FROM delivery") == "waiting"
    await broker_with_local_endpoints.run_background_work()
    assert len(receiver.got) == 2


async def test_a_long_span_is_enqueued_a_slice_at_a_time_and_one_span_at_once(
    broker_with_local_endpoints, receiver, endpoint, database, monkeypatch
):
    """2.10: however many events a span holds and however often it is asked for, a turn writes no
    more than a slice, and nobody holds sessions while another one's slice is written.
    """
    monkeypatch.setattr(replays, "SLICE", 50)
    monkeypatch.setattr(replays, "MAX_EVENTS", 220)
    monkeypatch.setattr(
        replays, "REPLAYED_A_SECOND", 1
    )  # on a slow machine, too, a slice takes longer
    broker, url = broker_with_local_endpoints, f"{ENDPOINTS}/{endpoint}/replay"
    await database.execute(
        """
        INSERT INTO event (workspace_id, id, app_id, type, user_ref, payload)
        SELECT app.workspace_id, given.id, app.id, 'hubspot.contact.creation',
               CASE WHEN n % 2 = 0 THEN 'u1' ELSE 'u2' END, '{}'
          FROM app, unnest($1::uuid[]) WITH ORDINALITY AS given (id, n)
        """,
        [
            another_uuid7_of(first_id(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n // 4)))
            for n in range(250)
        ],
    )
    span = {"from": "2026-01-01", "to": "2026-01-02", "userForeignIdentifier": "u1"}

    answers = await asyncio.gather(*(broker.asks("POST", url, params=span) for _ in range(12)))
    enqueued = [await database.fetchval("SELECT count(*) FROM delivery WHERE is_replay")]
    while await database.fetchval("SELECT count(*) FROM replay"):
        assert await broker.parts.replays.enqueue_due() == 0  # its receiver has no time for more
        await database.execute("UPDATE replay SET due_at = now()")
        assert await broker.parts.replays.enqueue_due() == 1
        enqueued.append(await database.fetchval("SELECT count(*) FROM delivery WHERE is_replay"))

    assert sorted(answer.status for answer in answers) == [202] + 11 * [503]
    (begun,) = [answer.json() for answer in answers if answer.status == 202]
    assert begun == {"replayed": 110, "until": "2026-01-01T00:00:55Z"}
    assert {answer.code for answer in answers if answer.status == 503} == {"busy"}
    assert all(
        int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status == 503
    )
    assert enqueued[-1] == 110
    assert all(0 < more - less <= 50 for less, more in pairwise([0, *enqueued]))
    rest = await broker.asks("POST", url, params={**span, "from": begun["until"]})
    assert rest.json() == {"replayed": 15, "until": None}
    assert await database.fetchval("SELECT count(*) FROM delivery WHERE is_replay") == 125

"""HubSpot's token endpoint unwell, grants ended, crowds: what callers see, what HubSpot is asked."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from broker.sandbox.core.faults import Fault
from broker.services.grants.renewals import MAX_CONCURRENT, MAX_PER_SECOND
from tests.faults.crowd import crowd, size
from tests.until import until

CALL = "/_echo/x"
FAKETIME = [str(each) for each in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]


async def through(broker, url, user):
    return await broker.asks("GET", f"{url}/proxy/hbdev/{user}{CALL}")


async def all_answered(broker, url, users):
    """Whether a call of each user succeeds."""
    return all([(await through(broker, url, user)).status == 200 for user in users])


async def test_an_outage_of_the_token_endpoint_costs_no_call_while_a_token_lives(
    broker, hubspot, database, start_process, figures
):
    """R7, R8. Seconds stand for minutes: all are due for renewal, and HubSpot is unwell for longer
    than a token lives."""
    lifetime, outage = size(9, 30), size(12, 40)
    hubspot.token_lifetime = lifetime
    urls = [(await start_process())[1] for _ in range(2)]
    users = [f"u{n}" for n in range(10)]
    began = {}
    for user in users:
        await broker.connects(user)
        began[user] = time.monotonic()
    await database.execute("UPDATE renewal SET due_at = now()")
    down_from = time.monotonic()
    kinds = [
        Fault("/oauth/*/token", "status", status=429, body='{"message":"slow down"}'),
        Fault("/oauth/*/token", "status", status=503, body="<html>"),
        Fault("/oauth/*/token", "html"),
        Fault("/oauth/*/token", "hang"),
        Fault("/oauth/*/token", "reset", after_bytes=3),
        Fault("/oauth/*/token", "status", status=200, body='{"a":"' + "x" * 5_000_000 + '"}'),
        Fault("/oauth/*/token", "status", status=200, body='{"error":"server_error"}'),
    ]
    answers = Counter()

    async def calling(user, url):
        while time.monotonic() < down_from + outage:
            lives = time.monotonic() < began[user] + lifetime - 1.5
            answer = await through(broker, url, user)
            lived = lives and time.monotonic() < began[user] + lifetime - 1.5
            answers["alive", answer.status] += lived
            answers["dead", answer.status] += not lives
            await asyncio.sleep(0.2)

    async def failing():
        for each in kinds:
            hubspot.faults.clear()
            hubspot.faults.add(each)
            await asyncio.sleep(outage / len(kinds))

    await asyncio.gather(failing(), *(calling(user, urls[n % 2]) for n, user in enumerate(users)))
    hubspot.faults.clear()
    up_from, tried = time.monotonic(), sum(each.hits for each in kinds)
    await until(lambda: all_answered(broker, urls[0], users), within=60)
    recovery = time.monotonic() - up_from
    by_age = {f"{when} {status}": n for (when, status), n in answers.items() if n}
    figures({"answers": by_age, "tried": tried, "recovery": round(recovery, 1)})

    alive = {status for (when, status), count in answers.items() if when == "alive" and count}
    assert alive == {200}
    assert answers["dead", 409] == 0  # nobody is told to connect again
    statuses = await database.fetch("SELECT DISTINCT status FROM connection")
    assert [row["status"] for row in statuses] == ["ACTIVE"]


async def test_a_crowd_renews_at_a_set_pace_and_the_ended_are_asked_for_once(
    broker, hubspot, database, start_process, figures
):
    """R6, R16, R17. All are due in the same second; every tenth grant was revoked at HubSpot."""
    count = size(600, 10_000)
    ended = count // 10
    await crowd(broker, hubspot, database, count, due=0, expires=900, revoked=ended)
    processes = 2
    began = time.monotonic()
    for _ in range(processes):
        await start_process()
    await until(lambda: hubspot.refreshes >= count, within=600)
    seconds = time.monotonic() - began

    async def settled():
        return not await database.fetchval(
            "SELECT count(*) FROM renewal WHERE due_at <= now() AND claimed_until <= now()"
        )

    await until(settled)
    states = {
        row["status"]: row["count"]
        for row in await database.fetch("SELECT status, count(*) FROM connection GROUP BY status")
    }
    figures({"count": count, "seconds": round(seconds)})

    assert hubspot.refreshes == count  # one request each, for those that live and those that do not
    assert states == {"ACTIVE": count - ended, "REAUTH_REQUIRED": ended}
    # The first of each process's turns is at once; a slow machine only makes it take longer.
    assert seconds >= count / (processes * MAX_PER_SECOND) - 1
    late = "SELECT count(*) FROM connection_grant WHERE expires_at < now()"
    assert await database.fetchval(late) == 0
    events = "SELECT count(*) FROM event WHERE type = 'connection.reauth_required'"
    assert await database.fetchval(events) == ended


async def test_an_outage_is_met_with_a_question_a_second_however_many_are_due(
    broker, hubspot, database, start_process, figures
):
    """R8, R16."""
    count, outage, processes = 300, 6, 2
    await crowd(broker, hubspot, database, count, due=0, expires=900)
    fault = hubspot.faults.add(Fault("/oauth/*/token", "status", status=503))
    for _ in range(processes):
        await start_process()
    await until(lambda: fault.hits)
    down_from = time.monotonic()
    await asyncio.sleep(outage)
    hubspot.faults.clear()
    up_from = time.monotonic()
    await until(lambda: hubspot.refreshes >= count, within=90)
    figures({"asked": fault.hits, "all_well_after_s": round(time.monotonic() - up_from, 1)})

    # Before a process knows, as many as it asks for at once may be under way.
    assert fault.hits <= processes * (5 + MAX_CONCURRENT + (up_from - down_from) + 2)


async def test_a_revoked_grant_is_asked_for_twice_at_most_however_many_call(
    broker, hubspot, database, start_process
):
    """R6. A thousand calls on three processes."""
    urls = [(await start_process(BROKER_WORK_IN_SERVE="false"))[1] for _ in range(3)]
    await broker.connects("u1")
    for url in urls:
        assert (await through(broker, url, "u1")).status == 200
    hubspot.revoke_grants(101)
    await database.execute("UPDATE connection_grant SET expires_at = now() - interval '1 minute'")
    await database.execute("SELECT pg_notify('broker_invalidation', '')")
    await asyncio.sleep(0.1)
    refused = Counter()
    for _ in range(5):
        answers = await asyncio.gather(*(through(broker, urls[n % 3], "u1") for n in range(200)))
        refused.update(answer.status for answer in answers)
        assert all("reconnectUrl" in answer.json() for answer in answers)

    assert refused == {409: 1000}
    assert hubspot.refreshes <= 2
    events = await database.fetch("SELECT type FROM event WHERE type LIKE '%reauth_required'")
    assert len(events) == 1


async def test_a_refused_client_is_flagged_once_and_the_right_secret_heals_everybody(
    broker, hubspot, database, start_process
):
    """R15."""
    users = [f"u{n}" for n in range(20)]
    for user in users:
        await broker.connects(user)
    url = (await start_process())[1]
    hubspot.apps["client-of-hbdev"].client_secret = "rotated-secret"
    await database.execute("UPDATE connection_grant SET expires_at = now() - interval '1 minute'")
    hubspot.expire_access_tokens()
    answers = await asyncio.gather(*(through(broker, url, user) for user in users))
    assert {answer.status for answer in answers} == {502}
    events = await database.fetch("SELECT type FROM event WHERE type = 'app.credentials_refused'")
    assert len(events) == 1

    changed = {"clientSecret": "rotated-secret"}
    answer = await broker.asks("PATCH", "/api/apps/hbdev", json=changed)
    assert answer.status == 200, answer.body
    await until(lambda: all_answered(broker, url, users), within=60)
    states = await database.fetch("SELECT DISTINCT status FROM connection")
    assert [row["status"] for row in states] == ["ACTIVE"]


@pytest.mark.parametrize("skew", ["+600", "-600"])
async def test_a_process_whose_clock_is_wrong_renews_no_more_than_the_others(
    broker, hubspot, database, start_process, skew
):
    """R10."""
    if not FAKETIME:
        pytest.skip("libfaketime is not here")
    await broker.connects("u1")
    wrong = {"LD_PRELOAD": FAKETIME[0], "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    urls = [
        (await start_process(BROKER_WORK_IN_SERVE="false"))[1],
        (await start_process(**wrong))[1],
    ]
    for turn in range(1, 6):
        await database.execute(
            "UPDATE connection_grant SET expires_at = now() - interval '1 minute'"
        )
        hubspot.expire_access_tokens()
        await database.execute("SELECT pg_notify('broker_invalidation', '')")
        await asyncio.sleep(0.05)
        answers = await asyncio.gather(*(through(broker, urls[n % 2], "u1") for n in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert hubspot.refreshes == turn

"""Three processes share one account's quota."""

import asyncio
import time
from collections import Counter
from itertools import cycle

CONTACTS = "/crm/v3/objects/contacts"
SECONDS = 24


async def test_three_processes_pushing_at_three_times_the_limit_use_the_quota_and_no_more(
    broker, hubspot, start_process, record_property
):
    """F12, L1, L3: no 429 of HubSpot's, at least 95 % of what it allows, fair to both users."""
    for user in ("u1", "u2"):
        await broker.connects(user)
    urls = cycle([(await start_process(BROKER_WORK_IN_SERVE="false"))[1] for _ in range(3)])
    answers = Counter()
    until = time.monotonic() + SECONDS

    async def push(url, user):
        while time.monotonic() < until:
            answer = await broker.asks("GET", f"{url}/proxy/hbdev/{user}{CONTACTS}")
            answers[user, answer.status, answer.headers.get("Broker-Error")] += 1

    pushing = [push(next(urls), user) for user in ("u1", "u2") for _ in range(60)]
    await asyncio.gather(*pushing)

    limit = hubspot.limits.ten_secondly
    began = hubspot.counted[0][0]
    within = [at for at, _ in hubspot.counted if at < began + SECONDS]
    ideal = limit * (SECONDS // 10 + 1)
    served = {user: answers[user, 200, None] for user in ("u1", "u2")}
    record_property("calls", f"{len(within)} of {ideal}, {served}")
    assert sum(not verdict for _, verdict in hubspot.counted) == 0
    assert len(within) >= 0.95 * ideal
    assert min(served.values()) >= 0.4 * sum(served.values())
    assert {code for _, status, code in answers if status != 200} <= {"quota-exhausted"}


async def test_the_permits_of_a_killed_process_come_back(broker, hubspot, database, start_process):
    """F14: its share lapses."""
    hubspot.limits.ten_secondly = 20
    await broker.connects("u1")
    first, url = await start_process(BROKER_WORK_IN_SERVE="false")
    assert (await broker.asks("GET", f"{url}/proxy/hbdev/u1{CONTACTS}")).status == 200
    first.kill()
    await first.wait()
    permits = await database.fetchval("SELECT sum(permits) FROM quota_share")
    left = await database.fetchval("SELECT max(expires_at) - now() FROM quota_share")
    assert permits >= 10
    assert 15 < left.total_seconds() <= 25

    await database.execute("UPDATE quota_share SET expires_at = now()")
    answers = await asyncio.gather(*(broker.proxies(CONTACTS) for _ in range(19)))

    assert {answer.status for answer in answers} == {200}
    assert sum(not verdict for _, verdict in hubspot.counted) == 0

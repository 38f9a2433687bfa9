"""HubSpot's limits, shared by all who call an account through one app."""

import asyncio
import time
from collections import Counter

import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until

CONTACTS = "/crm/v3/objects/contacts"
INTERVAL_S = 2.0
SEARCH = f"{CONTACTS}/search"


def refusals(hubspot):
    """How many calls HubSpot itself refused with 429."""
    return sum(not admitted for _, admitted in hubspot.counted)


@pytest.fixture(autouse=True)
def short_interval(hubspot):
    """Let the account's quota be one of two seconds."""
    hubspot.limits.window_s = INTERVAL_S


async def many(broker, count, user="u1", wait=None, **rest):
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return await asyncio.gather(
        *(broker.proxies(CONTACTS, user=user, headers=headers, **rest) for _ in range(count))
    )


async def test_a_new_call_does_not_overtake_waiting_ones(broker, hubspot):
    """L1: a permit that became free is the next one's in the queue."""
    hubspot.limits.ten_secondly = 6
    await broker.connects("u1")
    await many(broker, 6)
    ended = []

    async def call(name):
        await broker.proxies(CONTACTS, headers={"Prefer": "wait=20"})
        ended.append(name)

    first = asyncio.create_task(call("first"))
    await until(lambda: waits(broker) == 1)
    await asyncio.gather(first, *(call(number) for number in range(6)))

    assert ended[0] == "first"


async def test_a_burst_takes_the_whole_quota_at_once_and_the_rest_is_told_when(broker, hubspot):
    """F12; the size is learnt from HubSpot's headers, before more goes out than it allows."""
    hubspot.limits.ten_secondly = 20
    await broker.connects("u1")

    began = time.monotonic()
    answers = await many(broker, 30, wait=0)

    elapsed = time.monotonic() - began
    statuses = Counter(answer.status for answer in answers)
    assert statuses == {200: 20, 429: 10}
    assert refusals(hubspot) == 0
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.headers["Broker-Error"] == refused.code == "quota-exhausted"
    assert refused.json()["limit"] == "burst"
    after = int(refused.headers["Retry-After"])
    assert INTERVAL_S - elapsed - 1 <= after <= INTERVAL_S + 1
    assert "x-should-retry" not in refused.headers


async def test_retry_after_is_kept(broker, hubspot):
    hubspot.limits.ten_secondly = 6
    await broker.connects("u1")
    await many(broker, 6)

    refused = (await many(broker, 1, wait=0))[0]
    assert refused.status == 429
    await asyncio.sleep(int(refused.headers["Retry-After"]))

    assert (await many(broker, 1, wait=0))[0].status == 200
    assert refusals(hubspot) == 0


async def test_a_call_waits_as_long_as_it_is_told(broker, hubspot):
    hubspot.limits.ten_secondly = 6
    await broker.connects("u1")
    await many(broker, 6)

    patient, hasty = await asyncio.gather(many(broker, 1, wait=5), many(broker, 1, wait=1))

    assert (patient[0].status, hasty[0].status) == (200, 429)
    assert refusals(hubspot) == 0


async def test_users_of_one_account_take_turns(start_broker, broker, hubspot):
    """L1: a user who asks for much does not keep one who asks for little waiting."""
    hubspot.limits.ten_secondly = 10
    await broker.connects("u1")
    await broker.connects("u2")
    await many(broker, 10, user="u1")

    flood = asyncio.create_task(many(broker, 40, user="u1", wait=5))
    await asyncio.sleep(0.3)
    modest = await many(broker, 5, user="u2", wait=5)
    noisy = await flood

    assert {answer.status for answer in modest} == {200}
    served = sum(answer.status == 200 for answer in noisy)
    assert 4 <= served <= 16
    assert refusals(hubspot) == 0


async def test_apps_accounts_and_searches_are_counted_apart(broker, hubspot):
    """L2."""
    hubspot.limits.ten_secondly = 6
    hubspot.limits.window_s = 10.0
    await broker.connects("u1", portal=101)
    await broker.connects("u2", portal=102)
    await many(broker, 6, user="u1")

    other_account = await many(broker, 3, user="u2", wait=0)
    searches = await asyncio.gather(
        *(broker.proxies(SEARCH, method="POST", json={}) for _ in range(8))
    )
    exhausted = await many(broker, 1, user="u1", wait=0)

    assert {answer.status for answer in other_account} == {200}
    assert {answer.status for answer in searches} == {200}
    assert exhausted[0].status == 429
    assert refusals(hubspot) == 0


async def test_two_processes_never_use_more_than_there_is_and_lend_what_is_idle(
    broker, second_broker, hubspot
):
    """L3: the first process holds at most half; one that waits gets its share."""
    hubspot.limits.ten_secondly = 20
    await broker.connects("u1")
    await broker.connects("u2")
    await many(broker, 2)

    answers = await asyncio.gather(
        many(broker, 30, user="u1", wait=5), many(second_broker, 30, user="u2", wait=5)
    )

    statuses = Counter(answer.status for part in answers for answer in part)
    assert refusals(hubspot) == 0
    assert statuses[200] >= 40
    for part in answers:
        assert sum(answer.status == 200 for answer in part) >= 0.2 * statuses[200]


async def test_a_smaller_limit_is_taken_in_at_once(broker, hubspot):
    hubspot.limits.ten_secondly = 40
    await broker.connects("u1")
    await many(broker, 3)
    hubspot.limits.ten_secondly = 8
    await many(broker, 1)

    answers = await many(broker, 20, wait=0)

    assert Counter(answer.status for answer in answers) == {200: 4, 429: 16}
    assert refusals(hubspot) == 0


async def test_calls_pause_when_hubspot_says_that_somebody_else_used_the_quota(broker, hubspot):
    await broker.connects("u1")
    await many(broker, 1)
    body = '{"status":"error","policyName":"TEN_SECONDLY_ROLLING","errorType":"RATE_LIMIT"}'
    fault = hubspot.faults.add(Fault("/crm/*", "status", status=429, body=body, method="POST"))

    first = await broker.proxies(CONTACTS, method="POST", json={}, headers={"Prefer": "wait=0"})
    second = await broker.proxies(CONTACTS, headers={"Prefer": "wait=0"})

    assert first.status == 429
    assert first.json()["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "Broker-Error" not in first.headers
    assert second.code == "quota-exhausted"
    assert fault.hits == 1


async def test_a_spent_daily_limit_is_seen_and_said_everywhere(broker, second_broker, hubspot):
    await broker.connects("u1")
    await many(broker, 1)
    body = '{"status":"error","policyName":"DAILY","message":"You have reached your daily limit."}'
    fault = hubspot.faults.add(Fault("/crm/*", "status", status=429, body=body))

    first = await broker.proxies(CONTACTS)
    second = await broker.proxies(CONTACTS)

    async def refused_elsewhere():
        answer = await second_broker.proxies(CONTACTS)
        return answer if "Broker-Error" in answer.headers else None

    elsewhere = await until(refused_elsewhere)

    assert first.json()["policyName"] == "DAILY"
    assert "Broker-Error" not in first.headers
    assert (second.status, second.code, second.json()["limit"]) == (429, "quota-exhausted", "daily")
    assert 1 <= int(second.headers["Retry-After"]) <= 902
    assert elsewhere.json()["limit"] == "daily"
    assert fault.hits <= 2


async def test_a_deleted_connection_is_not_used_by_who_waited_for_its_quota(broker, hubspot):
    hubspot.limits.ten_secondly = 6
    await broker.connects("u1")
    await many(broker, 6)

    waiting = asyncio.create_task(many(broker, 1, wait=20))
    await asyncio.sleep(0.2)
    await broker.asks("DELETE", "/api/apps/hbdev/connections/u1")
    seen = len(hubspot.seen)

    assert (await waiting)[0].code == "connection-not-found"
    assert len(hubspot.seen) == seen


async def test_calls_that_give_up_waiting_leave_the_queue(broker, hubspot):
    """P19."""
    hubspot.limits.ten_secondly = 6
    await broker.connects("u1")
    await many(broker, 6)

    for _ in range(20):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(broker.proxies(CONTACTS, headers={"Prefer": "wait=60"}), 0.02)

    await until(lambda: waits(broker) == 0)


def waits(broker):
    """How many calls wait for quota."""
    return sum(bucket.waiting for bucket in broker.parts.quota.buckets)


def exchanges(brokers):
    """How often the brokers exchanged permits with the database, by cause."""
    found = Counter()
    for broker in brokers:
        for metric in broker.parts.metrics.quota_exchanges.collect():
            for sample in metric.samples:
                if sample.name.endswith("_total"):
                    found[sample.labels["cause"]] += int(sample.value)
    return found


@pytest.mark.parametrize("limit", [100, 190, 2_000_000_000, None])
@pytest.mark.parametrize("replicas", [2, 10])
async def test_replicas_that_call_in_turn_wait_for_no_poll(
    start_broker, broker, hubspot, limit, replicas
):
    """As long as permits are free in any process: fresh, warm, and after a rest."""
    hubspot.limits.window_s = 10.0
    hubspot.limits.ten_secondly = limit or 100
    path = CONTACTS if limit else "/_echo/x"  # whose answers name no limit
    brokers = [broker]
    for _ in range(replicas - 1):
        other = await start_broker()
        other.key = broker.key
        brokers.append(other)
    await broker.connects("u1")

    async def rounds(count):
        for _ in range(count):
            for each in brokers:
                assert (await each.proxies(path)).status == 200

    await rounds(3)
    fresh = exchanges(brokers)
    await rounds(2)
    warm = exchanges(brokers) - fresh
    for each in brokers:
        await each.parts.quota.heartbeat()
    rested_from = exchanges(brokers)
    await rounds(2)
    rested = exchanges(brokers) - rested_from

    assert refusals(hubspot) == 0
    assert (fresh + warm + rested)["poll"] == 0
    if replicas == 2 or limit not in {100, 190}:  # permits for all after one exchange each
        assert fresh.total() <= replicas + 1
        assert warm.total() == rested.total() == 0
    assert (fresh + warm + rested).total() <= 3 * 7 * replicas

"""Salesforce's rotating refresh tokens with reuse detection: many callers, brokers, and kill -9."""

import asyncio
import random
import signal
from collections import Counter

import pytest

from broker.sandbox.core.faults import Fault
from tests.drills import sized
from tests.flows.providers.conftest import orgs, salesforce_sandbox
from tests.flows.providers.orgs import LEADS
from tests.until import until

__all__ = ["orgs", "salesforce_sandbox"]

pytestmark = pytest.mark.drill

TOKENS = "/services/oauth2/token"
ROUNDS = 20


async def expire(orgs, database, brokers):
    """Let every session be over, here and at Salesforce."""
    await database.execute("UPDATE connection_grant SET expires_at = now() - interval '1 minute'")
    orgs.end_sessions()
    for broker in brokers:
        broker.parts.proxy.clear_cache()


async def test_many_calls_at_three_brokers_cost_one_refresh_a_round(
    orgs, start_broker, database, figures
):
    """A second use of a refresh token would end the grant, two at a time would be refused. Every
    other round the brokers learn that the session is over from refused calls alone.
    """
    world, calls = orgs.world, sized(200, 6)
    orgs.org.levers.api_budget = 10_000_000
    world.levers.refresh_seconds = 0.02
    brokers = [orgs.broker]
    for _ in range(2):
        other = await start_broker(salesforce_url=orgs.running.login_url)
        other.workspace, other.key = orgs.broker.workspace, orgs.broker.key
        brokers.append(other)
    await orgs.connects()

    statuses = Counter()
    for number in range(ROUNDS):
        if number % 2:
            orgs.end_sessions()
        else:
            await expire(orgs, database, brokers)
        answers = await asyncio.gather(
            *(
                broker.asks("GET", f"/proxy/crm/u1{LEADS}+LIMIT+1")
                for broker in brokers
                for _ in range(calls)
            )
        )
        statuses.update(answer.status for answer in answers)

    figures({"rounds": ROUNDS, "calls": calls, "refreshes": orgs.refreshes, **statuses})
    assert statuses == {200: ROUNDS * calls * len(brokers)}
    assert orgs.refreshes == ROUNDS
    assert world.counters.get("reuses", 0) == 0
    assert (await orgs.shows())["status"] == "ACTIVE"


@pytest.mark.parametrize("rotates", [True, False])
async def test_a_broker_killed_in_a_renewal_loses_a_grant_only_with_an_answer_that_rotated_it(
    orgs, start_process, database, figures, rotates
):
    """Where Salesforce had rotated the token and the answer died with the process, nothing can save
    the grant, and it is told as such. Everywhere else it works on.
    """
    orgs.world.levers.rtr = rotates
    outcomes = Counter()
    for seed in range(sized(100, 10)):
        user, chance = f"u{seed}", random.Random(seed)
        process, url = await start_process(
            BROKER_SALESFORCE_URL=orgs.running.login_url, BROKER_WORK_IN_SERVE="false"
        )
        await orgs.broker.asks("DELETE", f"/api/apps/crm/connections/u{seed - 1}")
        await orgs.connects(user)
        await expire(orgs, database, [orgs.broker])
        before = orgs.refreshes
        fault = None
        kind = chance.choice(["delay", "lose-answer", "none"])
        if kind != "none":
            fault = orgs.world.faults.add(Fault(TOKENS, kind, seconds=0.1, times=1))
        call = asyncio.create_task(orgs.broker.asks("GET", f"{url}/proxy/crm/{user}{LEADS}"))
        await until(lambda fault=fault: fault is None or fault.hits)
        await asyncio.sleep(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(call, return_exceptions=True)
        orgs.world.faults.clear()
        rotated = orgs.refreshes - before
        stored = await database.fetchval(
            "SELECT generation > 1 FROM connection JOIN connection_grant USING (workspace_id)"
            " WHERE connection_id = id AND user_ref = $1",
            user,
        )

        answer = await orgs.calls(user=user)
        if answer.status in {502, 503}:  # a renewal failed a moment ago: when to come again
            outcomes["asked to wait"] += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await orgs.calls(user=user)

        outcomes[kind] += 1
        if answer.status == 200:
            outcomes["kept"] += 1
            continue
        shown = await orgs.shows(user)
        assert (answer.status, shown["lastError"]) == (409, "rotation-lost"), (seed, answer.body)
        assert rotates, seed
        assert rotated, seed
        assert not stored or kind == "lose-answer", seed
        outcomes["lost with an answer that rotated"] += 1
    figures({"rotates": rotates, **outcomes})
    assert outcomes["kept"] > 0

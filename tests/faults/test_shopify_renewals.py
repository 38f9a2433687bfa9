"""Shopify's rotating refresh tokens under many callers, several brokers, and kill -9."""

import asyncio
import random
import signal
from collections import Counter

import pytest

from broker.sandbox.core.faults import Fault
from tests.drills import sized
from tests.flows.providers.conftest import shopify_sandbox, shops
from tests.flows.providers.shops import GRAPHQL, NAME
from tests.until import until

__all__ = ["shopify_sandbox", "shops"]

pytestmark = pytest.mark.drill

TOKENS = "/shops/*/admin/oauth/access_token"
ROUNDS = 20


async def expire(shops, database, brokers):
    """Let every grant look as if it had run out, at Shopify too."""
    await database.execute("UPDATE connection_grant SET expires_at = now() - interval '1 minute'")
    for each in shops.world.grants.access.values():
        each.revoked = True
    for broker in brokers:
        broker.parts.proxy.clear_cache()


async def test_many_calls_at_three_brokers_cost_one_refresh_a_round(
    shops, start_broker, database, figures
):
    """Reuse is refused at once here: a second use of a refresh token would lose the grant."""
    world, calls = shops.world, sized(200, 6)
    world.levers.old_refresh_grace = False
    world.levers.bucket = 1_000_000.0
    brokers = [shops.broker]
    for _ in range(2):
        other = await start_broker(shopify_url=f"{shops.running.url}/shops/{{shop}}")
        other.workspace, other.key = shops.broker.workspace, shops.broker.key
        brokers.append(other)
    await shops.connects()

    statuses = Counter()
    for _ in range(ROUNDS):
        await expire(shops, database, brokers)
        answers = await asyncio.gather(
            *(
                broker.asks("POST", f"/proxy/shop/u1{GRAPHQL}", json=NAME)
                for broker in brokers
                for _ in range(calls)
            )
        )
        statuses.update(answer.status for answer in answers)

    figures({"rounds": ROUNDS, "calls": calls, "refreshes": shops.refreshes, **statuses})
    assert statuses == {200: ROUNDS * calls * len(brokers)}
    assert shops.refreshes == ROUNDS
    assert (await shops.shows())["status"] == "ACTIVE"


async def test_a_broker_killed_in_a_renewal_loses_no_grant(shops, start_process, database, figures):
    """Shopify takes a used refresh token until its replacement is used, so nothing has to be lost,
    wherever the process ends.
    """
    outcomes = Counter()
    for seed in range(sized(100, 10)):
        user, chance = f"u{seed}", random.Random(seed)
        process, url = await start_process(
            BROKER_SHOPIFY_URL=f"{shops.running.url}/shops/{{shop}}", BROKER_WORK_IN_SERVE="false"
        )
        await shops.connects(user)
        await expire(shops, database, [shops.broker])
        before = shops.refreshes
        kind = chance.choice(["delay", "lose-answer", "none"])
        fault = None
        if kind != "none":
            fault = shops.world.faults.add(Fault(TOKENS, kind, seconds=0.1, times=1))
        call = asyncio.create_task(
            shops.broker.asks("POST", f"{url}/proxy/shop/{user}{GRAPHQL}", json=NAME)
        )
        await until(lambda fault=fault: fault is None or fault.hits)
        await asyncio.sleep(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(call, return_exceptions=True)
        shops.world.faults.clear()

        answer = await shops.queries(user=user)
        if answer.status in {502, 503}:  # a renewal failed a moment ago: when to come again
            outcomes["asked to wait"] += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await shops.queries(user=user)

        assert answer.status == 200, (seed, kind, answer.body)
        outcomes[kind] += 1
        outcomes["refreshes"] += shops.refreshes - before
    figures(dict(outcomes))

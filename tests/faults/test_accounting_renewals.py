"""QuickBooks' and Xero's rotating refresh tokens under many callers, several brokers, and kill -9."""

import asyncio
import random
import signal
from collections import Counter

import pytest

from broker.sandbox.core.faults import Fault
from broker.sandbox.quickbooks.server import serve as serve_quickbooks
from broker.sandbox.xero.server import serve as serve_xero
from tests.drills import sized
from tests.flows.providers.conftest import Books
from tests.until import until

pytestmark = pytest.mark.drill

US = "9341453172058071"
NZ = "fe79f7dd-b6d4-4a92-ba7b-538af6289c58"
ROUNDS = 20

VENDORS = {
    "quickbooks": (
        US,
        ["com.intuit.quickbooks.accounting"],
        f"/v3/company/{US}/companyinfo/{US}",
        "/oauth2/*",
    ),
    "xero": ([NZ], ["accounting.settings"], "/api.xro/2.0/Organisation", "/connect/token"),
}


@pytest.fixture(params=sorted(VENDORS))
async def books(request, start_broker):
    """A broker with an app, whose vendor rotates at every renewal and forgives no second use."""
    name = request.param
    running = await {"quickbooks": serve_quickbooks, "xero": serve_xero}[name]("127.0.0.1", 0)
    broker = await start_broker(**{f"{name}_url": running.url})
    await broker.makes_workspace()
    books = Books(name, running, broker)
    await books.registers(VENDORS[name][1])
    levers = running.world.levers
    if name == "quickbooks":
        levers.rotate_after, levers.requests_per_second = 0.0, 1_000_000
    else:
        levers.grace, levers.minute_limit = -1, 1_000_000
    yield books
    await running.close()


async def expire(books, database, brokers):
    """Let every grant look as if it had run out, at the vendor too."""
    await database.execute("UPDATE connection_grant SET expires_at = now() - interval '1 minute'")
    books.world.grants.expire_access()
    for broker in brokers:
        broker.parts.proxy.clear_cache()


async def test_many_calls_at_three_brokers_cost_one_refresh_a_round(
    books, start_broker, database, figures
):
    """Calls that come to no quota are refused after the renewal, which all of them shared."""
    chosen, _, path, _ = VENDORS[books.provider]
    brokers, calls = [books.broker], sized(200, 6)
    for _ in range(2):
        other = await start_broker(**{f"{books.provider}_url": books.running.url})
        other.workspace, other.key = books.broker.workspace, books.broker.key
        brokers.append(other)
    await books.connects(chosen)

    statuses = Counter()
    for _ in range(ROUNDS):
        await expire(books, database, brokers)
        answers = await asyncio.gather(
            *(
                broker.asks("GET", f"/proxy/books/u1{path}", headers={"Prefer": "wait=0"})
                for broker in brokers
                for _ in range(calls)
            )
        )
        statuses.update(answer.status for answer in answers)

    refreshes = books.world.counters["refreshes"]
    figures({"rounds": ROUNDS, "calls": calls, "refreshes": refreshes, **statuses})
    assert set(statuses) <= {200, 429}
    assert statuses[200] > 0
    assert refreshes == ROUNDS
    assert (await books.shows())["status"] == "ACTIVE"


async def test_a_broker_killed_in_a_renewal_loses_only_what_was_on_the_wire(
    books, start_process, database, figures
):
    """These vendors accept no used token here: the one that was in an answer which nobody took is
    nowhere else, and the user has to connect again.
    """
    chosen, _, path, tokens = VENDORS[books.provider]
    outcomes = Counter()
    for seed in range(sized(100, 10)):
        user, chance = f"u{seed}", random.Random(seed)
        process, url = await start_process(
            **{
                f"BROKER_{books.provider.upper()}_URL": books.running.url,
                "BROKER_WORK_IN_SERVE": "false",
            }
        )
        await books.connects(chosen, user)
        await expire(books, database, [books.broker])
        before = books.world.counters.get("refreshes", 0)
        kind = chance.choice(["delay", "lose-answer", "none"])
        fault = None
        if kind != "none":
            fault = books.world.faults.add(Fault(tokens, kind, seconds=0.1, times=1))
        call = asyncio.create_task(books.broker.asks("GET", f"{url}/proxy/books/{user}{path}"))
        await until(lambda fault=fault: fault is None or fault.hits)
        await asyncio.sleep(chance.uniform(0, 0.12))
        process.send_signal(signal.SIGKILL)
        await process.wait()
        await asyncio.gather(call, return_exceptions=True)
        books.world.faults.clear()
        rotated = books.world.counters.get("refreshes", 0) > before

        answer = await books.proxies(path, user=user)
        if answer.status in {502, 503}:  # a renewal failed a moment ago: when to come again
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await books.proxies(path, user=user)

        outcomes[kind] += 1
        if answer.status == 200:
            outcomes["kept"] += 1
            continue
        outcomes["connected again"] += 1
        assert answer.code == "reauth-required", (seed, kind, answer.body)
        assert rotated, (seed, kind)  # nothing is lost unless the vendor had answered
        assert (await books.shows(user))["lastError"] == "rotation-lost"
        await books.connects(chosen, user)
        assert (await books.proxies(path, user=user)).status == 200
    figures({"vendor": books.provider, **outcomes})

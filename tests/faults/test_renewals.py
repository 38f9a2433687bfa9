"""A renewal cut at each of its points: killed, frozen, or with its transaction lost."""

import asyncio
import os
import random
import signal
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from broker.sandbox.core.faults import Fault
from tests.fixtures.wire import Wire
from tests.until import until

RUNS = int(os.environ.get("FAULT_RUNS", "24"))
CALL = "/_echo/x"


async def through(broker, url, user):
    return await broker.asks("GET", f"{url}/proxy/hbdev/{user}{CALL}")


class Victims:
    """Processes behind a wire, one always starting while another is used up."""

    def __init__(self, dsn, start_process, stack):
        self._dsn, self._start, self._stack = dsn, start_process, stack
        self._next = asyncio.create_task(self._fresh())

    async def _fresh(self):
        wire = await self._stack.enter_async_context(Wire(self._dsn))
        process, url = await self._start(BROKER_DATABASE_URL=wire.dsn, BROKER_WORK_IN_SERVE="false")
        return process, url, wire

    async def take(self):
        taken = await self._next
        self._next = asyncio.create_task(self._fresh())
        return taken

    async def end(self):
        await self._next


@pytest.fixture
async def victims(dsn, start_process):
    async with asyncio.timeout(900):
        async with AsyncExitStack() as stack:
            made = Victims(dsn, start_process, stack)
            yield made
            await made.end()


async def expire_grant(broker, hubspot, database, user):
    await broker.connects(user)
    await database.execute(
        "UPDATE connection_grant SET expires_at = now() - interval '1 minute'"
        " FROM connection WHERE connection.workspace_id = connection_grant.workspace_id"
        " AND id = connection_id AND user_ref = $1",
        user,
    )
    hubspot.expire_access_tokens()


async def steps_of(broker, hubspot, database, victim):
    """The statements of one renewal, as they pass over the wire."""
    _, url, wire = victim
    await broker.connects("warm")  # prepares the key and the pool
    assert (await through(broker, url, "warm")).status == 200
    await expire_grant(broker, hubspot, database, "dry")
    wire.statements.clear()
    assert (await through(broker, url, "dry")).status == 200
    return list(wire.statements)


@pytest.mark.parametrize("rotates", [False, True], ids=["stable", "rotating"])
async def test_a_renewal_cut_at_any_point_leaves_a_connection_that_works(
    broker, hubspot, database, start_process, victims, rotates, figures
):
    """R2, R3, F14. HubSpot's side is asked what it gave; only then may a grant be lost."""
    hubspot.rotates_refresh_tokens = rotates
    _, survivor = await start_process(BROKER_WORK_IN_SERVE="false")
    victim = await victims.take()
    steps = await steps_of(broker, hubspot, database, victim)
    assert any("COMMIT" in each for each in steps), [each[:70] for each in steps]
    points = [
        *((index, when, how) for index in range(len(steps)) for when in ("before", "after")
          for how in ("kill", "cut")),
        *(("hubspot", when, "kill") for when in ("before", "after") for _ in range(3)),
    ]  # fmt: skip
    outcomes = Counter()
    for seed in range(RUNS):
        user, (where, when, how) = f"u{seed}", random.Random(seed).choice(points)
        await expire_grant(broker, hubspot, database, user)
        refreshes_before = hubspot.refreshes
        killed = await struck(broker, hubspot, victim, user, where, when, how)
        reached = hubspot.refreshes > refreshes_before
        answer = await through(broker, survivor, user)
        if answer.status == 503:  # a renewal failed a moment ago; the answer says when to ask again
            outcomes["told to wait"] += 1
            await asyncio.sleep(float(answer.headers["Retry-After"]))
            answer = await through(broker, survivor, user)
        again = await through(broker, survivor, user)
        scenario = (
            f"seed {seed}: {how} {when} {where}: {steps[where] if where != 'hubspot' else ''}"
        )

        if answer.status != 200:
            shown = (await broker.asks("GET", f"/api/apps/hbdev/connections/{user}")).json()
            assert rotates, scenario
            assert reached, scenario
            assert how == "kill", scenario
            assert (answer.status, shown["lastError"]) == (409, "rotation-lost"), scenario
        assert again.status == answer.status, scenario
        outcomes["works" if answer.status == 200 else "rotation-lost"] += 1
        outcomes["asked"] += hubspot.refreshes - refreshes_before
        if killed:
            victim = await victims.take()
            await through(broker, victim[1], "warm")
    figures({"rotates": rotates, "runs": RUNS, **outcomes})


async def struck(broker, hubspot, victim, user, where, when, how):
    """Let the victim renew and be struck; whether it is dead."""
    process, url, wire = victim
    if where == "hubspot":
        # `lose-answer` does the work first; `delay` holds the request before the work.
        kind = "delay" if when == "before" else "lose-answer"
        fault = hubspot.faults.add(Fault("/oauth/*/token", kind, seconds=0.2, times=1))
        calling = asyncio.create_task(through(broker, url, user))
        await until(lambda: fault.hits)
        process.send_signal(signal.SIGKILL)
        await asyncio.gather(calling, return_exceptions=True)
        await asyncio.sleep(0.25)  # HubSpot finishes what it was asked
        hubspot.faults.clear()
        return True
    wire.arm(where, when, process.kill if how == "kill" else lambda: None)
    await asyncio.gather(through(broker, url, user), return_exceptions=True)
    wire.disarm()
    if how == "kill":
        return process.returncode is not None or await _ended(process)
    return False


async def _ended(process):
    try:
        await asyncio.wait_for(process.wait(), 0.5)
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("rotates", [False, True], ids=["stable", "rotating"])
async def test_a_process_that_sleeps_through_its_lease_overwrites_nothing_newer(
    broker, hubspot, database, start_process, rotates
):
    """R4, R5. It holds six renewals when it stops; others renew meanwhile; then it goes on."""
    hubspot.rotates_refresh_tokens = rotates
    users = [f"s{n}" for n in range(6)]
    # Room for six renewals at once.
    sleeper, url = await start_process(BROKER_WORK_IN_SERVE="false", BROKER_DATABASE_POOL_SIZE="20")
    _, survivor = await start_process(BROKER_WORK_IN_SERVE="false")
    for user in users:
        await expire_grant(broker, hubspot, database, user)
    fault = hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=0.3, times=len(users)))
    calling = [asyncio.create_task(through(broker, url, user)) for user in users]
    await until(lambda: fault.hits >= len(users))
    sleeper.send_signal(signal.SIGSTOP)

    async def ended():
        return not await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'idle in transaction'"
        )

    try:
        await until(ended, within=60)  # Postgres ends transactions that do nothing
        answers = [(await through(broker, survivor, user)).status for user in users]
    finally:
        sleeper.send_signal(signal.SIGCONT)
    late = [each.status for each in await asyncio.gather(*calling)]
    again = [(await through(broker, survivor, user)).status for user in users]
    rows = await database.fetch(
        "SELECT status, generation FROM connection JOIN connection_grant USING (workspace_id)"
        " WHERE connection_id = id ORDER BY user_ref"
    )

    assert again == [200] * len(users)
    assert {row["status"] for row in rows} == {"ACTIVE"}
    assert {row["generation"] for row in rows} == {2}
    if rotates:
        # Only the sleeper has what HubSpot gave: the others saw it lost, until it came back.
        assert answers == [409] * len(users)
    else:
        assert answers == [200] * len(users)
    assert late == [200] * len(users)

"""Runs through kill -9: one case, one write-back's worth of truth, whoever goes on (J1, J2, J10)."""

import asyncio
import os
import random

import aiohttp
import pytest

from broker.sandbox.core.faults import Fault
from tests.faults.crowd import size
from tests.until import until

KILLS = int(os.environ.get("FAULT_KILLS", "4"))
SEED = int(os.environ.get("FAULT_SEED", "1"))
"""How often a process is killed, and how chance begins."""

GET_COMPANY = ("hubspot", "/crm/v3/objects/companies/*", "GET")
TOKEN = ("fml", "/v1/oauth/token", "POST")
CASES = ("fml", "/v1/cases", "POST")
PATCH_COMPANY = ("hubspot", "/crm/v3/objects/companies/*", "PATCH")

POINTS = {
    "reading the Company": (*GET_COMPANY, "hang"),
    "read, before it is stored": (*GET_COMPANY, "drip"),
    "checked, asking for a token": (*TOKEN, "hang"),
    "asking for the case": (*CASES, "hang"),
    "case made, answer on its way": (*CASES, "drip"),
    "case stored, writing back": (*PATCH_COMPANY, "hang"),
    "written back, answer on its way": (*PATCH_COMPANY, "drip"),
}


@pytest.fixture
async def start(start_process, kyb):
    """Start a process of the installation."""

    async def started():
        # As the broker of the test: any of them may claim a delivery to the receiver on this machine.
        return await start_process(
            BROKER_FML_URL=kyb.fml.url, BROKER_ALLOW_PRIVATE_ENDPOINTS="true"
        )

    return started


async def kicked(session, kyb, url, company):
    body = {"userForeignIdentifier": "u1", "companyId": company}
    try:
        async with session.post(
            f"{url}/api/recipes/kyb/hbdev",
            json=body,
            headers={"Authorization": f"Bearer {kyb.broker.key}"},
        ) as answer:
            return answer.status, await answer.json()
    except aiohttp.ClientError:
        return None, None


async def continues_elsewhere(kyb, database):
    """Let the dead process's leases run out, and see the runs end."""
    await database.execute("UPDATE recipe_run SET due_at = now() WHERE due_at IS NOT NULL")
    await database.execute("UPDATE vendor_client SET token_locked_until = now()")

    async def ended():
        left = await database.fetchval("SELECT count(*) FROM recipe_run WHERE state = 'running'")
        return left == 0

    await until(ended, within=40)


async def test_a_run_survives_kill_9_at_every_step_boundary(kyb, start, database, figures):
    _, survivor = await start()
    rounds, table = size(1, 10), {}
    async with aiohttp.ClientSession() as session:
        for point, (where, path, method, kind) in [*POINTS.items()] * rounds:
            for token in kyb.fml.fml.tokens.values():
                token.alive = False
            await database.execute("UPDATE vendor_client SET access_token = NULL")
            await database.execute("DELETE FROM vendor_rate_limit")
            kyb.fml.fml.windows.clear()
            world = kyb.fml.fml if where == "fml" else kyb.broker.hubspot
            company, doomed = kyb.company(), await start()
            kyb.fml.fml.seen.clear()
            kyb.broker.hubspot.seen.clear()
            before = set(kyb.fml.fml.cases)
            fault = Fault(path, kind, method=method, times=1, seconds=30)
            world.faults.add(fault)

            kickoff = asyncio.create_task(kicked(session, kyb, doomed[1], company))
            await until(lambda fault=fault: fault.hits)
            await asyncio.sleep(0.1)
            doomed[0].kill()
            assert (await kickoff)[0] is None
            world.faults.clear()
            await continues_elsewhere(kyb, database)
            status, payload = await kicked(session, kyb, survivor, company)

            made = set(kyb.fml.fml.cases) - before
            came = 1, len(made), len(kyb.requests_to_fml()), len(kyb.writes())
            table[point] = [sum(each) for each in zip(came, table.get(point, [0] * 4), strict=True)]
            assert len(made) == 1, point
            assert (status, payload["caseId"]) == (200, made.pop()), point
            assert kyb.shows(company)["fml_case_id"] == payload["caseId"], point
            assert kyb.fml.fml.cases[payload["caseId"]].invites == 1
            assert {each.key for each in kyb.requests_to_fml()} == {f"hubspot-{company}"}
    figures({"runs, cases made, requests for one, write-backs": table})
    assert table == {
        point: [rounds * each for each in (1, 1, requests, writes)]
        for point, (requests, writes) in {
            "reading the Company": (1, 1),
            "read, before it is stored": (1, 1),
            "checked, asking for a token": (1, 1),
            "asking for the case": (2, 1),
            "case made, answer on its way": (2, 1),
            "case stored, writing back": (1, 2),
            "written back, answer on its way": (1, 2),
        }.items()
    }


async def test_a_separate_worker_writes_its_calls_to_the_log(kyb, start, start_process, database):
    """It calls HubSpot as the others do, so it keeps log, uses and quota as they do."""
    company, (doomed, url) = kyb.company(), await start()
    fault = Fault(GET_COMPANY[1], "hang", method="GET", times=1, seconds=30)
    kyb.broker.hubspot.faults.add(fault)
    async with aiohttp.ClientSession() as session:
        kickoff = asyncio.create_task(kicked(session, kyb, url, company))
        await until(lambda: fault.hits)
        doomed.kill()
        await kickoff

    await start_process("work", BROKER_FML_URL=kyb.fml.url)
    await continues_elsewhere(kyb, database)

    await until(lambda: database.fetchval("SELECT id FROM proxied_call WHERE method = 'PATCH'"))
    assert kyb.shows(company)["fml_case_id"]


async def test_kill_9_at_any_moment_loses_and_doubles_nothing(kyb, start, database, figures):
    """J1: two processes under load, one of them killed again and again."""
    chance = random.Random(SEED)
    body = {"clientId": "pk_live_tests", "callsPerMinute": 100_000}
    await kyb.broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)
    kyb.fml.fml.levers.call_limit, kyb.fml.fml.levers.slowness = 100_000, 0.02
    kyb.broker.hubspot.limits.ten_secondly = 100_000
    processes, companies, kickoffs, cut = [await start(), await start()], [], [], 0
    async with aiohttp.ClientSession() as session:
        for _ in range(KILLS):
            for number in range(10):
                companies.append(kyb.company())
                url = processes[number % 2][1]
                kickoffs.append(asyncio.create_task(kicked(session, kyb, url, companies[-1])))
            await asyncio.sleep(chance.uniform(0.02, 0.3))
            process, _ = processes.pop(chance.randrange(2))
            process.kill()
            processes.append(await start())
        cut = sum(status is None for status, _ in await asyncio.gather(*kickoffs))
        await continues_elsewhere(kyb, database)
        url = processes[0][1]
        again = [await kicked(session, kyb, url, company) for company in companies]

    cases = kyb.fml.fml.cases.values()
    invites = sum(case.invites for case in cases)
    seen = len(kyb.requests_to_fml()), len(kyb.writes())
    figures({"kills": KILLS, "kickoffs": len(companies), "cut off": cut, "cases": len(cases),
             "invites": invites, "requests for one": seen[0], "write-backs": seen[1]})  # fmt: skip
    assert cut > 0
    # A kickoff that never reached a process is new.
    assert {status for status, _ in again} <= {200, 201}
    assert len(cases) == invites == len(companies)
    for company in companies:
        assert kyb.shows(company)["fml_case_id"] in kyb.fml.fml.cases


async def test_the_end_of_a_run_is_published_by_the_process_that_ends_it(
    kyb, start, database, subscribed_receiver
):
    """Killed when everything is done but the last row."""
    doomed, (_, _survivor) = await start(), await start()
    company = kyb.company()
    async with aiohttp.ClientSession() as session:
        async with database.transaction():
            await database.execute("LOCK TABLE event IN ACCESS EXCLUSIVE MODE")
            kickoff = asyncio.create_task(kicked(session, kyb, doomed[1], company))
            await until(
                lambda: database.fetchval(
                    "SELECT state = 'done' FROM recipe_step WHERE name = 'write-back'"
                )
            )
            doomed[0].kill()
            await kickoff
        await continues_elsewhere(kyb, database)
    await kyb.broker.run_background_work()
    await until(lambda: subscribed_receiver.got)

    assert [each.json()["data"]["state"] for each in subscribed_receiver.got] == ["done"]
    assert (len(kyb.requests_to_fml()), len(kyb.writes())) == (1, 1)


async def test_a_stopped_process_that_wakes_late_writes_nothing(kyb, start, database):
    """The fence: its run was taken over while it slept, and still goes on when it wakes."""
    (sleeper, url), _survivor = await start(), await start()
    company = kyb.company()
    fault = kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=1.0, times=1))
    writing = Fault(PATCH_COMPANY[1], "delay", method="PATCH", seconds=2.0, times=1)
    kyb.broker.hubspot.faults.add(writing)
    async with aiohttp.ClientSession() as session:
        kickoff = asyncio.create_task(kicked(session, kyb, url, company))
        await until(lambda: fault.hits)
        sleeper.send_signal(19)
        await database.execute("UPDATE recipe_run SET due_at = now()")
        await until(lambda: writing.hits)
        sleeper.send_signal(18)
        status, payload = await kickoff

    assert await database.fetchval("SELECT claim FROM recipe_run") == 2
    assert len(kyb.fml.fml.cases) == 1
    assert (status, payload["caseId"]) == (201, next(iter(kyb.fml.fml.cases)))
    assert len(kyb.writes()) == 1
    steps = (await kyb.run(payload["runId"]))["steps"]
    assert [step["attempts"] for step in steps] == [1, 1, 2, 1]


async def test_the_run_of_a_killed_process_goes_on_without_help(kyb, start, database):
    """J1: nobody helps; the lease runs out."""
    (doomed, url), _survivor = await start(), await start()
    company = kyb.company()
    lost = kyb.fml.fml.faults.add(Fault("/v1/cases", "drip", times=1, seconds=60))
    async with aiohttp.ClientSession() as session:
        kickoff = asyncio.create_task(kicked(session, kyb, url, company))
        await until(lambda: lost.hits)
        doomed.kill()
        await kickoff
        await until(lambda: kyb.shows(company), within=40)  # the lease is 20 seconds

    assert kyb.shows(company)["fml_case_id"] == next(iter(kyb.fml.fml.cases))
    assert (len(kyb.fml.fml.cases), len(kyb.requests_to_fml())) == (1, 2)


async def test_a_process_that_is_told_to_stop_releases_its_run_at_once(kyb, start, database):
    """J10: long before the lease would run out."""
    (leaving, url), _staying = await start(), await start()
    company = kyb.company()
    stuck = kyb.fml.fml.faults.add(Fault("/v1/cases", "hang", times=1, seconds=60))
    async with aiohttp.ClientSession() as session:
        kickoff = asyncio.create_task(kicked(session, kyb, url, company))
        await until(lambda: stuck.hits)
        leaving.terminate()
        await until(lambda: kyb.shows(company))
        await kickoff

    assert kyb.shows(company)["fml_case_id"] == next(iter(kyb.fml.fml.cases))
    assert len(kyb.requests_to_fml()) == 2


async def test_rolling_restarts_lose_and_double_nothing(kyb, start, database):
    """J10."""
    companies = [kyb.company() for _ in range(30)]
    kyb.fml.fml.levers.slowness = 0.05
    processes = [await start(), await start()]
    async with aiohttp.ClientSession() as session:
        kickoffs = []
        for number, company in enumerate(companies):
            url = processes[number % 2][1]
            kickoffs.append(asyncio.create_task(kicked(session, kyb, url, company)))
            if number in {10, 20}:
                await asyncio.sleep(0.1)
                old = processes[number // 10 - 1][0]
                old.terminate()
                processes[number // 10 - 1] = await start()
        await asyncio.gather(*kickoffs)
        await continues_elsewhere(kyb, database)
        again = [await kicked(session, kyb, processes[0][1], company) for company in companies]

    started = [status for status, _ in again]
    assert set(started) <= {200, 201}
    assert len(kyb.fml.fml.cases) == 30
    for company in companies:
        assert kyb.shows(company)["fml_case_id"] in kyb.fml.fml.cases

"""A backfill whose process is killed goes on in another, and brings nothing over twice."""

import asyncio
import contextlib

from tests.drills import sized
from tests.faults.lead_storm import EXPIRE
from tests.fixtures.leads import START, USER, leads
from tests.flows.providers.conftest import orgs, salesforce_sandbox
from tests.flows.recipes.test_leads_backfill import SINCE, make_old_leads, shown
from tests.until import until

__all__ = ["leads", "orgs", "salesforce_sandbox"]


async def test_a_backfill_of_many_pages_survives_kill_9_and_brings_each_lead_over_once(
    leads, start_process, database, figures
):
    number = sized(500, 60)
    leads.broker.hubspot.limits.ten_secondly = 100_000
    leads.org.levers.api_budget = 1_000_000
    make_old_leads(leads, number)

    async def start():
        return await start_process(
            BROKER_SALESFORCE_URL=leads.orgs.running.login_url,
            BROKER_PUBLIC_URL=leads.broker.parts.settings.public_url,
        )

    process, url = await start()
    body = {**USER, "since": SINCE}
    begun = asyncio.create_task(leads.broker.asks("POST", f"{url}{START}", json=body))

    async def has(many):
        return len(leads.contacts()) >= many

    await until(lambda: has(number // 3), within=60)
    process.kill()
    await process.wait()
    begun.cancel()
    with contextlib.suppress(BaseException):
        await begun
    for statement in EXPIRE:
        await database.execute(statement)
    killed_at = len(leads.contacts())
    await start()

    async def ended():
        return (await shown(leads))["state"] != "running"

    await until(ended, within=120)
    run = await shown(leads)
    writes = len(leads.lead_writes())
    figures({"leads": number, "killed at": killed_at, "writes": writes, "result": run["result"]})

    assert run["state"] == "done", run
    assert number // 3 <= killed_at < number
    assert len(leads.contacts()) == len(leads.leads()) == number
    assert run["result"]["refused"] == []
    # What the killed process had written without knowing how it ended is written once more at most.
    assert number <= writes <= number + 1

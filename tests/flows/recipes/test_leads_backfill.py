"""What was there before is brought over within a share of the org's day, and its progress shown."""

import asyncio
import contextlib

from tests.fixtures.leads import ANN, BEA, EXTERNAL
from tests.until import until

SINCE = "2026-01-01T00:00:00Z"


def make_old_leads(leads, number):
    """Leads from before the user connected."""
    leads.orgs.world.jump(-7200)
    for each in range(number):
        leads.lead(**{**BEA, "Email": f"b{each}@y.example"})
    leads.orgs.world.jump(7200)


async def shown(leads):
    (run,) = [each for each in await leads.runs() if "since:" in each["subject"]]
    answer = await leads.broker.asks("GET", f"/api/recipes/runs/{run['runId']}")
    return answer.json()


async def test_a_backfill_keeps_to_its_share_of_the_orgs_day_and_shows_how_far_it_is(leads):
    """3.8, 3.11 14 and 16."""
    make_old_leads(leads, 12)
    await leads.polls()
    untouched = leads.contacts()
    await leads.puts(backfillShare=0.04)
    leads.org.levers.api_budget = 1000
    before = len(leads.org.calls)
    start = asyncio.create_task(leads.starts(since=SINCE))

    async def waits():
        steps = (await shown(leads))["steps"] if await leads.runs() else []
        return bool(steps) and steps[0]["state"] == "waiting"

    await until(waits)
    start.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await start
    used = len(leads.org.calls) - before
    paused = await shown(leads)
    leads.org.levers.api_budget = 300
    await leads.puts(backfillShare=0.8)
    others = 250 - leads.org.used_calls()  # calls of other programs
    leads.org.calls.extend([leads.orgs.world.now()] * others)
    await leads.wakes()
    crowded = await shown(leads)
    leads.org.levers.api_budget = 15_000
    await leads.wakes()
    done = await shown(leads)

    assert untouched == {}
    assert 0 < used <= 40
    progress = paused["steps"][0]["progress"]
    assert progress["total"] == 12
    assert 0 < progress["seen"] == progress["written"] < 12
    assert (progress["calls"], progress["callsAllowed"]) == (used, 40)
    assert paused["steps"][0]["error"] == "the backfill's share of the org's day is used"
    assert paused["dueAt"] > paused["createdAt"]
    assert crowded["steps"][0]["error"] == "the org's calls of the day are nearly used up"
    assert crowded["steps"][0]["progress"]["seen"] == progress["seen"]
    assert (done["state"], done["result"]["written"]) == ("done", 12)
    # It meets again what it wrote within the second in which it began.
    assert 12 <= done["result"]["seen"] < 24
    assert len(leads.contacts()) == len({each[EXTERNAL] for each in leads.leads().values()}) == 12


async def test_contacts_are_brought_over_too_and_a_pair_that_was_let_go_stays_apart(leads):
    gone = leads.contact(**{**ANN, "email": "gone@x.example"})
    made = await leads.starts(contactId=gone)
    leads.delete_lead(made.json()["leadId"])
    await leads.polls()
    for number in range(3):
        leads.contact(**{**ANN, "email": f"a{number}@x.example"})
    bare = leads.contact(email="bare@x.example")
    answer = await leads.starts(since=SINCE, side="hubspot")
    later = await leads.starts(since="2100-01-01T00:00:00Z", side="hubspot")
    alone = await leads.starts(contactId=gone, side="hubspot")
    await leads.puts(direction="to-hubspot")
    against = await leads.starts(since="2026-01-02T00:00:00Z", side="hubspot")

    assert answer.status == 200, answer.body
    assert (answer.json()["seen"], answer.json()["written"]) == (5, 3), answer.body
    assert [each["contactId"] for each in answer.json()["refused"]] == [bare]
    assert len(leads.leads()) == 3
    assert later.json()["seen"] == 0
    assert (alone.status, against.status) == (400, 400)
    assert against.json()["errors"][0]["field"] == "side"

"""What enrichment vendors do instead of answering: queue, throttle, lose, refuse, forget."""

import pytest

from broker.sandbox.core.faults import Fault
from tests.fixtures.enrichment import ADA, GRACE


async def run_of(enrichment, answer):
    path = f"/api/recipes/runs/{answer.json()['runId']}"
    return (await enrichment.broker.asks("GET", path)).json()


@pytest.fixture(autouse=True)
def starts_wait(monkeypatch):
    """Starts answer 202 after a moment, so that a run that waits costs no time; how to have them
    wait for a run that ends, however busy the machine is.
    """

    def wait(seconds):
        monkeypatch.setattr("broker.recipes.api.starting.WAIT_S", seconds)

    wait(0.3)
    return wait


@pytest.mark.parametrize(
    ("vendor", "form"), [("clearbit", "empty"), ("clearbit", "error"), ("fullcontact", "empty")]
)
async def test_a_queued_lookup_is_asked_for_again_and_is_no_miss(
    enrichment, database, vendor, form
):
    """vendors.md 8.4 1: 202 stored as "no data"."""
    enrichment.world.levers.queued, enrichment.world.levers.queued_form = 2, form
    await enrichment.puts(vendor)
    contact = enrichment.contact(email=ADA)

    started = await enrichment.starts(contact)
    waiting = await run_of(enrichment, started)
    await enrichment.wakes(database)
    await enrichment.wakes(database)

    assert (started.status, waiting["state"]) == (202, "running")
    assert enrichment.shows(contact)["jobtitle"] == "Head of Computing"
    assert len(enrichment.lookups(vendor)) == 3
    assert enrichment.world.billed[vendor] == [ADA]


async def test_a_vendor_that_searches_for_ever_ends_in_later(enrichment, database):
    enrichment.world.levers.queued = 100
    await enrichment.puts("clearbit")
    started = await enrichment.starts(enrichment.contact(email=ADA))
    for _ in range(12):
        await enrichment.wakes(database)

    run = await run_of(enrichment, started)
    assert (run["state"], run["result"]["outcome"]) == ("done", "later")
    assert await database.fetchval("SELECT sum(lookups) FROM enrichment_budget") == 0


@pytest.mark.parametrize(
    "vendor", ["hunter", "peopledatalabs", "apollo", "fullcontact", "clearbit"]
)
async def test_without_credits_one_run_stops_with_words_and_the_others_wait(
    enrichment, database, vendor, starts_wait
):
    enrichment.world.levers.credits = 0
    await enrichment.puts(vendor)
    first, second = enrichment.contact(email=ADA), enrichment.contact(email=GRACE)

    starts_wait(15)
    refused = await enrichment.starts(first)
    starts_wait(0.3)
    waiting = await enrichment.starts(second)

    assert (refused.status, refused.json()["code"]) == (429, "quota-exhausted"), refused.body
    assert "no credits left" in refused.json()["detail"]
    assert waiting.status == 202
    assert len(enrichment.lookups(vendor)) == 1
    enrichment.world.levers.credits = 5
    await database.execute("UPDATE vendor_rate_limit SET paused_until = NULL")
    await enrichment.wakes(database)
    await enrichment.broker.asks("POST", f"/api/recipes/runs/{refused.json()['runId']}/retry")
    await enrichment.run_background_work()
    assert {each["state"] for each in await enrichment.runs()} == {"done"}
    assert sorted(enrichment.world.billed[vendor]) == [ADA, GRACE]


@pytest.mark.parametrize(
    "vendor", ["hunter", "peopledatalabs", "apollo", "fullcontact", "clearbit"]
)
async def test_a_refused_key_is_told_and_mended_by_another(enrichment, vendor, starts_wait):
    """8.4 10: Clearbit takes no new keys, and the refusal says so."""
    starts_wait(15)
    enrichment.broker.secrets.append("canary-wrong-key")
    await enrichment.puts(vendor, apiKey="canary-wrong-key")
    contact = enrichment.contact(email=ADA)

    refused = await enrichment.starts(contact)
    await enrichment.puts(vendor)
    mended = await enrichment.starts(contact)

    assert (refused.status, refused.json()["code"]) == (502, "vendor-credentials-refused")
    assert ("2023" in refused.json()["detail"]) is (vendor == "clearbit")
    assert mended.json()["outcome"] == "found", mended.body


async def test_a_limit_is_waited_for_and_hunters_403_is_one(enrichment, database, starts_wait):
    """8.4 11: Hunter's 403 is its rate limit, not a bad key."""
    enrichment.world.levers.minute_limit = 1
    first, second = enrichment.contact(email=ADA), enrichment.contact(email=GRACE)
    starts_wait(15)
    done = await enrichment.starts(first)
    starts_wait(0.3)
    throttled = await enrichment.starts(second)
    enrichment.world.levers.minute_limit = None
    await database.execute("UPDATE vendor_rate_limit SET paused_until = NULL")
    await enrichment.wakes(database)

    assert (done.status, throttled.status) == (200, 202)
    assert enrichment.lookups()[1].status == 403
    assert enrichment.world.billed["hunter"] == [ADA, GRACE]


async def test_a_lost_answer_is_asked_for_once_more_and_then_by_a_person_only(enrichment, database):
    """8.4 4: each repeat may be billed."""
    lost = enrichment.world.faults.add(Fault("/hunter/*", "lose-answer"))
    contact = enrichment.contact(email=ADA)
    started = await enrichment.starts(contact)
    for _ in range(6):
        await database.execute("UPDATE enrichment_answer SET claimed_until = now()")
        await enrichment.wakes(database)
    failed = await run_of(enrichment, started)
    twice = len(enrichment.lookups())
    enrichment.change(contact, city="Leeds")
    again = await enrichment.starts(contact)
    enrichment.world.faults.clear()
    await enrichment.broker.asks("POST", f"/api/recipes/runs/{started.json()['runId']}/retry")
    await enrichment.run_background_work()

    assert lost.hits == twice == 2
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "vendor-unavailable")
    assert "may have been billed" in failed["problem"]["detail"]
    assert again.json()["code"] == "vendor-unavailable"
    assert len(enrichment.lookups()) == 3
    assert (await run_of(enrichment, started))["result"]["outcome"] == "found"


@pytest.mark.parametrize("kind", ["html", "garbage", "status"])
async def test_what_is_no_answer_is_tried_again_and_is_no_miss(enrichment, database, kind):
    enrichment.world.faults.add(Fault("/hunter/*", kind, times=1, status=503))
    started = await enrichment.starts(enrichment.contact(email=ADA))
    await database.execute("UPDATE enrichment_answer SET claimed_until = now()")
    await enrichment.wakes(database)

    assert started.status == 202
    assert (await run_of(enrichment, started))["result"]["outcome"] == "found"


async def test_an_objection_is_remembered_for_ever(enrichment, database, starts_wait):
    """451."""
    starts_wait(15)
    enrichment.world.levers.opted_out = [ADA]
    contact = enrichment.contact(email=ADA)
    refused = await enrichment.starts(contact)
    enrichment.world.levers.opted_out = []
    await enrichment.sends({"subscriptionType": "contact.deletion", "objectId": int(contact)})
    await database.execute("UPDATE enrichment_budget SET day = day - 9")
    for task in enrichment.broker.parts.recipes.built["enrichment"].periodic_tasks():
        await task[2]()
    enrichment.change(contact, city="Rome")
    last = await enrichment.starts(contact)

    assert (refused.json()["outcome"], refused.json()["reason"]) == ("refused", "opted-out")
    assert (last.json()["outcome"], last.json()["lookedUp"]) == ("refused", False)
    assert len(enrichment.lookups()) == 1


async def test_the_days_budget_ends_the_day(enrichment, database, starts_wait):
    await enrichment.puts(dailyBudget=1)
    first, second = enrichment.contact(email=ADA), enrichment.contact(email=GRACE)
    starts_wait(15)
    done = await enrichment.starts(first)
    starts_wait(0.3)
    waiting = await enrichment.starts(second)
    due = await database.fetchval(
        "SELECT due_at >= date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'"
        " + interval '1 day' FROM recipe_run WHERE state = 'running'"
    )
    await database.execute("UPDATE enrichment_budget SET day = day - 1")
    await enrichment.wakes(database)

    assert (done.status, waiting.status, due) == (200, 202, True)
    assert (await run_of(enrichment, waiting))["result"]["outcome"] == "found"


async def test_a_deleted_contact_takes_what_is_stored_with_it(enrichment, database, starts_wait):
    starts_wait(15)
    contact, other = enrichment.contact(email=ADA), enrichment.contact(email=GRACE)
    for each in (contact, other):
        await enrichment.starts(each)
    await enrichment.sends(
        {"subscriptionType": "contact.privacyDeletion", "objectId": int(contact)}
    )

    text = str(
        await database.fetch(
            "SELECT fields, NULL AS result FROM enrichment_answer"
            " UNION ALL SELECT input, result FROM recipe_run"
            " UNION ALL SELECT outcome, checkpoint FROM recipe_step"
        )
    )
    assert "Analytical" not in text
    assert ADA not in text
    assert "Compilers" in text
    assert len(await enrichment.runs()) == 1
    assert await database.fetchval("SELECT count(*) FROM enrichment_contact") == 1


async def test_an_answer_that_comes_after_the_deletion_is_not_stored(enrichment, database):
    contact = enrichment.contact(email=ADA)
    enrichment.world.latency = 1.0
    started = await enrichment.starts(contact)
    await enrichment.broker.receives_webhook(
        [
            {
                "eventId": 1, "subscriptionId": 7, "portalId": 101, "attemptNumber": 0,
                "occurredAt": 1_790_000_000_000, "objectId": int(contact),
                "subscriptionType": "contact.deletion",
            }
        ]
    )  # fmt: skip
    await enrichment.broker.run_background_work()
    await enrichment.broker.parts.recipes.runs.join()

    assert started.status == 202
    assert await database.fetchval("SELECT count(*) FROM enrichment_answer") == 0
    assert await enrichment.runs() == []
    assert not enrichment.shows(contact).get("jobtitle")


async def test_apollos_plan_without_the_api_is_told(enrichment, starts_wait):
    starts_wait(15)
    enrichment.world.levers.plan_lacks_api = True
    await enrichment.puts("apollo")
    refused = await enrichment.starts(enrichment.contact(email=ADA))

    assert (refused.status, refused.json()["code"]) == (502, "vendor-scope-missing")

"""Whether a recipe keeps to the limits of its settings: judged when runs end, and reported once."""

import json

import pytest

from tests.fixtures.enrichment import SETTINGS, START
from tests.flows.console.test_console import sees, signs_in
from tests.flows.recipes.test_enrichment_triggers import CREATION

LIMITS = {"minSuccessRate": 0.9, "maxP95S": 60, "window": 5}


async def judges(enrichment, database):
    await database.execute("UPDATE recipe_health SET due_at = now() WHERE due_at IS NOT NULL")
    return await enrichment.broker.parts.recipes.watch.judge_due()


async def health(enrichment):
    return (await enrichment.broker.asks("GET", f"{SETTINGS}/health")).json()


async def ends(enrichment, many, *, well):
    """So many runs that end well, or fail for want of a valid key."""
    await enrichment.puts(health=LIMITS, **({} if well else {"apiKey": "wrong"}))
    for number in range(many):
        email = f"p{number}-{well}-{many}@x.example"
        answer = await enrichment.starts(enrichment.contact(email=email))
        assert (answer.status == 200) is well, answer.body


async def reported(database):
    rows = await database.fetch(
        "SELECT payload FROM event WHERE type LIKE 'recipe.%healthy' OR type = 'recipe.recovered'"
        " ORDER BY id"
    )
    return [json.loads(row["payload"]) for row in rows]


@pytest.mark.parametrize(
    "limits", [{"minSuccessRate": 0}, {"minSuccessRate": 2}, {"window": 4}, {"maxP95S": 0}]
)
async def test_limits_that_mean_nothing_are_refused(enrichment, limits):
    answer = await enrichment.puts(health=limits)

    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == f"health.{next(iter(limits))}"


async def test_crossing_a_limit_and_coming_back_are_each_reported_once(
    enrichment, database, receiver
):
    assert (await enrichment.broker.sends_to(f"{receiver.url}/all")).status == 201
    await ends(enrichment, 4, well=False)
    await judges(enrichment, database)
    few = await health(enrichment)
    await ends(enrichment, 1, well=False)
    await judges(enrichment, database)
    worse = await health(enrichment)
    cookie = await signs_in(enrichment.broker)
    homes = [(await sees(enrichment.broker, "", cookie)).body.decode()]
    again = await judges(enrichment, database)
    await ends(enrichment, 5, well=True)
    await judges(enrichment, database)
    await judges(enrichment, database)
    better = await health(enrichment)
    homes.append((await sees(enrichment.broker, "", cookie)).body.decode())

    assert ["Enrichment is unhealthy" in each for each in homes] == [True, False]
    assert few["unhealthySince"] is None
    assert worse["unhealthySince"] is not None
    assert worse["crossed"] == [{"threshold": "minSuccessRate", "limit": 0.9, "value": 0.0}]
    assert again == 0
    assert (better["unhealthySince"], better["crossed"]) == (None, [])
    events = await reported(database)
    assert [each["type"] for each in events] == ["recipe.unhealthy", "recipe.recovered"]
    assert events[0]["data"]["crossed"] == worse["crossed"]
    assert events[0]["data"]["recipe"] == "enrichment"
    assert events[0]["data"]["app"] == "hbdev"


async def test_latency_counts_from_what_triggered_a_run(enrichment, database):
    await enrichment.puts(health=LIMITS, trigger={})
    contacts = [enrichment.contact(email=f"q{number}@x.example") for number in range(5)]
    await enrichment.sends(*({**CREATION, "objectId": int(each)} for each in contacts))
    await judges(enrichment, database)
    slow = await health(enrichment)
    metrics = enrichment.broker.parts.metrics
    await enrichment.broker.parts.recipes.watch.measure()

    seconds = await database.fetchval("SELECT extract(epoch FROM now()) - 1790000000")
    assert slow["latency"]["p95"] == pytest.approx(float(seconds), abs=60)
    assert [each["threshold"] for each in slow["crossed"]] == ["maxP95S"]
    assert (
        metrics.registry.get_sample_value("broker_unhealthy_recipes", {"recipe": "enrichment"}) == 1
    )
    assert (
        metrics.registry.get_sample_value("broker_run_seconds_count", {"recipe": "enrichment"}) == 5
    )


async def test_limits_that_are_taken_away_end_the_watch(enrichment, database):
    await ends(enrichment, 5, well=False)
    await enrichment.puts()
    await judges(enrichment, database)

    assert (await health(enrichment))["unhealthySince"] is None
    assert await reported(database) == []
    await enrichment.broker.asks("DELETE", SETTINGS)
    assert await database.fetchval("SELECT count(*) FROM recipe_health") == 0
    assert START

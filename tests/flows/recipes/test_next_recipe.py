"""Another recipe, made by following docs/recipes.md to the letter: a folder and a line."""

import importlib.util
import re
from pathlib import Path

import pytest

from broker.recipes.catalog import RECIPES

ROOT = Path(__file__).parents[3]
TOY = Path(__file__).parent / "toy" / "greeting.py"
SCOPES = [
    "oauth",
    "automation",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
]
SETTINGS = "/api/apps/hbdev/recipes/greeting"
START = "/api/recipes/greeting/hbdev"


def test_the_guide_shows_the_whole_of_the_recipe_that_is_run_here():
    page = (ROOT / "docs" / "recipes.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert TOY.read_text() in blocks


def toy():
    """The recipe, as a package of the catalog would be imported."""
    spec = importlib.util.spec_from_file_location("greeting", TOY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.GREETINGS


@pytest.fixture
async def greeter(start_broker):
    """A broker whose catalog has one recipe more, with u1 connected and the recipe configured."""
    broker = await start_broker(recipes=(*RECIPES, toy()))
    await broker.makes_workspace()
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    body = {"apiKey": "canary-of-the-toy", "trigger": {"property": "jobtitle", "value": "CEO"}}
    answer = await broker.asks("PUT", SETTINGS, json=body)
    assert answer.status == 200, answer.body
    return broker


def contact(broker, **properties):
    portal = broker.hubspot.portals[101]
    kind = portal.type("contacts")
    made = broker.hubspot.crm(portal).create(kind, {"properties": properties})
    return str(made.id)


def greeting(broker, record_id):
    portal = broker.hubspot.portals[101]
    return portal.of(portal.type("contacts")).by_id[record_id].properties.get("greeting")


async def prepares(broker):
    return await broker.asks("POST", f"{START}/setup", json={"userForeignIdentifier": "u1"})


async def starts(broker, record_id, **more):
    body = {"userForeignIdentifier": "u1", "contactId": record_id, **more}
    return await broker.asks("POST", START, json=body)


async def test_its_settings_are_stored_shown_and_deleted(greeter, database):
    shown = await greeter.asks("GET", SETTINGS)
    kept = await greeter.asks("PUT", SETTINGS, json={"word": "Good day"})
    wrong = await greeter.asks("PUT", SETTINGS, json={"words": "x"})
    stored = await database.fetchval("SELECT recipe_setting::text FROM recipe_setting")
    deleted = await greeter.asks("DELETE", SETTINGS)

    assert shown.json()["word"] == "Hello"
    assert shown.json()["actionUrl"].endswith("/actions/greeting")
    assert "apiKey" not in shown.json()
    assert b"canary" not in shown.body + kept.body
    assert "canary" not in stored
    assert kept.json()["word"] == "Good day"
    assert wrong.json()["errors"][0]["field"] == "words"
    assert (deleted.status, (await greeter.asks("GET", SETTINGS)).code) == (204, "recipe-not-found")
    first = await greeter.asks("PUT", SETTINGS, json={"word": "Hi"})
    assert first.json()["errors"] == [{"field": "apiKey", "message": "is needed the first time"}]


async def test_it_is_checked_and_prepared(greeter):
    user = {"userForeignIdentifier": "u1"}
    before = (await greeter.asks("POST", f"{START}/check", json=user)).json()
    nobody = await greeter.asks("POST", f"{START}/check", json={"userForeignIdentifier": "x"})
    prepared = await prepares(greeter)
    after = (await greeter.asks("POST", f"{START}/check", json=user)).json()

    assert [each["message"] for each in before["findings"]] == ["Contact has no property greeting."]
    assert before["findings"][0]["remedy"] == "Run the recipe's setup for this user."
    assert nobody.json()["findings"][0]["about"] == "connection"
    assert prepared.json() == {"created": ["greeting"], "existing": []}
    assert after == {"ok": True, "findings": []}


async def test_it_is_started_dry_run_listed_and_joined(greeter):
    await prepares(greeter)
    record_id = contact(greeter, firstname="Ann")

    dry = await starts(greeter, record_id, dryRun=True)
    untouched = greeting(greeter, record_id)
    done = await starts(greeter, record_id)
    again = await starts(greeter, record_id)
    listed = (await greeter.asks("GET", f"{START}/runs")).json()["runs"]

    assert dry.json() == {"ok": True, "dryRun": True, "greeting": "Hello, Ann!"}
    assert untouched is None
    assert (done.status, done.json()["greeting"]) == (201, "Hello, Ann!")
    assert greeting(greeter, record_id) == "Hello, Ann!"
    assert (again.status, again.json()) == (200, {**done.json(), "created": False})
    assert [each["subject"] for each in listed] == [f"101-{record_id}"]
    later = contact(greeter, firstname="Bob")
    await starts(greeter, later)
    runs, pages = [], 0
    page = {"before": None}
    while pages == 0 or page["before"]:
        at = {"before": page["before"]} if page["before"] else {}
        page = (await greeter.asks("GET", f"{START}/runs", params={"limit": 1, **at})).json()
        runs, pages = runs + page["runs"], pages + 1
    assert ([each["subject"] for each in runs], pages) == ([f"101-{later}", f"101-{record_id}"], 2)
    assert (await greeter.asks("GET", "/api/recipes/kyb/hbdev/runs")).json()["runs"] == []


async def test_a_failed_run_of_it_is_retried_or_dismissed(greeter):
    await prepares(greeter)
    first, second = contact(greeter), contact(greeter)
    failed = [await starts(greeter, each) for each in (first, second)]
    runs = [each.json()["runId"] for each in failed]
    portal = greeter.hubspot.portals[101]
    crm, kind = greeter.hubspot.crm(portal), portal.type("contacts")
    crm.update(kind, crm.find(kind, first), {"firstname": "Ann"})

    retried = await greeter.asks("POST", f"/api/recipes/runs/{runs[0]}/retry")
    await greeter.parts.recipes.runs.join()
    dismissed = await greeter.asks("POST", f"/api/recipes/runs/{runs[1]}/dismiss")
    kept = await greeter.asks("POST", f"/api/recipes/runs/{runs[0]}/dismiss")
    states = {
        state: [
            each["runId"]
            for each in (await greeter.asks("GET", f"{START}/runs?state={state}")).json()["runs"]
        ]
        for state in ("done", "failed", "dismissed")
    }

    assert {(each.status, each.code) for each in failed} == {(422, "input-refused")}
    assert (retried.status, greeting(greeter, first)) == (202, "Hello, Ann!")
    assert (dismissed.status, dismissed.json()["state"]) == (200, "dismissed")
    assert dismissed.json()["problem"]["code"] == "input-refused"
    assert kept.json()["state"] == "done"
    assert states == {"done": [runs[0]], "failed": [], "dismissed": [runs[1]]}
    crm.update(kind, crm.find(kind, second), {"firstname": "Bob"})
    assert (await starts(greeter, second)).json()["runId"] == runs[1]


async def test_its_health_counts_what_went_well_failed_and_needed_a_person(greeter):
    await prepares(greeter)
    path = f"{SETTINGS}/health"
    empty = (await greeter.asks("GET", path)).json()
    done = [await starts(greeter, contact(greeter, firstname=name)) for name in ("Ann", "Bob")]
    failed = contact(greeter)
    run_id = (await starts(greeter, failed)).json()["runId"]
    for each in (failed, failed):
        await starts(greeter, each)

    health = (await greeter.asks("GET", path)).json()
    later = await greeter.asks("GET", f"{path}?since=2099-01-01T00:00:00Z")
    await greeter.asks("POST", f"/api/recipes/runs/{run_id}/dismiss")
    dismissed = (await greeter.asks("GET", path)).json()

    assert (empty["runs"], empty["successRate"], empty["latency"]["p95"]) == (0, None, None)
    assert [each.status for each in done] == [201, 201]
    assert (health["runs"], health["succeeded"], health["failed"]) == (3, 2, 1)
    assert (health["successRate"], health["errorRate"]) == (0.6667, 0.3333)
    assert health["manualInterventionRate"] == 0.3333
    assert 0 < health["latency"]["p50"] <= health["latency"]["p95"]
    assert [(each["code"], each["count"]) for each in health["byError"]] == [("input-refused", 1)]
    assert health["consistency"] is None
    assert dismissed["failed"] == 1
    assert later.json()["runs"] == 0
    other = await greeter.asks("GET", "/api/apps/hbdev/recipes/kyb/health")
    assert other.code == "recipe-not-found"


async def test_a_changed_contact_starts_it(greeter):
    await prepares(greeter)
    record_id = contact(greeter, firstname="Ann")
    event = {
        "portalId": 101,
        "eventId": 1,
        "subscriptionType": "contact.propertyChange",
        "objectId": int(record_id),
        "propertyName": "jobtitle",
        "propertyValue": "CEO",
        "occurredAt": 1_767_225_600_000,
    }
    company = {**event, "eventId": 2, "subscriptionType": "company.propertyChange"}

    assert (await greeter.receives_webhook([event, company])).status == 200
    while await greeter.parts.splitter.split_due(50):
        pass
    await greeter.parts.recipes.runs.work_due()
    await greeter.parts.recipes.runs.join()

    assert greeting(greeter, record_id) == "Hello, Ann!"
    assert len((await greeter.asks("GET", f"{START}/runs")).json()["runs"]) == 1


async def test_a_workflow_starts_it_and_gets_its_outputs(greeter):
    await prepares(greeter)
    address = (await greeter.asks("GET", SETTINGS)).json()["actionUrl"]
    body = {
        "clientId": "client-of-hbdev",
        "url": address,
        "hubId": 101,
        "objectType": "contacts",
        "objectId": contact(greeter, firstname="Ann"),
    }

    run = await greeter.asks("POST", f"{greeter.hubspot.url}/_sandbox/workflow-actions", json=body)
    wrong = {**body, "objectType": "companies", "objectId": greeter.hubspot.crm(greeter.hubspot.portals[101]).create(greeter.hubspot.portals[101].type("companies"), {"properties": {}}).id}  # fmt: skip
    refused = await greeter.asks(
        "POST", f"{greeter.hubspot.url}/_sandbox/workflow-actions", json=wrong
    )

    assert run.json()["output"] == {
        "ok": True,
        "greeting": "Hello, Ann!",
        "error": None,
        "hs_execution_state": "SUCCESS",
    }
    assert refused.json()["answers"][0]["status"] == 400


async def test_the_document_has_its_models_at_addresses_of_its_own(greeter):
    document = (await greeter.asks("GET", "/openapi.json", key="")).json()

    operation = document["paths"][f"{START.replace('hbdev', '{slug}')}"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert body.endswith("/GreetingRequest")
    assert operation["x-broker-scopes"] == ["recipes"]
    settings = document["paths"]["/api/apps/{slug}/recipes/greeting"]
    stored = document["components"]["schemas"]["GreetingSettings"]["properties"]["apiKey"]
    assert stored["writeOnly"] is True
    shown = settings["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    fields = document["components"]["schemas"][shown.rpartition("/")[2]]["properties"]
    assert set(fields) == {"word", "trigger", "actionUrl", "createdAt", "updatedAt"}
    assert "/api/recipes/kyb/{slug}" in document["paths"]


async def test_other_keys_cannot_see_it(greeter):
    await prepares(greeter)
    run_id = (await starts(greeter, contact(greeter, firstname="Ann"))).json()["runId"]
    lacking = await greeter.makes_key("proxy", "apps", "connect")
    elsewhere = await greeter.makes_key("recipes", apps=("another",))

    for method, path in (
        ("GET", SETTINGS),
        ("DELETE", SETTINGS),
        ("GET", f"{START}/runs"),
        ("GET", f"/api/recipes/runs/{run_id}"),
        ("POST", f"/api/recipes/runs/{run_id}/retry"),
        ("POST", f"/api/recipes/runs/{run_id}/dismiss"),
    ):
        refused = await greeter.asks(method, path, key=lacking)
        missing = await greeter.asks(method, path, key=elsewhere)
        assert (refused.status, missing.status) == (403, 404), path

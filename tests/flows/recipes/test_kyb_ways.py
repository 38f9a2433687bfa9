"""The ways into KYB from HubSpot: a changed property, a workflow's action, a card's button."""

import aiohttp
import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until

CLIENT_ID = "client-of-hbdev"


async def watches(kyb, prop, value):
    """Set the trigger, and have HubSpot tell of the property."""
    body = {"clientId": "pk_live_tests", "trigger": {"property": prop, "value": value}}
    assert (await kyb.broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)).status == 200
    await kyb.broker.asks(
        "POST", "/api/recipes/kyb/hbdev/setup", json={"userForeignIdentifier": "u1"}
    )
    url = f"{kyb.broker.url}/hubspot/hbdev-{kyb.broker.workspace}/webhooks"
    subscriptions = [{"eventType": "company.propertyChange", "propertyName": prop, "active": True}]
    path = f"{kyb.broker.hubspot.url}/_sandbox/apps/{CLIENT_ID}/webhooks"
    body = {"targetUrl": url, "subscriptions": subscriptions}
    assert (await kyb.broker.asks("POST", path, json=body)).status == 201


async def heard(kyb, batches):
    """Wait until HubSpot has told so many batches."""
    await until(lambda: len(kyb.broker.hubspot.webhooks.deliveries) >= batches)


async def test_a_lifecycle_stage_starts_a_case_once_however_often_it_is_delivered(kyb):
    """J6, W5: told three times, set twice, and the write-back starts nothing."""
    await watches(kyb, "lifecyclestage", "opportunity")
    kyb.broker.hubspot.webhooks.duplicates = 2
    company, other = kyb.company(), kyb.company()

    kyb.change(other, lifecyclestage="lead")
    kyb.change(company, lifecyclestage="opportunity")
    await heard(kyb, 3)
    await kyb.run_background_work()
    kyb.change(company, lifecyclestage="customer")
    kyb.change(company, lifecyclestage="opportunity")
    await heard(kyb, 6)
    await kyb.run_background_work()

    case = next(iter(kyb.fml.fml.cases.values()))
    assert len(kyb.fml.fml.cases) == 1
    assert kyb.shows(company)["fml_case_id"] == case.case_id
    assert "fml_case_id" not in kyb.shows(other)
    assert (len(kyb.requests_to_fml()), len(kyb.writes())) == (1, 1)


async def test_a_checkbox_starts_a_case_and_a_correction_lets_it_start_again(kyb):
    await watches(kyb, "ready_for_kyb", "true")
    company = kyb.company(kyb_contact_email="")

    kyb.change(company, ready_for_kyb="true")
    await heard(kyb, 1)
    await kyb.run_background_work()
    refused = (await kyb.broker.asks("GET", "/api/recipes/kyb/hbdev/runs?state=failed")).json()
    kyb.change(company, kyb_contact_email="jane@acme.example", ready_for_kyb="false")
    kyb.change(company, ready_for_kyb="true")
    await heard(kyb, 2)
    await kyb.run_background_work()

    assert [each["problem"]["code"] for each in refused["runs"]] == ["input-refused"]
    assert kyb.shows(company)["fml_case_status"] == "in-progress"
    assert len(kyb.fml.fml.cases) == 1


@pytest.fixture
async def hubspot_calls(kyb):
    """What HubSpot's automation and its cards do, signed by the sandbox."""

    async def call(kind, company, **more):
        body = {
            "clientId": CLIENT_ID,
            "url": kyb.settings["actionUrl"],
            "hubId": 101,
            "objectType": "companies",
            "objectId": company,
            **more,
        }
        path = f"{kyb.broker.hubspot.url}/_sandbox/{kind}"
        return (await kyb.broker.asks("POST", path, json=body)).json()

    return call


async def test_a_workflow_action_makes_the_case_and_returns_its_outputs(kyb, hubspot_calls):
    company = kyb.company()

    first = await hubspot_calls("workflow-actions", company)
    again = await hubspot_calls("workflow-actions", company)
    refused = await hubspot_calls("workflow-actions", kyb.company(kyb_contact_email="x"))

    case = next(iter(kyb.fml.fml.cases.values()))
    assert first["state"] == "SUCCESS"
    assert first["output"] == {
        "ok": True,
        "caseId": case.case_id,
        "customerPortalUrl": "https://app.firstmilelabs.com/",
        "inviteSentAt": case.invited_at,
        "error": None,
        "hs_execution_state": "SUCCESS",
    }
    assert again["output"] == first["output"]
    assert refused["state"] == "FAIL_CONTINUE"
    assert refused["output"]["ok"] is False
    assert refused["output"]["error"].startswith("input-refused: kyb_contact_email is not")
    assert len(kyb.fml.fml.cases) == 1


async def test_a_slow_run_is_completed_when_it_ends(kyb, hubspot_calls, monkeypatch):
    monkeypatch.setattr("broker.recipes.starts.workflow_actions.WAIT_S", 0.2)
    await allows_cards(kyb)
    kyb.fml.fml.faults.add(Fault("/v1/cases", "delay", seconds=1.5, times=1))
    company = kyb.company()

    run = await hubspot_calls("workflow-actions", company)
    button = await hubspot_calls("ui-extension-calls", company, body={"companyId": company})
    await kyb.run_background_work()
    path = f"{kyb.broker.hubspot.url}/_sandbox/workflow-actions/{run['callback_id']}"
    ended = (await kyb.broker.asks("GET", path)).json()
    left = await kyb.broker.parts.database.fetchval(
        "SELECT count(*) FROM recipe_task WHERE due_at IS NOT NULL"
    )

    assert (run["state"], run["output"]) == ("ASYNC", {"hs_execution_state": "ASYNC"})
    assert button["body"]["outputFields"]["hs_execution_state"] == "ASYNC"
    assert ended["state"] == "SUCCESS"
    assert ended["output"]["caseId"] == next(iter(kyb.fml.fml.cases))
    assert left == 0


async def allows_cards(kyb):
    """Set `cards`, which is off by default."""
    body = {"clientId": "pk_live_tests", "cards": True}
    assert (await kyb.broker.asks("PUT", "/api/apps/hbdev/recipes/kyb", json=body)).status == 200


async def test_a_button_on_a_card_makes_the_case(kyb, hubspot_calls):
    await allows_cards(kyb)
    company = kyb.company()

    pressed = await hubspot_calls("ui-extension-calls", company, body={"companyId": int(company)})
    stranger = await hubspot_calls(
        "ui-extension-calls", company, hubId=102, body={"companyId": company, "portalId": 101}
    )

    as_a_workflow = {
        "callbackId": "c",
        "origin": {"portalId": 101},
        "object": {"objectId": int(company), "objectType": "COMPANY"},
    }
    disguised = await hubspot_calls("ui-extension-calls", company, hubId=102, body=as_a_workflow)

    assert pressed["status"] == 200
    assert pressed["body"]["outputFields"]["ok"] is True
    assert stranger["body"]["outputFields"]["error"].startswith("connection-not-found")
    assert disguised["body"]["errors"][0]["field"] == "companyId"
    assert len(kyb.fml.fml.cases) == 1


async def test_only_hubspot_can_call_the_action(kyb, hubspot_calls):
    company = kyb.company()
    url = kyb.settings["actionUrl"]
    body = {"callbackId": "c", "origin": {"portalId": 101}, "object": {"objectId": int(company)}}
    kyb.broker.hubspot.apps[CLIENT_ID].client_secret = "another"
    forged = await hubspot_calls("workflow-actions", company)

    async with aiohttp.ClientSession() as session:
        statuses = []
        for address in (url, url.replace("hbdev", "nosuch"), url.replace("actions", "Actions")):
            async with session.post(address, json=body) as answer:
                statuses.append(answer.status)

    assert statuses == [401, 401, 404]
    assert forged["answers"][0]["status"] == 401
    assert kyb.requests_to_fml() == []

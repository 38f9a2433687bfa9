"""Settings of recipes, and what a check finds, over HTTP."""

import asyncio

import pytest

from broker.domain.model import Secret
from tests.fixtures.postgres import WAITING
from tests.until import until

PATH = "/api/apps/hbdev/recipes/kyb"
CHECK = "/api/recipes/kyb/hbdev/check"
USER = {"userForeignIdentifier": "u1"}


async def test_two_puts_at_once_lose_no_secret(kyb, second_kyb, database):
    """Each PUT sees what the other has stored: the row lock orders them."""
    one = {"clientId": "pk_live_tests", "webhookSecret": "canary-a"}
    other = {"clientId": "pk_live_tests", "clientSecret": "canary-b"}
    async with database.transaction():
        await database.execute(
            "SELECT id FROM app WHERE workspace_id = $1 FOR UPDATE", kyb.broker.workspace
        )
        puts = [
            asyncio.create_task(broker.asks("PUT", PATH, json=body))
            for broker, body in ((kyb.broker, one), (second_kyb, other))
        ]

        async def both_wait():
            return await kyb.broker.parts.database.fetchval(WAITING) == 2

        await until(both_wait)

    answers = [await each for each in puts]
    app_id = await database.fetchval("SELECT id FROM app")
    workspace_id = await database.fetchval("SELECT id FROM workspace")
    stored = await kyb.broker.parts.recipes.built["kyb"].setup.of_app(workspace_id, app_id)
    assert [each.status for each in answers] == [200, 200]
    assert stored.secrets["webhookSecret"] == Secret("canary-a")
    assert stored.secrets["clientSecret"] == Secret("canary-b")
    assert stored.accepted("webhookSecret") == (
        Secret("canary-a"),
        Secret("canary-fml-webhook-secret"),
    )


@pytest.mark.parametrize("secret", ["", "a\nb", "x" * 1025, 7, ["s"], "\ud800"])
async def test_a_secret_that_cannot_be_one_is_named_and_not_shown(kyb, secret):
    answer = await kyb.broker.asks("PUT", PATH, json={"clientId": "x", "webhookSecret": secret})

    assert (answer.status, answer.json()["errors"]) == (
        400,
        [{"field": "webhookSecret", "message": "must be a text of 1 to 1024 characters"}],
    )


async def test_settings_that_no_longer_fit_hold_up_no_webhooks(kyb, subscribed_receiver, database):
    body = {"clientId": "x", "trigger": {"property": "lifecyclestage", "value": "opportunity"}}
    await kyb.broker.asks("PUT", PATH, json=body)
    await database.execute("UPDATE recipe_setting SET settings = '{\"clientId\": 7}'")
    event = {
        "portalId": 101,
        "eventId": 1,
        "subscriptionType": "company.propertyChange",
        "objectId": int(kyb.company()),
        "propertyName": "lifecyclestage",
        "propertyValue": "opportunity",
        "occurredAt": 1_767_225_600_000,
    }

    assert (await kyb.broker.receives_webhook([event])).status == 200
    await kyb.broker.run_background_work()

    assert [each.json()["type"] for each in subscribed_receiver.got] == [
        "hubspot.company.propertyChange"
    ]
    assert await database.fetchval("SELECT count(*) FROM recipe_run") == 0


async def finds(kyb):
    answer = await kyb.broker.asks("POST", CHECK, json=USER)
    assert answer.status == 200, answer.body
    found = answer.json()
    assert found["ok"] is (found["findings"] == [])
    assert all(each["remedy"] for each in found["findings"])
    return [each["about"] for each in found["findings"]], found["findings"]


async def test_a_check_that_finds_nothing_is_followed_by_a_kickoff_that_works(kyb):
    assert await finds(kyb) == ([], [])
    assert (await kyb.kicks_off(kyb.company())).status == 201


async def test_a_check_names_what_would_make_a_kickoff_fail(kyb):
    kyb.portal.definitions(kyb.portal.type("companies")).pop("fml_case_status")
    missing = await finds(kyb)
    kyb.fml.fml.clients["pk_live_tests"].scopes.remove("cases:write")
    scope = await finds(kyb)
    kyb.fml.fml.clients["pk_live_tests"].client_secret = "another"
    secret = await finds(kyb)
    await kyb.broker.asks("PUT", PATH, json={"clientId": "pk_live_tests", "hubId": 102})
    account = await finds(kyb)

    assert missing[0] == ["properties"]
    assert missing[1][0]["message"] == "Company has no property fml_case_status."
    assert scope[0] == ["properties", "First Mile Labs"]
    assert "cases:write" in scope[1][1]["message"]
    assert "client id and secret" in secret[1][1]["message"]
    assert account[0] == ["properties", "First Mile Labs", "account"]


async def test_a_check_names_missing_scopes_and_connections(kyb):
    app = kyb.broker.hubspot.apps["client-of-hbdev"]
    for access in kyb.broker.hubspot.grants.access_tokens.values():
        access.refresh.scopes = ["oauth"]
    scopes = await finds(kyb)
    await kyb.broker.asks("DELETE", "/api/saas-org-user/delete-user/hbdev?userForeignIdentifier=u1")
    connection = await finds(kyb)

    assert app is not None
    assert scopes[0] == ["scopes"]
    assert connection[0] == ["connection"]


async def test_a_check_writes_nothing(kyb):
    await finds(kyb)

    assert {each.method for each in kyb.broker.hubspot.seen} == {"GET"}
    assert kyb.requests_to_fml() == []

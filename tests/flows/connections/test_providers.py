"""Apps of a provider, and addresses that belong to one."""

import pytest


async def test_an_app_is_hubspots_unless_it_says_otherwise(broker):
    shown = (await broker.asks("GET", "/api/apps/hbdev")).json()
    named = await broker.registers("named", provider="hubspot")

    assert shown["provider"] == "hubspot"
    assert (named.status, named.json()["provider"]) == (201, "hubspot")
    assert "/hubspot/hbdev-" in shown["redirectUrl"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"provider": "pipedrive"}, "provider"),
        ({"provider": None}, "provider"),
        ({"appId": None}, "appId"),
        ({"clientId": None}, "clientId"),
        ({"clientSecret": None}, "clientSecret"),
    ],
)
async def test_an_app_lacks_nothing_that_its_provider_needs(broker, change, field):
    answer = await broker.registers("other", **change)

    assert answer.status == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_all_that_is_missing_is_named_at_once(broker):
    answer = await broker.asks("POST", "/api/apps", json={"slug": "other"})

    assert {error["field"] for error in answer.json()["errors"]} == {
        "appId",
        "clientId",
        "clientSecret",
        "scopes",
    }


async def test_options_of_an_app_are_its_providers(broker):
    asks = broker.asks
    books = {"provider": "quickbooks", "appId": None, "scopes": ["accounting"]}

    wrong = await broker.registers("books", **books, environment="moon")
    foreign = await broker.registers("other", environment="sandbox")
    domain = await broker.registers("books", **books, myDomain="acme.my.salesforce.com")
    made = await broker.asks(
        "POST",
        "/api/apps",
        json={
            "slug": "books",
            "provider": "quickbooks",
            "clientId": "c",
            "clientSecret": "canary-of-books",
            "scopes": ["accounting"],
            "environment": "sandbox",
        },
    )
    renamed = await asks("PATCH", "/api/apps/books", json={"displayName": "Books"})
    refused = await asks("PATCH", "/api/apps/books", json={"environment": "moon"})
    kept = await asks("GET", "/api/apps/books")
    cleared = await asks("PATCH", "/api/apps/books", json={"environment": None})

    assert [answer.status for answer in (wrong, foreign, domain, refused)] == [400] * 4
    assert [answer.json()["errors"][0]["field"] for answer in (wrong, foreign, domain)] == [
        "environment",
        "environment",
        "myDomain",
    ]
    assert "production, sandbox" in wrong.json()["errors"][0]["message"]
    assert made.json()["environment"] == renamed.json()["environment"] == "sandbox"
    assert made.json()["myDomain"] is None
    assert kept.json()["environment"] == "sandbox"
    assert cleared.json()["environment"] is None


async def test_a_connection_names_its_account_for_every_provider(broker):
    await broker.connects("u1")

    shown = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    listed = await broker.asks("GET", "/api/apps/hbdev/connections?accountId=101")
    none = await broker.asks("GET", "/api/apps/hbdev/connections?accountId=102")

    assert (shown["accountId"], shown["accountName"]) == ("101", "acme.example")
    assert (shown["hubId"], shown["hubDomain"]) == (101, "acme.example")
    assert len(listed.json()["connections"]) == 1
    assert none.json()["connections"] == []


async def test_an_app_is_not_found_under_another_providers_address(broker, database, hubspot):
    """C8, P24: neither a code nor a call goes to a provider that is not the app's."""
    await broker.connects("u1")
    back = await broker.consents(await broker.links("u2"))
    await database.execute("UPDATE app SET provider = 'another'")
    broker.parts.invalidate_caches()

    link = await broker.asks("GET", "/api/hubspot/auth/hbdev?userForeignIdentifier=u1")
    callback = await broker.asks("GET", back, key="")
    call = await broker.asks(
        "POST",
        "/api/hubspot/proxy/hbdev",
        json={"method": "GET", "url": "/crm/v3/owners", "userForeignIdentifier": "u1"},
    )

    assert (link.status, link.code) == (404, "app-not-found")
    assert callback.status == 404
    assert (call.status, call.code) == (404, "app-not-found")
    assert hubspot.exchanges == 1


@pytest.mark.parametrize("user", ["{3F2504E0-4F89-11D3-9A0C-0305E82C3301}", "a{b}c", "{}"])
async def test_a_reference_with_braces_works_everywhere(broker, user):
    """F7."""
    await broker.connects(user)
    path = "/api/apps/hbdev/connections/" + user.replace("{", "%7B").replace("}", "%7D")

    assert (await broker.asks("GET", path)).status == 200
    assert (await broker.asks("POST", f"{path}/renew")).status == 200
    assert (await broker.proxies("/_echo/x", user=user)).status == 200
    assert (await broker.asks("DELETE", path)).status == 200

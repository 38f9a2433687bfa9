"""A shop's order becomes a deal, its buyer and their association in HubSpot."""

import asyncio
import base64
import hmac
import json
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from broker.domain.runs import Run, StepContext
from tests.flows.providers.shops import ACME, OTHER
from tests.until import until

SCOPES = [
    "oauth",
    *(
        f"crm.{part}.{kind}.{right}"
        for kind in ("contacts", "deals")
        for part in ("objects", "schemas")
        for right in ("read", "write")
    ),
]
SETTINGS = "/api/apps/hbdev/recipes/orders"
START = "/api/recipes/orders/hbdev"
USER = {"userForeignIdentifier": "u1"}
LINE = {"title": "Lamp", "price": "40.00", "quantity": 2}


@pytest.fixture
async def till(shops):
    """The shop acme, with u1 connected to it and to HubSpot, and the recipe set up."""
    from broker.sandbox.shopify.store.merchant import Merchant  # noqa: PLC0415  # needs graphql

    broker = shops.broker
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    put = await broker.asks("PUT", SETTINGS, json={"shopApp": "shop"})
    assert put.status == 200, put.body
    await shops.connects()
    setup = await broker.asks("POST", f"{START}/setup", json=USER)
    assert setup.status == 200, setup.body
    return Merchant(shops.world, shops.world.shops[ACME])


async def starts(shops, order, **more):
    body = {**USER, "orderId": str(order.id), **more}
    return await shops.broker.asks("POST", START, json=body)


def records(shops, kind):
    portal = shops.broker.hubspot.portals[101]
    return list(portal.of(portal.type(kind)).by_id.values())


async def test_an_order_becomes_one_deal_with_its_buyer_and_follows_refunds(shops, till):
    ann = till.add_customer(email="Ann@X.example", first_name="Ann", last_name="Lee")
    order = till.place([LINE], customer=ann)

    dry = await starts(shops, order, dryRun=True)
    nothing = records(shops, "deals")
    first = await starts(shops, order)
    again = await starts(shops, order)
    till.refund(order, "30.00")
    partly = await starts(shops, order)
    till.refund(order)
    fully = await starts(shops, order)

    assert (dry.status, nothing) == (200, [])
    assert dry.json()["wouldWrite"]["deal"]["shop_order_key"] == f"{ACME}:{order.id}"
    assert (first.status, again.status, partly.status) == (201, 200, 200), first.body
    assert first.json()["runId"] == again.json()["runId"] != partly.json()["runId"]
    assert [float(each.json()["amount"]) for each in (first, partly, fully)] == [80, 50, 0]
    assert [each.json()["stage"] for each in (first, partly, fully)] == [
        "closedwon", "closedwon", "closedlost",
    ]  # fmt: skip
    (deal,), (contact,) = records(shops, "deals"), records(shops, "contacts")
    assert deal.properties["deal_currency_code"] == "USD"
    assert contact.properties["email"] == "ann@x.example"
    assert first.json()["contactId"] == str(contact.id)


async def test_a_guest_a_test_order_and_a_deleted_one_are_told(shops, till):
    guest = till.place([LINE], paid=False)
    tried = till.place([LINE], test=True)
    gone = till.place([LINE])
    await starts(shops, gone)
    till.delete(gone)

    answers = [await starts(shops, each) for each in (guest, tried, gone)]

    assert answers[0].json()["contactId"] is None
    assert answers[0].json()["stage"] == "appointmentscheduled"
    assert answers[1].json()["skipped"] == "test"
    assert (answers[2].json()["stage"], answers[2].json()["amount"]) == ("closedlost", "0")
    assert len(records(shops, "deals")) == 2


async def test_a_currency_that_the_account_lacks_waits_for_a_person(shops, till):
    till.shop.currency = "JPY"
    refused = await starts(shops, till.place([LINE]))

    assert refused.status == 422, refused.body
    assert "does not have the currency JPY" in refused.json()["detail"]
    assert records(shops, "deals") == []


async def test_orders_since_a_moment_that_no_shop_has_are_refused(shops, till):
    odd = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0999-01-01T00:00:00Z", -1e11]

    answers = [
        await shops.broker.asks("POST", START, json={**USER, "since": each})
        for each in [*odd, "2026-11-01T00:00:00"]
    ]

    assert {each.status for each in answers} == {400}, [each.body for each in answers]
    assert {each.json()["errors"][0]["field"] for each in answers} == {"since"}


async def test_a_person_keeps_the_name_and_stage_of_a_deal_that_is_to_be_paid(shops, till):
    order = till.place([LINE], paid=False)
    await starts(shops, order)
    (deal,) = records(shops, "deals")
    deal.properties |= {"dealname": "Mine", "dealstage": "contractsent"}
    till.touch(order, note="gift")
    await starts(shops, order)
    kept = dict(deal.properties)
    till.pay(order)
    await starts(shops, order)

    assert (kept["dealname"], kept["dealstage"]) == ("Mine", "contractsent")
    assert deal.properties["dealstage"] == "closedwon"


async def test_check_names_a_shop_that_is_not_connected(shops, till):
    fine = await shops.broker.asks("POST", f"{START}/check", json=USER)
    await shops.broker.asks("DELETE", "/api/apps/shop/connections/u1")
    wrong = await shops.broker.asks("POST", f"{START}/check", json=USER)

    assert (fine.json()["ok"], wrong.json()["ok"]) == (True, False), fine.body
    assert wrong.json()["findings"][0]["about"] == "shop"


async def test_a_webhook_starts_a_run_of_its_own_however_often_it_comes(shops, till):
    secret = "canary-shopify-secret"
    order = till.place([LINE], billing={"first_name": "Guest"}, email="g@x.example")
    body = json.dumps({"id": order.id, "updated_at": "2026-11-28T00:00:00Z"}).encode()
    signed = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    headers = {
        "X-Shopify-Hmac-Sha256": signed,
        "X-Shopify-Topic": "orders/updated",
        "X-Shopify-Shop-Domain": ACME,
        "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
        "Content-Type": "application/json",
    }
    parts = shops.broker.parts
    for _ in range(3):
        answer = await shops.broker.asks(
            "POST", shops.app["webhookUrl"], key="", data=body, headers=headers
        )
        assert answer.status in {200, 204}, answer.body
    await parts.splitter.split_due(10)
    await parts.recipes.runs.work_due()
    (deal,) = await until(lambda: records(shops, "deals"))
    runs = await shops.broker.asks("GET", f"{START}/runs")

    assert deal.properties["shop_order_key"] == f"{ACME}:{order.id}"
    assert len(runs.json()["runs"]) == 1


async def test_one_order_id_in_two_shops_is_two_deals_and_two_users_of_a_shop_share_one(
    shops, till
):
    other = type(till)(shops.world, shops.world.shops[OTHER])
    order = till.place([LINE])
    other.shop.orders[order.id] = replace(order, name="#2")
    for user, shop in (("u2", OTHER), ("u3", ACME)):
        await shops.broker.connects(user)
        await shops.connects(user, shop)

    answers = [
        await starts(shops, order, userForeignIdentifier=user) for user in ("u1", "u2", "u3")
    ]

    assert [each.status for each in answers] == [201, 201, 200], answers[2].body
    assert answers[0].json()["dealId"] == answers[2].json()["dealId"]
    keys = {deal.properties["shop_order_key"] for deal in records(shops, "deals")}
    assert keys == {f"{ACME}:{order.id}", f"{OTHER}:{order.id}"}


async def test_attempts_of_one_step_that_overlap_leave_one_deal_and_one_contact(shops, till):
    order = till.place([LINE], email="g@x.example")
    recipe = shops.broker.parts.recipes.built["orders"]
    steps = {each.name: each for each in recipe.steps()}
    user = await shops.broker.parts.recipes.partners.user(
        UUID(shops.broker.workspace), "hbdev", "u1"
    )
    app = await shops.broker.parts.apps.get(UUID(shops.broker.workspace), "hbdev")
    fields = {
        "orderId": str(order.id), "shopApp": "shop", "provider": "shopify", "shop": ACME,
    }  # fmt: skip
    run = Run(
        app.workspace_id, uuid4(), app.id, "hbdev", "orders", 1, "s", "u1",
        int(user.account_id), fields, 1,
    )  # fmt: skip
    read = await steps["read-order"].run(StepContext(run, {}))
    again = StepContext(run, {"read-order": read}, outcome_unknown=True)

    outcomes = await asyncio.gather(*(steps["write-records"].run(again) for _ in range(4)))

    assert len({each["dealId"] for each in outcomes}) == 1
    assert sum(each["created"] for each in outcomes) == 1
    assert (len(records(shops, "deals")), len(records(shops, "contacts"))) == (1, 1)


async def test_all_orders_since_a_moment_are_brought_over_and_a_refused_one_holds_up_none(
    shops, till
):
    till.place([LINE])
    orders = [till.place([LINE]) for _ in range(21)]
    orders[0].currency = "JPY"
    body = {**USER, "since": "2020-01-01T00:00:00Z"}
    runs, work = f"{START}/runs", shops.broker.parts.recipes.runs.work_due

    both = await shops.broker.asks("POST", START, json={**body, "orderId": "1"})
    start = asyncio.create_task(shops.broker.asks("POST", START, json=body))

    async def ended():
        await work()
        listed = (await shops.broker.asks("GET", runs)).json()["runs"]
        return listed and listed[0]["state"] != "running"

    await until(ended)
    result = (await start).json()

    assert both.json()["errors"][0]["field"] == "orderId"
    assert (result["written"], [each["orderId"] for each in result["refused"]]) == (
        21, [str(orders[0].id)],
    )  # fmt: skip
    assert len(records(shops, "deals")) == 21

"""Odd shops and settings hold up nobody else."""

import json
from datetime import UTC, datetime

from broker.crm.records import HubSpotUser
from broker.recipes.orders.comparison import Comparison
from broker.recipes.starts.polling import DuePoll
from broker.sandbox.core.faults import Fault
from broker.stores.recipes.shop_orders import ShopOrders, ShopPlace
from tests.flows.providers.shops import ACME
from tests.flows.recipes.test_orders import LINE, SCOPES, SETTINGS, START, USER, records, till
from tests.flows.recipes.test_orders_poll import cursor, keeper, polls, reports, runs

__all__ = ["keeper", "till"]


async def test_a_recipe_is_refused_for_the_shop_s_own_app_which_goes_on_splitting_webhooks(
    shops, till, database
):
    put = await shops.broker.asks("PUT", "/api/apps/shop/recipes/orders", json={"shopApp": "shop"})
    order = till.place([LINE], email="a@x.example")
    await reports(shops, order)

    assert (put.status, put.json()["code"]) == (400, "invalid-request"), put.body
    assert "an app of HubSpot" in put.json()["detail"]
    assert await database.fetchval("SELECT count(*) FROM webhook_inbox") == 0
    assert len(records(shops, "deals")) == 1


async def test_an_order_of_the_far_future_does_not_hide_the_changes_after_it(shops, till, database):
    odd = till.place([LINE])
    odd.updated_at = shops.world.now() + 40 * 365 * 86_400
    await polls(shops, database)
    later = till.place([LINE])
    await polls(shops, database)

    keys = {each.properties["shop_order_key"] for each in records(shops, "deals")}
    assert keys == {f"{ACME}:{odd.id}", f"{ACME}:{later.id}"}, await cursor(database)


async def test_an_order_that_the_shop_cannot_show_holds_up_no_comparison(shop, keeper, database):
    line = {"name": "Lamp", "price": "40.00", "quantity": 2}
    first, second = (keeper.place(lines=[line], status="processing") for _ in range(2))
    await polls(shop, database)
    shop.site.world.faults.add(Fault(f"*/orders/{first.id}", "status", status=500))
    keeper.delete(second)
    await database.execute(
        "UPDATE recipe_poll SET cursor = jsonb_set(cursor::jsonb, '{checked,at}',"
        " '\"2026-01-01T00:00:00+00:00\"')"
    )
    await polls(shop, database)
    shop.site.world.faults.clear()
    failures = await database.fetchval("SELECT failures FROM recipe_poll")
    health = await shop.broker.asks("GET", "/api/apps/hbdev/recipes/orders/health")
    compared = health.json()["consistency"]

    assert failures == 0
    assert (compared["compared"], compared["equal"]) == (2, 0)
    stages = {each.properties["dealstage"] for each in records(shop, "deals")}
    assert stages == {"closedwon", "closedlost"}


async def test_a_shop_that_does_not_list_by_the_time_of_change_is_told_and_ends(
    shop, keeper, database
):
    """WooCommerce before 5.8 leaves the filter out without a word."""
    order = {
        "id": 7, "number": "7", "status": "processing", "currency": "USD", "total": "1.00",
        "refunds": [], "date_paid_gmt": None, "date_modified_gmt": "2020-01-01T00:00:00",
        "date_created_gmt": "2020-01-01T00:00:00", "customer_id": 0,
        "billing": dict.fromkeys(["email", "first_name", "last_name", "phone", "company"], ""),
    }  # fmt: skip
    page = json.dumps([{**order, "id": each} for each in range(1, 51)])
    shop.site.world.faults.add(Fault("*/orders", "status", status=200, body=page))

    answer = await shop.broker.asks("POST", START, json={**USER, "since": "2026-11-01T00:00:00Z"})

    assert answer.status == 422, answer.body
    assert "5.8" in answer.json()["detail"]


async def test_an_order_that_cannot_be_read_waits_for_a_person_and_holds_up_no_other(
    shop, keeper, database
):
    """Extensions of WooCommerce filter what its API shows."""
    line = {"name": "Lamp", "price": "40.00", "quantity": 2}
    orders = [keeper.place(lines=[line], status="processing") for _ in range(6)]
    listed = (await shop.broker.asks("GET", "/proxy/shop/u1/wp-json/wc/v3/orders")).json()
    by_id = {each["id"]: each for each in listed}
    by_id[orders[0].id]["total"] = ""
    by_id[orders[1].id]["date_modified_gmt"] = None
    del by_id[orders[2].id]["refunds"]
    by_id[orders[3].id]["total"] = "NaN"
    by_id[orders[4].id]["billing"] = []
    for order in orders[:5]:
        body = json.dumps(by_id[order.id])
        fault = Fault(f"*/orders/{order.id}", "status", status=200, body=body)
        shop.site.world.faults.add(fault)
    page = json.dumps([*listed, None, {"id": None}])
    shop.site.world.faults.add(Fault("*/orders", "status", status=200, body=page))

    await polls(shop, database)
    await polls(shop, database)
    failed = await runs(shop, "failed")
    since = {**USER, "since": "2026-11-01T00:00:00Z"}
    history = (await shop.broker.asks("POST", START, json=since)).json()

    assert await database.fetchval("SELECT failures FROM recipe_poll") == 0
    assert len(records(shop, "deals")) == 1
    assert len(failed) == 5
    assert {each["problem"]["code"] for each in failed} == {"input-refused"}
    refused = {each["orderId"] for each in history["refused"]}
    assert refused == {str(each.id) for each in orders[:5]}, history
    assert history["written"] == 1


async def test_settings_that_would_write_over_what_the_recipes_live_by_are_refused(shops):
    assert (await shops.broker.registers(scopes=SCOPES)).status == 201
    wrong = [
        ("orders", "contact.firstName", {"contact": {"firstName": "email"}}),
        ("orders", "contact.lastName", {"contact": {"lastName": "firstname"}}),
        ("orders", "deal.financialStatus", {"deal": {"financialStatus": "shop_order_state"}}),
        ("orders", "deal.orderName", {"deal": {"orderName": "dealstage"}}),
        ("invoices", "writeBack.number", {"writeBack": {"number": "amount"}}),
        ("invoices", "writeBack.status", {"writeBack": {"status": "invoice_sync_id"}}),
        ("invoices", "customer.customerId", {"customer": {"customerId": "email"}}),
    ]
    named = []
    for recipe, _, settings in wrong:
        app = {"shopApp": "shop"} if recipe == "orders" else {"accountingApp": "books"}
        put = await shops.broker.asks(
            "PUT", f"/api/apps/hbdev/recipes/{recipe}", json={**app, **settings}
        )
        assert put.status == 400, (settings, put.body)
        named.append(put.json()["errors"][0]["field"])

    nothing = {"contact": {"firstName": None, "lastName": None}, "deal": {"name": None}}
    fine = await shops.broker.asks("PUT", SETTINGS, json={"shopApp": "shop", **nothing})
    assert named == [field for _, field, _ in wrong]
    assert fine.status == 200, fine.body


async def test_a_slow_shop_is_compared_as_far_as_the_time_goes(shops, till, database):
    """Otherwise no look of a slow shop would ever end in time, and none would find a new order."""
    for _ in range(3):
        till.place([LINE])
    await polls(shops, database)
    parts = shops.broker.parts
    app = await database.fetchrow("SELECT workspace_id, id FROM app WHERE slug = 'hbdev'")
    user = HubSpotUser(app["workspace_id"], "hbdev", "u1", 101)
    partner = await parts.recipes.partners.user(app["workspace_id"], "shop", "u1")
    place = ShopPlace(app["workspace_id"], app["id"], 101, partner.account_id)
    slow = Comparison(parts.recipes.partners, ShopOrders(parts.database), within_s=0)
    state, seen = {"after": "", "at": "2026-01-01T00:00:00+00:00"}, []
    for _ in range(4):
        now = datetime.now(UTC)
        due = DuePoll(app["id"], user, partner, {}, now, now)
        found = await slow.go_on(due, place, {**state, "at": "2026-01-01T00:00:00+00:00"})
        state = found.state
        seen.append((state["compared"], state["equal"], state["after"] == ""))

    assert seen == [(1, 1, False), (1, 1, False), (1, 1, True), (1, 1, False)]

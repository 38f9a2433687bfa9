"""Orders of which no webhook comes are found, and what both report is written once."""

import base64
import hmac
import json
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from broker.sandbox.core.faults import Fault
from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper
from tests.flows.providers.shops import ACME, SECRET
from tests.flows.recipes.test_orders import (
    LINE,
    SCOPES,
    SETTINGS,
    START,
    USER,
    records,
    starts,
    till,
)

__all__ = ["till"]


async def polls(world, database=None):
    """Look at the shop, and do what was found. With a database the look is due now."""
    if database is not None:
        await database.execute("UPDATE recipe_poll SET due_at = now()")
    recipes = world.broker.parts.recipes
    while await recipes.polls.work_due():
        await recipes.polls.join()
        if database is not None:  # a long list goes on a second later
            await database.execute(
                "UPDATE recipe_poll SET due_at = now() WHERE cursor::jsonb ? 'page'"
            )
    while await recipes.runs.work_due():
        await recipes.runs.join()


async def runs(world, state=""):
    query = f"?state={state}&limit=100" if state else "?limit=100"
    return (await world.broker.asks("GET", f"{START}/runs{query}")).json()["runs"]


async def cursor(database):
    return json.loads(await database.fetchval("SELECT cursor FROM recipe_poll"))


async def reports(world, order, topic="orders/updated"):
    """Deliver a webhook about an order, and do what it starts."""
    body = json.dumps({"id": order.id, "updated_at": "2026-11-28T00:00:00Z"}).encode()
    headers = {
        "X-Shopify-Hmac-Sha256": base64.b64encode(
            hmac.digest(SECRET.encode(), body, "sha256")
        ).decode(),
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": ACME,
        "X-Shopify-Webhook-Id": str(uuid4()),
        "Content-Type": "application/json",
    }
    answer = await world.broker.asks(
        "POST", world.app["webhookUrl"], key="", data=body, headers=headers
    )
    assert answer.status in {200, 204}, answer.body
    await world.broker.parts.splitter.split_due(10)
    while await world.broker.parts.recipes.runs.work_due():
        await world.broker.parts.recipes.runs.join()


async def test_a_poll_finds_new_and_changed_orders_and_leaves_what_was_before_the_connection(
    shops, till, database
):
    till.shop.orders.clear()
    old = till.place([LINE], created_at=shops.world.now() - 3600)
    await polls(shops)
    first = till.place([LINE], email="a@x.example")
    test_order = till.place([LINE], test=True)
    await polls(shops, database)
    once = [deal.properties["shop_order_key"] for deal in records(shops, "deals")]
    till.refund(first, "30.00")
    await polls(shops, database)
    await polls(shops, database)
    (deal,) = records(shops, "deals")

    assert once == [f"{ACME}:{first.id}"], (old.id, test_order.id)
    assert float(deal.properties["amount"]) == 50
    assert len(await runs(shops)) == 2


async def test_what_a_webhook_and_a_poll_report_of_one_change_is_written_once(
    shops, till, database
):
    order = till.place([LINE], email="a@x.example")
    await reports(shops, order, "orders/create")
    await reports(shops, order)
    await polls(shops, database)
    first = await runs(shops)
    till.refund(order, "30.00")
    await polls(shops, database)
    await reports(shops, order)
    await reports(shops, order, "refunds/create")
    (deal,) = records(shops, "deals")
    results = [each["result"] for each in await runs(shops)]
    again = await starts(shops, order)
    called = (await starts(shops, order)).json()["runId"]

    assert [each["result"].get("skipped") for each in first] == ["unchanged", None]
    assert first[0]["result"]["dealId"] == str(deal.id)
    assert [each.get("skipped") for each in results] == [
        "unchanged", None, "unchanged", None,
    ]  # fmt: skip
    assert float(deal.properties["amount"]) == 50
    assert (again.json()["dealId"], again.json()["runId"]) == (str(deal.id), called)


async def test_a_failed_order_is_not_tried_with_each_poll_and_a_later_change_tries_it_again(
    shops, till, database
):
    order = till.place([LINE])
    order.currency = "JPY"
    for _ in range(3):
        await polls(shops, database)
    (failed,) = await runs(shops, "failed")
    order.currency = "USD"
    till.touch(order, note="mended")
    await polls(shops, database)
    found = await database.fetchrow(
        "SELECT attempts, restarts FROM recipe_run JOIN recipe_step USING (workspace_id)"
        " WHERE run_id = id AND recipe_run.state = 'failed' AND name = 'write-records'"
    )

    assert "JPY" in failed["problem"]["detail"]
    assert tuple(found) == (1, 0)
    assert len(await runs(shops, "done")) == len(records(shops, "deals")) == 1


async def test_the_poll_after_an_outage_brings_all_of_its_pages(shops, till, database):
    await polls(shops)
    fault = shops.world.faults.add(Fault("*/graphql.json", "status", status=503))
    placed = [till.place([LINE]) for _ in range(23)]
    await polls(shops, database)
    during = await database.fetchrow("SELECT failures, cursor FROM recipe_poll")
    shops.world.faults.clear()
    began = await database.fetchval("SELECT now()")
    await polls(shops, database)
    since = datetime.fromisoformat((await cursor(database))["since"])
    due = await database.fetchrow("SELECT due_at AS at, due_at - now() AS left FROM recipe_poll")
    newest = datetime.fromtimestamp(placed[-1].updated_at).astimezone()

    assert fault.hits
    assert during["failures"] == 1
    keys = {deal.properties["shop_order_key"] for deal in records(shops, "deals")}
    assert keys == {f"{ACME}:{order.id}" for order in placed}
    assert timedelta(0) < newest - since < timedelta(minutes=6)
    assert due["at"] - began > timedelta(seconds=60)
    assert due["left"] < timedelta(seconds=100)


async def test_an_order_that_is_listed_late_or_by_a_slow_clock_is_found(shops, till, database):
    await database.execute("UPDATE recipe_poll SET begins_at = now() - interval '1 day'")
    shops.world.jump(-1800)
    placed = [till.place([LINE])]
    await polls(shops, database)
    placed.append(till.place([LINE]))
    placed[1].updated_at = placed[0].updated_at - 200  # listed only now, before the newest one
    await polls(shops, database)
    placed.append(till.place([LINE]))
    await polls(shops, database)
    keys = {deal.properties["shop_order_key"] for deal in records(shops, "deals")}

    assert keys == {f"{ACME}:{each.id}" for each in placed}


async def test_a_write_that_failed_forgets_the_version_so_that_a_repeat_is_not_skipped(
    shops, till, database
):
    order = till.place([LINE], email="a@x.example")
    await reports(shops, order)
    known = await database.fetchval("SELECT count(*) FROM shop_order")
    till.refund(order, "10.00")
    shops.broker.hubspot.faults.add(
        Fault("/crm/v3/objects/deals/batch/upsert", "status", status=403)
    )
    await reports(shops, order)
    shops.broker.hubspot.faults.clear()
    forgotten = await database.fetchval("SELECT count(*) FROM shop_order")
    (failed,) = await runs(shops, "failed")
    await reports(shops, order)
    (deal,) = records(shops, "deals")

    assert (known, forgotten) == (1, 0)
    assert failed["problem"]["code"] == "scopes-missing"
    assert float(deal.properties["amount"]) == 70


async def test_an_order_that_was_deleted_without_a_word_is_found_by_comparison(
    shops, till, database
):
    orders = [till.place([LINE]) for _ in range(12)]
    await polls(shops, database)
    till.delete(orders[3])
    health = "/api/apps/hbdev/recipes/orders/health"
    before = (await shops.broker.asks("GET", health)).json()["consistency"]
    await polls(shops, database)
    soon = await runs(shops)
    compared = []
    for _ in range(3):
        await database.execute(
            "UPDATE recipe_poll SET cursor = jsonb_set(cursor::jsonb, '{checked,at}',"
            " '\"2026-01-01T00:00:00+00:00\"')"
        )
        await polls(shops, database)
        found = (await shops.broker.asks("GET", health)).json()["consistency"]
        compared.append((found["compared"], found["equal"]))
    stages = {
        each.properties["shop_order_key"]: each.properties["dealstage"]
        for each in records(shops, "deals")
    }

    assert (before, len(soon)) == (None, 12)
    assert compared == [(10, 9), (2, 2), (10, 10)]
    assert stages.pop(f"{ACME}:{orders[3].id}") == "closedlost"
    assert set(stages.values()) == {"closedwon"}
    assert len(await runs(shops)) == 13


async def test_one_shop_of_two_hubspot_accounts_is_a_deal_in_each(shops, till, database):
    await shops.broker.connects("u2", 102)
    await shops.connects("u2")
    user = {"userForeignIdentifier": "u2"}
    assert (await shops.broker.asks("POST", f"{START}/setup", json=user)).status == 200
    order = till.place([LINE], email="a@x.example")
    await reports(shops, order)
    await polls(shops, database)
    there = shops.broker.hubspot.portals[102]
    deals = [*records(shops, "deals"), *there.of(there.type("deals")).by_id.values()]

    assert [deal.properties["shop_order_key"] for deal in deals] == [f"{ACME}:{order.id}"] * 2
    assert {each["subject"].partition("-")[0] for each in await runs(shops)} == {"101", "102"}
    assert [each["result"]["created"] for each in await runs(shops)] == [True, True]


async def test_no_order_is_tried_before_the_setup_and_none_is_missed_after_it(shops, database):
    from broker.sandbox.shopify.store.merchant import Merchant  # noqa: PLC0415  # needs graphql

    broker = shops.broker
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    await broker.asks("PUT", SETTINGS, json={"shopApp": "shop"})
    await shops.connects()
    Merchant(shops.world, shops.world.shops[ACME]).place([LINE])
    await polls(shops, database)
    before = await database.fetchrow("SELECT failures, last_error, cursor FROM recipe_poll")
    nothing = await runs(shops)
    assert (await broker.asks("POST", f"{START}/setup", json=USER)).status == 200
    await polls(shops, database)

    assert (tuple(before), nothing) == ((1, "input-refused", None), [])
    assert len(records(shops, "deals")) == 1


async def test_versions_are_kept_for_a_month(shops, till, database):
    order = till.place([LINE])
    await starts(shops, order)
    store = shops.broker.parts.recipes.built["orders"]._written  # noqa: SLF001  # its periodic task
    kept = await store.purge()
    await database.execute("UPDATE shop_order SET written_at = now() - interval '31 days'")

    assert (kept, await store.purge()) == (0, 1)
    assert UUID(shops.broker.workspace)


@pytest.fixture
async def keeper(shop):
    """A WooCommerce shop's keeper, with u1 connected on both sides and the recipe set up."""
    broker = shop.broker
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    await broker.asks("PUT", SETTINGS, json={"shopApp": "shop"})
    assert (await shop.connects()).status in {200, 302, 303}
    assert (await broker.asks("POST", f"{START}/setup", json=USER)).status == 200
    return Shopkeeper(shop.site.world)


async def test_a_poll_of_woocommerce_goes_page_by_page_from_the_newest_change(
    shop, keeper, database
):
    await polls(shop)
    shop.broker.hubspot.limits.ten_secondly = 100_000
    line = {"name": "Lamp", "price": "40.00", "quantity": 2}
    placed = [keeper.place(lines=[line], status="processing") for _ in range(53)]
    await polls(shop, database)
    keeper.refund(placed[7], "30.00")
    await polls(shop, database)
    deals = {each.properties["shop_order_key"]: each for each in records(shop, "deals")}
    changed = next(each for key, each in deals.items() if key.endswith(f":{placed[7].id}"))

    assert len(deals) == 53
    assert float(changed.properties["amount"]) == 50
    assert len(await runs(shop)) == 54

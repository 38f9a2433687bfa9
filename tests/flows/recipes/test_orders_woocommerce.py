"""The same recipe with a WooCommerce shop."""

from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper
from tests.flows.recipes.test_orders import LINE, SCOPES, SETTINGS, START, USER, records, starts


async def test_an_order_of_woocommerce_becomes_a_deal_and_follows_its_status(shop):
    broker = shop.broker
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    await broker.asks("PUT", SETTINGS, json={"shopApp": "shop"})
    assert (await shop.connects()).status in {200, 302, 303}
    assert (await broker.asks("POST", f"{START}/setup", json=USER)).status == 200
    keeper = Shopkeeper(shop.site.world)
    line = {"name": LINE["title"], "price": LINE["price"], "quantity": 2}
    guest = {"email": "Ada@X.example", "first_name": "Ada"}
    order = keeper.place(lines=[line], status="processing", billing=guest)

    first = await starts(shop, order)
    keeper.refund(order, "30.00")
    partly = await starts(shop, order)
    keeper.delete(order)
    gone = await starts(shop, order)

    assert (first.status, first.json()["stage"]) == (201, "closedwon"), first.body
    assert [float(each.json()["amount"]) for each in (first, partly, gone)] == [80, 50, 0]
    assert gone.json()["stage"] == "closedlost"
    (deal,), (contact,) = records(shop, "deals"), records(shop, "contacts")
    assert deal.properties["shop_order_key"].endswith(f":{order.id}")
    assert contact.properties["email"] == "ada@x.example"
    since = {**USER, "since": "2020-01-01T00:00:00Z"}
    keeper.place(lines=[line], status="on-hold", billing=guest)
    all_orders = await broker.asks("POST", START, json=since)
    assert all_orders.json()["written"] == 1, all_orders.body
    assert len(records(shop, "deals")) == 2

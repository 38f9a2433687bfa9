"""Webhook subscriptions in each connected shop: made, and made again where the shop dropped them."""

import asyncio
from datetime import timedelta

import pytest

from broker.sandbox.core.faults import Fault
from tests.flows.providers.shops import ACME, OTHER

TOPICS = "refunds/create, orders/updated,orders/updated"
SECRET = "canary-of-the-webhooks"


async def look(broker, database):
    """Look now at every account that is looked at from time to time."""
    await database.execute("UPDATE subscription_check SET due_at = now() WHERE due_at > now()")
    while await broker.parts.subscriptions.look_due(10):
        pass


def topics(world):
    return sorted((each.shop.domain, each.topic) for each in world.webhooks.subscriptions)


async def changes(broker, **settings):
    answer = await broker.asks("PATCH", "/api/apps/shop", json=settings)
    assert answer.status == 200, answer.body
    return answer.json()


async def test_topics_are_refused_unless_the_vendor_could_have_them(shops):
    patch = [
        await shops.broker.asks("PATCH", "/api/apps/shop", json={"webhookTopics": each})
        for each in ("orders", "orders/updated,*", "../x", "orders/updated;x", "ORDERS/CREATE")
    ]
    other = await shops.broker.registers("hbdev", webhookTopics="contact.creation")

    assert {answer.status for answer in patch} == {400}
    assert {answer.json()["errors"][0]["field"] for answer in patch} == {"webhookTopics"}
    assert other.json()["errors"][0]["field"] == "webhookTopics"


async def test_what_shopify_dropped_is_subscribed_again_once_for_each_shop(shops, database):
    broker, world = shops.broker, shops.world
    await shops.connects("u1")
    await look(broker, database)
    assert topics(world) == []  # none are wanted

    shown = await changes(broker, webhookTopics=TOPICS)
    await shops.connects("u2")
    await shops.connects("u3", OTHER)
    await asyncio.gather(*(broker.parts.subscriptions.look_due(10) for _ in range(3)))
    made = topics(world)
    world.webhooks.delete(world.webhooks.subscriptions[0])
    dropped = len(world.webhooks.subscriptions)
    await look(broker, database)

    assert shown["webhookTopics"] == "orders/updated,refunds/create"
    assert made == [
        (shop, topic) for shop in (ACME, OTHER) for topic in ("ORDERS_UPDATED", "REFUNDS_CREATE")
    ]
    assert {each.uri for each in world.webhooks.subscriptions} == {shops.app["webhookUrl"]}
    assert (dropped, topics(world)) == (3, made)


async def test_nothing_is_looked_at_that_nobody_wants_or_is_connected_to(shops, database):
    broker = shops.broker
    await changes(broker, webhookTopics=TOPICS)
    await shops.connects("u1")
    await look(broker, database)
    left = await broker.asks("DELETE", "/api/apps/shop/connections/u1")
    await look(broker, database)
    after_disconnect = await database.fetchval("SELECT count(*) FROM subscription_check")
    await shops.connects("u1")
    await changes(broker, webhookTopics=None)

    assert left.status == 200
    assert after_disconnect == 0
    assert await database.fetchval("SELECT count(*) FROM subscription_check") == 0
    assert (await broker.asks("GET", "/api/apps/shop")).json()["webhookTopics"] is None


async def test_a_refused_subscription_is_logged_and_tried_again_later(shops, database, caplog):
    await changes(shops.broker, webhookTopics="customers/merge,products/create")
    await shops.connects("u1")

    await look(shops.broker, database)

    row = await database.fetchrow("SELECT failures, due_at - now() AS rest FROM subscription_check")
    assert row["failures"] == 1
    assert row["rest"] > timedelta(seconds=20)
    logged = [each for each in caplog.records if each.msg == "subscriptions_not_kept"]
    assert [each.reason for each in logged] == ["subscriptions-refused"]


@pytest.mark.parametrize(
    "answer", ['{"data": {"webhookSubscriptions": null}}', '{"data": [1]}', '{"data": {"x": 1}}']
)
async def test_an_account_with_an_odd_answer_holds_up_no_other_and_is_tried_again_later(
    shops, database, answer
):
    await changes(shops.broker, webhookTopics="orders/updated")
    await shops.connects("u1")
    await shops.connects("u3", OTHER)
    shops.world.faults.add(Fault("*/graphql.json", "status", status=200, body=answer, times=1))

    assert await shops.broker.parts.subscriptions.look_due(10) == 2

    rows = await database.fetch(
        "SELECT failures FROM subscription_check ORDER BY failures",
    )
    assert [each["failures"] for each in rows] == [0, 1]
    assert len(topics(shops.world)) == 1
    rest = await database.fetchval(
        "SELECT due_at - now() FROM subscription_check WHERE failures = 1"
    )
    assert rest > timedelta(seconds=20)


@pytest.fixture
async def site(shop):
    """A WooCommerce shop whose app keeps two webhooks in it."""
    await changes(shop.broker, webhookTopics="order.updated,order.created", webhookSecret=SECRET)
    await shop.connects()
    return shop


async def test_a_webhook_that_woocommerce_disabled_is_active_again(site, database):
    """Field cases of WooCommerce: after more than five failures it is off, and nobody is notified."""
    webhooks = site.site.world.webhooks.by_id
    await look(site.broker, database)
    created, updated = sorted(webhooks.values(), key=lambda each: each.topic)
    created.status = "disabled"
    updated.status = "paused"
    await look(site.broker, database)
    after = created.status, updated.status
    del webhooks[created.id]
    await look(site.broker, database)

    assert (created.topic, updated.topic) == ("order.created", "order.updated")
    assert after == ("active", "paused")  # a person paused the other
    assert sorted(each.topic for each in webhooks.values()) == ["order.created", "order.updated"]
    assert {each.secret for each in webhooks.values()} == {SECRET}
    assert {each.delivery_url for each in webhooks.values()} == {site.app["webhookUrl"]}


async def test_a_new_secret_reaches_the_webhooks_that_sign_with_it(site, database):
    await look(site.broker, database)

    await changes(site.broker, webhookSecret="canary-of-tomorrow")
    await look(site.broker, database)

    webhooks = site.site.world.webhooks.by_id.values()
    assert {each.secret for each in webhooks} == {"canary-of-tomorrow"}
    assert len(webhooks) == 2

"""The sandbox Shopify's webhooks: subscriptions, signatures, retries, the end of a subscription."""

import asyncio
import base64
import hashlib
import hmac
import json

import pytest
from aiohttp import web

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.shopify.store.kinds import place
from broker.sandbox.shopify.webhooks import WAITS_S
from tests.sandbox.shopify import queries
from tests.sandbox.shopify.client import SECRET, running
from tests.until import until

HOURS_48 = 48 * 3600


@pytest.fixture
async def shopify():
    async with running() as made:
        yield made.granted()


async def subscribes(shopify, topic, uri):
    variables = {"topic": topic, "to": {"uri": uri}}
    return (await shopify.query(queries.SUBSCRIBE, variables))["data"]["webhookSubscriptionCreate"]


def signature(body, secret=SECRET):
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def test_the_signature_is_base64_of_the_bytes():
    body = '{"id":1,"note":"café"}'.encode()

    assert signature(body, "hush") == "foEjqc88nIdg5LAnXXzRsDrJnpNZJKbyPLSa9+F3LXU="


@pytest.mark.parametrize(
    ("topic", "uri", "field", "message"),
    [
        ("ORDERS_CREATE", "", ["webhookSubscription", "uri"], "Address is invalid"),
        ("ORDERS_CREATE", "http://x.example/", ["webhookSubscription", "uri"], "http:// is not supported"),
        ("CUSTOMERS_CREATE", "https://x.example/", ["topic"], "with the specified topic"),
    ],
)  # fmt: skip
async def test_a_subscription_that_cannot_be_is_refused(shopify, topic, uri, field, message):
    shopify.granted(["read_orders"])

    refused = await subscribes(shopify, topic, uri)

    assert refused["webhookSubscription"] is None
    assert refused["userErrors"][0]["field"] == field
    assert message in refused["userErrors"][0]["message"]


async def test_one_address_is_subscribed_to_a_topic_once(shopify):
    first = await subscribes(shopify, "ORDERS_CREATE", "https://x.example/")
    again = await subscribes(shopify, "ORDERS_CREATE", "https://x.example/")

    assert first["webhookSubscription"]["apiVersion"] == {"handle": "2026-10"}
    assert again["userErrors"] == [
        {
            "field": ["webhookSubscription", "uri"],
            "message": "Address for this topic has already been taken",
        }
    ]


async def test_subscriptions_are_listed_moved_and_ended(shopify):
    made = (await subscribes(shopify, "ORDERS_CREATE", "https://x.example/"))["webhookSubscription"]
    await subscribes(shopify, "ORDERS_UPDATED", "https://x.example/")
    to = {"uri": "https://y.example/", "includeFields": ["id"]}
    moved = await shopify.query(queries.MOVE, {"id": made["id"], "to": to})
    one = await shopify.query(queries.SUBSCRIPTION, {"id": made["id"]})
    listed = await shopify.query(queries.SUBSCRIPTIONS, {"topics": ["ORDERS_CREATE"]})
    ended = await shopify.query(queries.UNSUBSCRIBE, {"id": made["id"]})
    gone = await shopify.query(queries.UNSUBSCRIBE, {"id": made["id"]})

    assert moved["data"]["webhookSubscriptionUpdate"]["userErrors"] == []
    assert one["data"]["webhookSubscription"]["uri"] == "https://y.example/"
    assert [each["uri"] for each in listed["data"]["webhookSubscriptions"]["nodes"]] == [
        "https://y.example/"
    ]
    assert ended["data"]["webhookSubscriptionDelete"]["deletedWebhookSubscriptionId"] == made["id"]
    assert gone["data"]["webhookSubscriptionDelete"]["userErrors"][0]["field"] == ["id"]


async def test_an_order_webhook_is_signed_over_its_bytes_and_has_the_rest_shape(shopify, receiver):
    await subscribes(shopify, "ORDERS_CREATE", f"{receiver.url}/hook")
    order = place(shopify.merchant)
    await until(lambda: receiver.requests)

    _, _, headers, body = receiver.requests[0]
    payload = json.loads(body)
    assert headers["X-Shopify-Hmac-Sha256"] == signature(body)
    assert headers["X-Shopify-Topic"] == "orders/create"
    assert headers["X-Shopify-Shop-Domain"] == "acme.myshopify.com"
    assert headers["X-Shopify-API-Version"] == "2026-10"
    assert headers["X-Shopify-Webhook-Id"] != headers["X-Shopify-Event-Id"]
    assert (payload["id"], payload["order_number"], payload["total_price"]) == (
        order.id,
        1001,
        "64.00",
    )
    assert payload["created_at"] == "2026-11-29T19:00:00-05:00"
    assert payload["customer"]["default_address"]["country_code"] == "US"
    assert payload["total_price_set"]["shop_money"] == {"amount": "64.00", "currency_code": "USD"}


async def test_every_change_of_an_order_has_its_topic(shopify, receiver):
    topics = ("ORDERS_PAID", "ORDERS_CANCELLED", "ORDERS_EDITED", "ORDERS_FULFILLED", "ORDERS_DELETE", "REFUNDS_CREATE", "CUSTOMERS_MERGE")  # fmt: skip
    for topic in topics:
        await subscribes(shopify, topic, f"{receiver.url}/{topic}")
    people, order = shopify.merchant, place(shopify.merchant, "pending")
    people.pay(order)
    people.fulfill(order)
    people.edit(order, [{"title": "Box", "price": "1"}], [])
    people.cancel(order)
    people.delete(order)
    one, two = people.add_customer(), people.add_customer()
    people.merge(one, two)
    await until(lambda: len(receiver.requests) >= len(topics))

    payload = {headers["X-Shopify-Topic"]: json.loads(b) for _, _, headers, b in receiver.requests}
    assert set(payload) == {
        "orders/paid", "orders/cancelled", "orders/edited", "orders/fulfilled", "orders/delete",
        "refunds/create", "customers/merge",
    }  # fmt: skip
    assert payload["orders/delete"] == {"id": order.id}
    assert payload["refunds/create"]["order_id"] == order.id
    assert payload["customers/merge"]["admin_graphql_api_customer_kept_id"].endswith(str(one.id))


async def test_a_retry_is_the_same_snapshot_under_the_same_id(shopify, receiver):
    receiver.answers = [lambda: web.Response(status=500), lambda: web.Response(status=302)]
    await subscribes(shopify, "ORDERS_CREATE", receiver.url)
    order = place(shopify.merchant)
    await until(lambda: len(shopify.world.webhooks.attempts) == 1)
    shopify.merchant.touch(order, note="changed")
    for tries, wait in ((2, WAITS_S[0]), (3, WAITS_S[1])):
        shopify.clock.at += wait
        await until(lambda tries=tries: len(shopify.world.webhooks.attempts) == tries)

    bodies = {body for _, _, _, body in receiver.requests}
    ids = {headers["X-Shopify-Webhook-Id"] for _, _, headers, _ in receiver.requests}
    assert (len(receiver.requests), len(bodies), len(ids)) == (3, 1, 1)
    assert shopify.world.webhooks.queue == []


async def test_after_eight_retries_in_four_hours_the_subscription_is_gone(shopify, receiver):
    receiver.answers = [lambda: web.Response(status=401)] * 100
    await subscribes(shopify, "ORDERS_CREATE", receiver.url)
    shopify.app.subscriptions["ORDERS_CREATE"] = f"{receiver.url}/configured"
    shopify.world.add_app(shopify.app)
    place(shopify.merchant)
    webhooks = shopify.world.webhooks
    for done, wait in enumerate((*WAITS_S, 0), 1):
        await until(lambda done=done: len(webhooks.attempts) == 2 * done)
        shopify.clock.at += wait
    await until(lambda: not any(each.from_api for each in webhooks.subscriptions))

    assert sum(WAITS_S) == 4 * 3600
    assert len(webhooks.attempts) == 18
    assert [each.from_api for each in webhooks.subscriptions] == [False]


async def test_a_receiver_that_does_not_answer_in_time_has_failed(shopify, receiver):
    shopify.world.webhooks.ways.timeout = 0.05
    hang = asyncio.Event()

    async def hangs(request):
        await hang.wait()
        return web.Response()

    receiver.take = hangs
    server = web.Application()
    server.router.add_route("*", "/{rest:.*}", hangs)
    runner = web.AppRunner(server)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await subscribes(shopify, "ORDERS_CREATE", f"http://localhost:{runner.addresses[0][1]}/")
        place(shopify.merchant)
        await until(lambda: shopify.world.webhooks.attempts)
    finally:
        hang.set()
        await runner.cleanup()

    assert shopify.world.webhooks.attempts[0].status is None


@pytest.mark.parametrize("signing", ["wrong-secret", "changed-byte", "missing", "old-secret"])
async def test_signatures_can_be_made_wrong(shopify, receiver, signing):
    await subscribes(shopify, "ORDERS_CREATE", receiver.url)
    await shopify.control("POST", "apps/client/rotate", {"clientSecret": "new"})
    await shopify.control("POST", "levers", {"webhooks": {"signing": signing}})
    place(shopify.merchant)
    await until(lambda: receiver.requests)

    _, _, headers, body = receiver.requests[0]
    sent = headers.get("X-Shopify-Hmac-Sha256")
    assert sent != signature(body, "new")
    assert (sent == signature(body, SECRET)) == (signing == "old-secret")


async def test_deliveries_can_come_twice_in_any_order_and_be_replayed(shopify, receiver):
    await subscribes(shopify, "ORDERS_CREATE", receiver.url)
    await shopify.control("POST", "levers", {"webhooks": {"duplicates": 1, "order": "shuffle"}})
    place(shopify.merchant)
    await until(lambda: len(receiver.requests) == 2)
    webhook_id = receiver.requests[0][2]["X-Shopify-Webhook-Id"]
    await shopify.control("POST", f"deliveries/{webhook_id}/replay")
    await until(lambda: len(receiver.requests) == 3)

    assert {each[2]["X-Shopify-Webhook-Id"] for each in receiver.requests} == {webhook_id}
    assert len({each[3] for each in receiver.requests}) == 1


async def test_names_and_addresses_are_withheld_from_webhooks_too(shopify, receiver):
    shopify.app.protected_data = 1
    await subscribes(shopify, "ORDERS_CREATE", receiver.url)
    place(shopify.merchant)
    await until(lambda: receiver.requests)

    payload = json.loads(receiver.requests[0][3])
    assert [payload["email"], payload["billing_address"], payload["customer"]["email"]] == [
        None
    ] * 3


async def test_uninstalling_sends_a_webhook_and_a_redaction_two_days_later(shopify, receiver):
    shopify.app.subscriptions["SHOP_REDACT"] = f"{receiver.url}/privacy"
    shopify.world.add_app(shopify.app)
    await subscribes(shopify, "APP_UNINSTALLED", receiver.url)
    await shopify.query(queries.UNINSTALL)
    await until(lambda: len(receiver.requests) == 1)
    shopify.clock.at += HOURS_48
    await until(lambda: len(receiver.requests) == 2)

    topics = [headers["X-Shopify-Topic"] for _, _, headers, _ in receiver.requests]
    assert topics == ["app/uninstalled", "shop/redact"]
    assert shopify.world.webhooks.subscriptions == []
    assert (await shopify.post_query(queries.SHOP))[0] == 401


async def test_a_change_of_scopes_is_sent_to_the_app(shopify, receiver):
    await subscribes(shopify, "APP_SCOPES_UPDATE", receiver.url)
    shopify.granted()
    shopify.granted(["read_orders"])
    await until(lambda: receiver.requests)

    payload = json.loads(receiver.requests[0][3])
    assert (payload["previous"], payload["current"]) == (
        ["read_orders", "read_customers"],
        ["read_orders"],
    )
    assert len(receiver.requests) == 1


async def test_a_shop_that_closed_is_not_found(shopify):
    await subscribes(shopify, "ORDERS_CREATE", "https://x.example/")
    await shopify.control("DELETE", "shops/acme")

    status, _, _ = await shopify.post_query(queries.SHOP)

    assert status == 404
    assert shopify.world.webhooks.subscriptions == []


async def test_the_privacy_topics_go_to_the_addresses_of_the_apps_configuration(shopify, receiver):
    for topic in ("CUSTOMERS_DATA_REQUEST", "CUSTOMERS_REDACT", "SHOP_REDACT"):
        shopify.app.subscriptions[topic] = f"{receiver.url}/privacy"
    shopify.world.add_app(shopify.app)
    order = place(shopify.merchant)
    for topic in ("customers/data_request", "customers/redact", "shop/redact"):
        sent = await shopify.control(
            "POST", "shops/acme/privacy", {"topic": topic, "customerId": order.customer_id}
        )
        assert len(sent["webhookIds"]) == 1
    await until(lambda: len(receiver.requests) == 3)

    payload = {headers["X-Shopify-Topic"]: json.loads(b) for _, _, headers, b in receiver.requests}
    assert payload["customers/data_request"]["orders_requested"] == [order.id]
    assert payload["customers/redact"]["orders_to_redact"] == [order.id]
    assert set(payload["shop/redact"]) == {"shop_id", "shop_domain"}


async def test_the_control_api_does_what_people_do(shopify):
    await shopify.control("POST", "shops", {"name": "globex", "currency": "EUR"})
    made = await shopify.control("POST", "shops/globex/orders", {"kind": "multi_currency"})
    line = made["line_items"][0]["id"]
    path = f"shops/globex/orders/{made['id']}"
    refunded = await shopify.control("POST", f"{path}/refund", {"lines": [[line, 1]]})
    edited = await shopify.control(
        "POST", f"{path}/edit", {"add": [{"title": "Box", "price": "2"}]}
    )
    token = await shopify.control("POST", "shops/globex/tokens", {"clientId": "client"})
    dropped = await shopify.control("GET", "subscriptions")
    listed = await shopify.control("GET", "shops/globex/orders")
    counters = await shopify.control("GET", "counters")

    assert refunded["financial_status"] == "partially_refunded"
    assert edited["current_total_price"] == "51.50"
    assert token["accessToken"].startswith("shpat_")
    assert dropped == []
    assert [each["id"] for each in listed] == [made["id"]]
    assert counters["calls"] == {"client acme.myshopify.com": 0, "client globex.myshopify.com": 0}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("levers", {"nope": 1}),
        ("levers", {"webhooks": {"signing": "nope"}}),
        ("faults", {"path": "*", "kind": "nope"}),
        ("shops", {"name": "-bad-"}),
        ("shops/acme/orders", {"kind": "nope"}),
        ("shops/acme/orders/1/refund", {}),
        ("shops/acme/privacy", {"topic": "orders/create"}),
    ],
)
async def test_a_lever_that_is_not_there_is_refused(shopify, path, body):
    status, _ = await shopify.post(f"/_sandbox/{path}", body)

    assert status == 400


async def test_the_page_shows_orders_and_its_buttons_work(shopify):
    place(shopify.merchant)
    async with shopify.session.get(shopify.url) as got:
        page = await got.text()
    press = f"{shopify.url}/press/acme.myshopify.com"
    elsewhere = {"Origin": "https://evil.example"}
    async with shopify.session.post(press, data={"kind": "pos"}, headers=elsewhere) as got:
        refused = got.status
    async with shopify.session.post(press, data={"kind": "pos"}) as got:
        after = await got.text()

    assert "#1001" in page
    assert refused == 403
    assert len(shopify.shop.orders) == 2
    assert "#1002" in after

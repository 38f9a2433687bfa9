"""Shopify's webhooks: signed with the client secret, stored, each once, for each user of a shop."""

import base64
import hashlib
import hmac
import json

import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.shopify.store.kinds import place
from broker.sandbox.shopify.store.merchant import Merchant
from tests.flows.providers.shops import ACME, OTHER, SECRET
from tests.until import until

PRIVACY = ("CUSTOMERS_DATA_REQUEST", "CUSTOMERS_REDACT", "SHOP_REDACT")
HEAD = {
    "X-Shopify-Topic": "orders/create",
    "X-Shopify-Shop-Domain": ACME,
    "X-Shopify-API-Version": "2026-10",
    "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    "X-Shopify-Event-Id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
    "X-Shopify-Triggered-At": "2026-11-28T01:02:03.123456789Z",
}
BODY = b'{"id":1,"total_price":"10.00","app":"theirs","note":"caf\xc3\xa9"}'


def signature(body, secret=SECRET):
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


async def arrives(shops, body=BODY, secret=SECRET, **changes):
    """A webhook with some headers changed; None leaves one out."""
    headers = {**HEAD, "X-Shopify-Hmac-Sha256": signature(body, secret)}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    sent = {name: value for name, value in headers.items() if value is not None}
    path = f"/shopify/shop-{shops.broker.workspace}/webhooks"
    return await shops.broker.asks("POST", path, key="", data=body, headers=sent)


async def reported(shops, receiver):
    """The events that the receiver has got so far."""
    await shops.broker.run_background_work()
    return [each.json() for each in receiver.got]


@pytest.fixture
async def listening(shops, receiver):
    """A product that hears of everything of Shopify's."""
    answer = await shops.broker.sends_to(f"{receiver.url}/in", "shopify.*", slug="shop")
    assert answer.status == 201, answer.body
    return shops


async def test_what_shopify_did_not_sign_leaves_no_trace(shops, database):
    refused = [
        await arrives(shops, secret="hush"),
        await arrives(shops, X_Shopify_Hmac_Sha256=None),
        await arrives(shops, X_Shopify_Hmac_Sha256=signature(BODY + b" ")),
        await arrives(shops, X_Shopify_Hmac_Sha256=signature(BODY).rstrip("=")),
        await arrives(shops, X_Shopify_Topic=None),
        await arrives(shops, X_Shopify_Topic="orders"),
        await arrives(shops, X_Shopify_Topic="../etc/passwd"),
        await arrives(shops, X_Shopify_Shop_Domain="evil.example"),
        await arrives(shops, X_Shopify_Webhook_Id=None),
    ]
    not_an_event = await arrives(shops, b"[]")
    not_json = await arrives(shops, b"{")

    assert {answer.status for answer in refused} == {401}
    assert (not_an_event.status, not_json.status) == (400, 400)
    assert await database.fetchval("SELECT count(*) FROM webhook_inbox") == 0


async def test_an_app_of_another_provider_is_not_reached_by_its_secret(shops, database):
    await shops.broker.registers("hbdev", clientSecret=SECRET)
    headers = {**HEAD, "X-Shopify-Hmac-Sha256": signature(BODY)}

    answer = await shops.broker.asks(
        "POST",
        f"/shopify/hbdev-{shops.broker.workspace}/webhooks",
        key="",
        data=BODY,
        headers=headers,
    )

    assert answer.status == 401
    assert await database.fetchval("SELECT count(*) FROM webhook_inbox") == 0


async def test_an_event_reaches_each_user_of_the_shop_once_however_often_it_comes(
    listening, receiver, database
):
    await listening.connects("u1")
    await listening.connects("u2")
    await listening.connects("u3", OTHER)

    answers = [await arrives(listening) for _ in range(3)]
    stored = await database.fetchval("SELECT count(*) FROM webhook_inbox")
    events = await reported(listening, receiver)
    again = await arrives(listening)
    other = await arrives(listening, X_Shopify_Webhook_Id="another")
    later = (await reported(listening, receiver))[len(events) :]

    assert {answer.status for answer in [*answers, again, other]} == {200}
    assert {answer.body for answer in answers} == {b""}
    assert stored == 3
    assert sorted(each["data"]["userForeignIdentifier"] for each in events) == ["u1", "u2"]
    assert {each["type"] for each in events} == {"shopify.orders/create"}
    assert {each["timestamp"] for each in events} == {"2026-11-28T01:02:03.123Z"}
    assert events[0]["data"]["accountId"] == ACME
    assert events[0]["data"]["eventId"] == HEAD["X-Shopify-Webhook-Id"]
    assert events[0]["data"]["app"] == "shop"
    assert events[0]["data"]["payload"] == json.loads(BODY)
    assert len(later) == 2


async def test_endpoints_choose_topics_by_their_names(shops, receiver):
    await shops.connects()
    await shops.broker.sends_to(f"{receiver.url}/in", "shopify.orders/create", slug="shop")

    await arrives(shops)
    await arrives(shops, X_Shopify_Topic="refunds/create", X_Shopify_Webhook_Id="another")

    assert [each["type"] for each in await reported(shops, receiver)] == ["shopify.orders/create"]


async def test_the_sandbox_sends_what_the_broker_takes(listening, receiver):
    """The signature and headers of somebody else's making: Shopify's, as its SDK checks them."""
    world, app = listening.world, listening.world.apps["shopify-client"]
    app.subscriptions = dict.fromkeys(
        ("ORDERS_CREATE", "APP_UNINSTALLED", *PRIVACY), listening.app["webhookUrl"]
    )
    await listening.connects()
    world.webhooks.ways.duplicates = 2
    order = place(Merchant(world, world.shops[ACME]))
    await until(lambda: len(world.webhooks.attempts) == 3)
    events = await reported(listening, receiver)

    assert {each.status for each in world.webhooks.attempts} == {200}
    assert [each["data"]["payload"]["id"] for each in events] == [order.id]


async def test_a_rotated_secret_signs_for_a_while_after_the_change(shops):
    await shops.broker.asks("PATCH", "/api/apps/shop", json={"clientSecret": "canary-newer"})

    old, new = await arrives(shops), await arrives(shops, secret="canary-newer")
    wrong = await arrives(shops, secret="canary-wrong")

    assert (old.status, new.status, wrong.status) == (200, 200, 401)


async def test_privacy_topics_are_answered_and_relayed_though_the_shop_is_gone(listening, receiver):
    app = listening.world.apps["shopify-client"]
    app.subscriptions = dict.fromkeys(PRIVACY, listening.app["webhookUrl"])
    await listening.connects()
    await listening.broker.asks("DELETE", "/api/apps/shop/connections/u1")
    listening.world.jump(2 * 86_400 + 10)  # the redaction comes two days after the uninstall

    await until(lambda: listening.world.webhooks.attempts)
    (event,) = await reported(listening, receiver)

    assert [each.status for each in listening.world.webhooks.attempts] == [200]
    assert event["type"] == "shopify.shop/redact"
    assert event["data"]["accountId"] == ACME
    assert event["data"]["userForeignIdentifier"] is None
    assert event["data"]["payload"]["shop_domain"] == ACME


async def test_an_uninstall_ends_the_grants_of_its_shop_that_are_older(
    listening, receiver, database
):
    await listening.connects("u1")
    await listening.connects("u2", OTHER)
    body = json.dumps({"id": 1, "myshopify_domain": ACME}).encode()
    topic = {"X_Shopify_Topic": "app/uninstalled"}
    old = "2020-01-01T00:00:00Z"

    await arrives(listening, body, X_Shopify_Webhook_Id="1", X_Shopify_Triggered_At=old, **topic)
    await reported(listening, receiver)
    before = (await listening.shows("u1"))["status"]
    forged = {"X_Shopify_Shop_Domain": OTHER, "X_Shopify_Triggered_At": None}
    await arrives(listening, body, X_Shopify_Webhook_Id="2", **forged, **topic)
    await reported(listening, receiver)
    other = (await listening.shows("u2"))["status"]
    await arrives(listening, body, X_Shopify_Webhook_Id="3", X_Shopify_Triggered_At=None, **topic)
    events = await reported(listening, receiver)

    assert (before, other) == ("ACTIVE", "ACTIVE")
    assert (await listening.shows("u1"))["status"] == "REAUTH_REQUIRED"
    assert (await listening.shows("u1"))["lastError"] == "uninstalled"
    assert (await listening.shows("u2"))["status"] == "ACTIVE"
    assert [each["type"] for each in events].count("shopify.app/uninstalled") == 2
    assert await database.fetchval(
        "SELECT count(*) FROM webhook_inbox WHERE quarantined_at IS NOT NULL"
    )
    assert (await listening.connects("u1")).status == 200


async def test_a_webhook_secret_is_for_providers_that_have_one(shops):
    created = await shops.registers(slug="other", webhookSecret="canary-webhook")
    changed = await shops.broker.asks(
        "PATCH", "/api/apps/shop", json={"webhookSecret": "canary-webhook"}
    )

    assert (created.status, changed.status) == (400, 400)
    assert [each["field"] for each in changed.json()["errors"]] == ["webhookSecret"]

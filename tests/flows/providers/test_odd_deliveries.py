"""Signed deliveries with odd values in any field, from every provider that calls."""

import base64
import copy
import hashlib
import hmac
import json
import random
from uuid import uuid4

import pytest

from broker.providers.catalog import PROVIDERS

SECRET = "canary-webhook-secret"
ACCOUNTS = {
    "hubspot": "101",
    "quickbooks": "9341453172058071",
    "shopify": "acme.myshopify.com",
    "woocommerce": "shop.example",
    "xero": "fe79f7dd-b6d4-4a92-ba7b-538af6289c58",
}
DELIVERIES = {
    "hubspot": [
        {
            "eventId": 1,
            "portalId": 101,
            "occurredAt": 1564113600000,
            "subscriptionType": "contact.creation",
            "attemptNumber": 0,
            "objectId": 123,
        }
    ],
    "quickbooks": [
        {
            "specversion": "1.0",
            "id": "1",
            "type": "qbo.invoice.created.v1",
            "time": "2026-11-28T01:02:03Z",
            "intuitentityid": "12",
            "intuitaccountid": ACCOUNTS["quickbooks"],
            "data": {"a": 1},
        }
    ],
    "shopify": {"id": 1, "myshopify_domain": ACCOUNTS["shopify"], "note": "x", "refunds": []},
    "woocommerce": {"id": 1, "date_modified_gmt": "2026-11-28T01:02:03", "billing": {"email": ""}},
    "xero": {
        "events": [
            {
                "tenantId": ACCOUNTS["xero"],
                "resourceId": "r1",
                "eventCategory": "INVOICE",
                "eventType": "UPDATE",
                "eventDateUtc": "2026-11-28T01:02:03.456",
            }
        ]
    },
}
OLDER = {
    "eventNotifications": [
        {
            "realmId": ACCOUNTS["quickbooks"],
            "dataChangeEvent": {
                "entities": [
                    {
                        "name": "Invoice",
                        "id": "12",
                        "operation": "Update",
                        "lastUpdated": "2026-11-28T01:02:03.000Z",
                    }
                ]
            },
        }
    ]
}
DEEP = json.loads("[" * 300 + "]" * 300)
ODD = [
    None, "", " ", 0, -1, 2**70, 1.5, True, [], {}, [[]], [None], {"": None}, DEEP, "\x00", "a\x00b",
    "\ud800", "a\udfffb", "\u202e", "x" * 5000, "a\nb", "a b", "*", "../..", "qbo.*",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2026-11-28", "24:00", "1e400",
]  # fmt: skip


def places(value, path=()):
    """The paths of all fields and items."""
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    else:
        return
    for key, each in items:
        yield (*path, key)
        yield from places(each, (*path, key))


def changed(value, path, odd):
    value = copy.deepcopy(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = odd
    return value


def head(provider, body, number, **odd):
    """The headers of a delivery as its vendor signs it."""
    signed = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    made = {
        "quickbooks": {"intuit-signature": signed},
        "xero": {"x-xero-signature": signed},
        "shopify": {
            "X-Shopify-Hmac-Sha256": signed,
            "X-Shopify-Topic": "orders/create",
            "X-Shopify-Shop-Domain": ACCOUNTS["shopify"],
            "X-Shopify-Webhook-Id": f"w{number}",
            "X-Shopify-Triggered-At": "2026-11-28T01:02:03Z",
        },
        "woocommerce": {
            "X-WC-Webhook-Signature": signed,
            "X-WC-Webhook-Source": f"https://{ACCOUNTS['woocommerce']}/",
            "X-WC-Webhook-Topic": "order.updated",
            "X-WC-Webhook-Delivery-ID": str(number),
        },
    }[provider]
    return made | odd


@pytest.fixture
async def apps(start_broker, receiver, database):
    """A broker with an app of each provider and a user of the account that deliveries name."""
    broker = await start_broker(allow_private_endpoints=True)
    await broker.makes_workspace()
    for spec in PROVIDERS:
        if spec.webhooks is None:
            continue
        body = {"slug": spec.name, "provider": spec.name, "scopes": sorted(spec.scopes or ())}
        body |= {"clientId": f"{spec.name}-id", "clientSecret": SECRET} if spec.needs_client else {}
        body |= {"appId": "1234567"} if spec.needs_app_id else {}
        body |= {"webhookSecret": SECRET} if spec.webhooks.own_secret else {}
        body["scopes"] = body["scopes"] or sorted(spec.required_scopes) or ["read"]
        answer = await broker.asks("POST", "/api/apps", json=body)
        assert answer.status == 201, answer.body
        await database.execute(
            "INSERT INTO connection (workspace_id, id, app_id, user_ref, status, account_id, scopes)"
            " SELECT workspace_id, $2, id, 'u1', 'REAUTH_REQUIRED', $3, '{}' FROM app"
            " WHERE slug = $1",
            spec.name,
            uuid4(),
            ACCOUNTS[spec.name],
        )
        sent = await broker.sends_to(f"{receiver.url}/in", f"{spec.name}.*", slug=spec.name)
        assert sent.status == 201, sent.body
    return broker


async def arrives(broker, provider, delivery, number, **odd):
    body = delivery if isinstance(delivery, bytes) else json.dumps(delivery).encode()
    if provider == "hubspot":
        return await broker.receives_webhook(body, secret=SECRET, slug="hubspot")
    path = f"/{provider}/{provider}-{broker.workspace}/webhooks"
    return await broker.asks(
        "POST", path, key="", data=body, headers=head(provider, body, number, **odd)
    )


@pytest.mark.parametrize("provider", sorted(DELIVERIES))
async def test_no_odd_value_in_a_delivery_parks_what_came_with_it(
    apps, receiver, database, provider
):
    whole = DELIVERIES[provider]
    shapes = [whole, OLDER] if provider == "quickbooks" else [whole]
    sent = [changed(each, path, odd) for each in shapes for path in places(each) for odd in ODD]
    sent += ODD
    seeded = random.Random(7)
    seeded.shuffle(sent)

    statuses = set()
    for number, delivery in enumerate(sent[:150]):
        if provider == "quickbooks" and isinstance(delivery, list):
            delivery.append(whole[0] | {"id": f"good-{number}"})
        statuses.add((await arrives(apps, provider, delivery, number)).status)
    for number, odd in enumerate(["..", "a" * 7000, "é", "0001-01-01T00:00:00+14:00"]):
        if provider in {"shopify", "woocommerce"}:
            for name in head(provider, b"", 0):
                answer = await arrives(apps, provider, whole, f"h{number}", **{name: odd})
                statuses.add(answer.status)
    await apps.run_background_work()

    failed = await database.fetch("SELECT body FROM webhook_inbox WHERE failures > 0")
    assert [row["body"][:500] for row in failed] == []
    assert statuses <= {200, 400, 401, 431}
    assert (
        await database.fetchval(
            "SELECT count(*) FROM webhook_inbox WHERE due_at <= now() AND quarantined_at IS NULL"
        )
        == 0
    )
    assert receiver.got

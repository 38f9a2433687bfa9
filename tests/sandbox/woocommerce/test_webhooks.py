"""The sandbox WooCommerce's hand-over of keys and its webhooks."""

import base64
import hashlib
import hmac
import html
import json
import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web

from tests.sandbox.woocommerce.client import running
from tests.until import until

SECRET = "hush & hush"


@pytest.fixture
async def woo():
    async with running() as made:
        yield made


def authorize(woo, callback, **changes):
    query = {
        "app_name": "Broker",
        "scope": "read_write",
        "user_id": "state-1",
        "return_url": "https://product.example/done?tab=1",
        "callback_url": callback,
        **changes,
    }
    parameters = {name: value for name, value in query.items() if value is not None}
    return f"{woo.url}/wc-auth/v1/authorize?{urlencode(parameters)}"


async def opens(woo, url):
    async with woo.session.get(url, allow_redirects=False) as got:
        return got.status, await got.text(), got.headers.get("Location")


async def approves(woo, url):
    _, page, _ = await opens(woo, url)
    links = [html.unescape(each) for each in re.findall(r'class="button" href="([^"]+)"', page)]
    return await opens(woo, f"{woo.url}/wc-auth/v1/{links[0]}"), links[1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"app_name": None}, "Missing parameter app_name"),
        ({"user_id": ""}, "Missing parameter user_id"),
        ({"scope": "all"}, "Invalid scope all"),
        ({"return_url": "https://"}, "The return_url is not a valid URL"),
        ({"callback_url": "http://product.example/keys"}, "needs to be over SSL"),
    ],
)
async def test_a_wrong_request_for_a_key_ends_on_the_sites_own_page(woo, changes, problem):
    status, page, _ = await opens(woo, authorize(woo, "https://product.example/keys", **changes))

    assert status == 401
    assert problem in page


async def test_a_local_callback_over_http_can_be_refused_as_woocommerce_refuses_it(woo, receiver):
    await woo.control("POST", "levers", {"local_http": False})

    status, page, _ = await opens(woo, authorize(woo, receiver.url))

    assert (status, "needs to be over SSL" in page) == (401, True)


async def test_denying_leads_back_without_a_key(woo, receiver):
    _, page, _ = await opens(woo, authorize(woo, receiver.url))
    deny = html.unescape(re.findall(r'class="button" href="([^"]+)"', page)[1])

    assert dict(parse_qsl(urlsplit(deny).query)) == {
        "tab": "1",
        "success": "0",
        "user_id": "state-1",
    }
    assert receiver.requests == []
    assert len(woo.world.keys) == 1


async def test_approving_posts_a_key_that_works_before_the_browser_goes_back(woo, receiver):
    (status, _, location), _ = await approves(woo, authorize(woo, f"{receiver.url}/keys"))

    method, url, headers, body = receiver.requests[0]
    keys = json.loads(body)
    assert (status, method, url) == (302, "POST", f"{receiver.url}/keys")
    assert dict(parse_qsl(urlsplit(location).query))["success"] == "1"
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert set(keys) == {
        "key_id", "user_id", "consumer_key", "consumer_secret", "key_permissions",
    }  # fmt: skip
    assert (keys["user_id"], keys["key_permissions"]) == ("state-1", "read_write")
    woo.key = woo.world.keys[keys["consumer_key"]]
    assert (await woo.request("GET", "orders"))[0] == 200


async def test_a_key_that_the_app_does_not_accept_is_deleted(woo, receiver):
    receiver.answers = [lambda: web.Response(status=201)]
    (refused, page, _), _ = await approves(woo, authorize(woo, receiver.url))
    (dead, _, _), _ = await approves(woo, authorize(woo, "http://localhost:9/"))

    assert (refused, dead) == (401, 401)
    assert "unable to send the consumer data" in page
    assert len(woo.world.keys) == 1


async def test_a_grant_without_the_pages_nonce_is_refused(woo, receiver):
    url = authorize(woo, receiver.url).replace("authorize", "access_granted")

    status, page, _ = await opens(woo, url)

    assert (status, "Invalid nonce" in page) == (401, True)
    assert receiver.requests == []


async def test_consent_can_be_automatic(woo, receiver):
    await woo.control("POST", "levers", {"auto_consent": True})
    _, _, first = await opens(woo, authorize(woo, receiver.url))
    status, _, location = await opens(woo, woo.url + first)

    assert (status, "success=1" in location) == (302, True)


async def create_webhook(woo, receiver, topic="order.updated", **fields):
    payload = {"topic": topic, "delivery_url": receiver.url, "secret": SECRET, **fields}
    status, made, _ = await woo.request("POST", "webhooks", payload)
    assert status == 201, made
    await until(lambda: not woo.world.webhooks.by_id[made["id"]].pending or fields)
    receiver.requests.clear()
    return woo.world.webhooks.by_id[made["id"]]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "rest_missing_callback_param"),
        ({"topic": "order.nope", "delivery_url": "https://x.example"}, "woocommerce_rest_shop_webhook_invalid_topic"),
        ({"topic": "order.created", "delivery_url": "ftp://x"}, "woocommerce_rest_shop_webhook_invalid_delivery_url"),
    ],
)  # fmt: skip
async def test_a_webhook_that_cannot_be_is_refused(woo, fields, code):
    assert await woo.refused("POST", "webhooks", fields) == (400, code)


async def test_making_a_webhook_sends_an_unsigned_ping_and_never_shows_the_secret(woo, receiver):
    payload = {"topic": "Order.Created", "delivery_url": receiver.url, "secret": SECRET}
    status, made, headers = await woo.request("POST", "webhooks", payload)
    await until(lambda: receiver.requests)

    _, _, sent, body = receiver.requests[0]
    assert body == f"webhook_id={made['id']}".encode()
    assert sent["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Hookshot" in sent["User-Agent"]
    assert "X-WC-Webhook-Signature" not in sent
    assert (status, made["status"], made["resource"], made["event"]) == (
        201,
        "active",
        "order",
        "created",
    )
    assert SECRET not in json.dumps(made)
    assert headers["Location"].endswith(f"/webhooks/{made['id']}")
    assert SECRET not in json.dumps(await woo.control("GET", "requests"))


async def test_a_ping_that_fails_leaves_the_webhook_active(woo, receiver):
    receiver.answers = [lambda: web.Response(status=500)]
    payload = {"topic": "order.created", "delivery_url": receiver.url}
    _, made, _ = await woo.request("POST", "webhooks", payload)
    await until(lambda: woo.world.webhooks.sent)

    webhook = woo.world.webhooks.by_id[made["id"]]
    assert (webhook.status, webhook.pending, webhook.failures) == ("active", True, 0)


async def test_an_order_webhook_is_signed_with_the_decoded_secret(woo, receiver):
    webhook = await create_webhook(woo, receiver, secret="hush &amp; hush")
    order = woo.people.place()
    await until(lambda: receiver.requests)

    _, _, headers, body = receiver.requests[0]
    signature = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest())
    assert headers["X-WC-Webhook-Signature"] == signature.decode()
    assert headers["X-WC-Webhook-Topic"] == "order.updated"
    assert headers["X-WC-Webhook-ID"] == str(webhook.id)
    assert headers["X-WC-Webhook-Source"] == f"{woo.world.url}/"
    assert json.loads(body)["id"] == order.id


async def test_changes_before_the_job_runs_are_one_delivery_of_the_present_state(woo, receiver):
    await create_webhook(woo, receiver)
    await woo.control("POST", "levers", {"webhooks": {"cron_delay": 60}})
    order = woo.people.place("pending")
    for status in ("processing", "completed"):
        woo.people.change(order, status=status)
    assert len(woo.world.webhooks.queue) == 1
    woo.clock.at += 60
    await until(lambda: receiver.requests)

    assert [json.loads(body)["status"] for _, _, _, body in receiver.requests] == ["completed"]


async def test_two_deliveries_of_one_second_share_their_id_by_default(woo, receiver):
    await create_webhook(woo, receiver, "order.created")
    for _ in range(2):
        woo.people.place()
    await until(lambda: len(receiver.requests) == 2)
    woo.world.webhooks.ways.same_second_deliveries = False
    for _ in range(2):
        woo.people.place()
    await until(lambda: len(receiver.requests) == 4)

    ids = [headers["X-WC-Webhook-Delivery-ID"] for _, _, headers, _ in receiver.requests]
    assert (len(set(ids[:2])), len(set(ids))) == (1, 3)


async def test_a_deleted_order_is_only_an_id(woo, receiver):
    await create_webhook(woo, receiver, "order.deleted")
    order = woo.people.place()
    woo.people.trash(order)
    await until(lambda: receiver.requests)

    assert json.loads(receiver.requests[0][3]) == {"id": order.id}


async def test_an_order_that_is_gone_when_the_job_runs_is_sent_as_the_refusal(woo, receiver):
    await create_webhook(woo, receiver, "order.updated")
    await woo.control("POST", "levers", {"webhooks": {"cron_delay": 60}})
    woo.people.delete(woo.people.place())
    woo.clock.at += 60
    await until(lambda: receiver.requests)

    assert json.loads(receiver.requests[0][3])["code"] == "woocommerce_rest_shop_order_invalid_id"


async def test_a_failed_delivery_is_never_retried_and_the_seventh_in_a_row_disables(woo, receiver):
    webhook = await create_webhook(woo, receiver)
    receiver.answers = [lambda: web.Response(status=303)] * 7
    order = woo.people.place("pending")
    for done in range(1, 8):
        assert webhook.status == "active"
        woo.people.change(order)
        await until(lambda done=done: len(receiver.requests) == done)
        await until(lambda: not woo.world.webhooks.queue)
        await until(lambda done=done: len(woo.world.webhooks.sent) == done + 1)
    woo.people.change(order)
    woo.clock.at += 86_400
    _, listed, _ = await woo.request("GET", "webhooks?status=disabled")

    assert (webhook.failures, webhook.status) == (6, "disabled")
    assert woo.world.webhooks.queue == []
    assert [each["id"] for each in listed] == [webhook.id]


async def test_a_redirect_to_find_is_a_success_and_one_success_clears_the_count(woo, receiver):
    webhook = await create_webhook(woo, receiver)
    webhook.failures = 5
    receiver.answers = [lambda: web.Response(status=302)]
    woo.people.place()
    await until(lambda: len(woo.world.webhooks.sent) == 2)

    assert webhook.failures == 0


@pytest.mark.parametrize("signing", ["wrong-secret", "changed-byte", "missing"])
async def test_signatures_can_be_made_wrong(woo, receiver, signing):
    await create_webhook(woo, receiver)
    await woo.control("POST", "levers", {"webhooks": {"signing": signing}})
    woo.people.place()
    await until(lambda: receiver.requests)

    _, _, headers, body = receiver.requests[0]
    right = base64.b64encode(hmac.new(SECRET.encode(), body, hashlib.sha256).digest()).decode()
    assert headers.get("X-WC-Webhook-Signature") != right


async def test_wordpress_can_refuse_addresses_of_its_own_network(woo, receiver):
    webhook = await create_webhook(woo, receiver)
    await woo.control("POST", "levers", {"webhooks": {"refuses_local": True}})
    woo.people.place()
    await until(lambda: len(woo.world.webhooks.sent) == 2)

    assert receiver.requests == []
    assert (webhook.failures, woo.world.webhooks.sent[-1].status) == (1, None)


async def test_webhooks_are_changed_paused_and_deleted_by_force(woo, receiver):
    webhook = await create_webhook(woo, receiver)
    route = f"webhooks/{webhook.id}"
    _, paused, _ = await woo.request("PUT", route, {"status": "paused"})
    bad = await woo.refused("PUT", route, {"status": "nope"})
    woo.people.place()
    refused = await woo.refused("DELETE", route)
    gone, _, _ = await woo.request("DELETE", f"{route}?force=true")

    assert paused["status"] == "paused"
    assert bad == (400, "woocommerce_rest_shop_webhook_invalid_status")
    assert woo.world.webhooks.queue == []
    assert refused == (501, "woocommerce_rest_trash_not_supported")
    assert (gone, woo.world.webhooks.by_id) == (200, {})


async def test_a_delivery_can_be_sent_again(woo, receiver):
    webhook = await create_webhook(woo, receiver, "order.created")
    woo.people.place()
    await until(lambda: len(receiver.requests) == 1)
    await woo.control("POST", f"webhooks/{webhook.id}/replay")
    await until(lambda: len(receiver.requests) == 2)

    assert receiver.requests[0][3] == receiver.requests[1][3]


async def test_the_control_api_and_the_page_do_what_people_do(woo):
    key = await woo.control("POST", "keys", {"permissions": "read", "description": "x"})
    await woo.control("DELETE", f"keys/{key['consumer_key']}")
    placed = await woo.control("POST", "orders", {"kind": "multi_currency", "shipping": "5"})
    part = await woo.control("POST", f"orders/{placed['id']}/refund", {"amount": "4.80"})
    done = await woo.control("POST", f"orders/{placed['id']}/complete")
    await woo.control("POST", "customers", {"email": "bob@x.example"})
    listed = await woo.control("GET", "orders")
    counters = await woo.control("GET", "counters")
    async with woo.session.post(f"{woo.url}/press", data={"kind": "guest"}) as got:
        page = await got.text()
    evil = {"Origin": "https://evil.example"}
    async with woo.session.post(f"{woo.url}/press", data={"kind": "guest"}, headers=evil) as got:
        refused = got.status

    assert (placed["total"], placed["currency"]) == ("74.80", "EUR")
    assert part["refunds"][0]["total"] == "-4.80"
    assert done["status"] == "completed"
    assert [each["id"] for each in listed] == [placed["id"]]
    assert counters["requests"] == 0
    assert ("(guest)" in page, refused) == (True, 403)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("levers", {"nope": 1}),
        ("levers", {"webhooks": {"signing": "nope"}}),
        ("faults", {"path": "*", "kind": "nope"}),
        ("orders", {"kind": "nope"}),
        ("orders", {"colour": "red"}),
        ("orders/1/refund", {}),
    ],
)
async def test_a_lever_that_is_not_there_is_refused(woo, path, body):
    async with woo.session.post(f"{woo.url}/_sandbox/{path}", json=body) as got:
        assert got.status == 400


async def test_an_answer_can_be_lost_after_the_work_was_done(woo):
    await woo.control("POST", "faults", {"path": "/wp-json/*", "kind": "lose-answer", "times": 1})
    with pytest.raises(aiohttp.ClientError):
        await woo.request("POST", "orders", {})

    assert len(woo.world.orders) == 1

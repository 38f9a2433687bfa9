"""WooCommerce's own client libraries, unchanged, against the sandbox WooCommerce."""

import asyncio
import time

import pytest

from tests.sandbox.woocommerce.client import running
from tests.sdk import node_programs


@pytest.fixture
async def woo():
    async with running() as made:
        made.clock.at = time.time()  # the libraries look at the clock on the wall
        yield made


@pytest.mark.parametrize("plain_http", [False, True])
async def test_the_python_library_signs_pages_and_is_refused(woo, plain_http):
    judge = pytest.importorskip("woocommerce", reason="WooCommerce is not installed")
    woo.world.levers.plain_http = plain_http
    orders = [woo.people.place("guest") for _ in range(3)]
    key = woo.key

    def api(secret=key.consumer_secret, **rest):
        return judge.API(url=woo.url, consumer_key=key.consumer_key, consumer_secret=secret, **rest)

    def walk():
        page = api().get("orders", params={"per_page": 2, "page": 2, "order": "asc"})
        made = api().post("orders", {"status": "on-hold"})
        changed = api().put(f"orders/{made.json()['id']}", {"status": "completed"})
        refund = api().post(f"orders/{orders[0].id}/refunds", {"amount": "1.00"})
        hook = api().post(
            "webhooks", {"topic": "order.created", "delivery_url": "http://localhost:9/"}
        )
        wrong = api("cs_wrong").get("orders")
        missing = api().get("orders/1")
        in_query = api(query_string_auth=True).get("orders", params={"per_page": 1})
        return page, made, changed, refund, hook, wrong, missing, in_query

    page, made, changed, refund, hook, wrong, missing, in_query = await asyncio.to_thread(walk)

    assert [each["id"] for each in page.json()] == [orders[2].id]
    assert page.headers["X-WP-Total"] == "3"
    assert (made.status_code, made.json()["status"]) == (201, "on-hold")
    assert changed.json()["status"] == "completed"
    assert (refund.status_code, refund.json()["amount"]) == (201, "1.00")
    assert (hook.status_code, hook.json()["status"]) == (201, "active")
    assert wrong.json()["code"] == "woocommerce_rest_authentication_error"
    assert missing.json()["code"] == "woocommerce_rest_shop_order_invalid_id"
    assert in_query.status_code == 200


@node_programs.needs("@woocommerce/woocommerce-rest-api")
async def test_the_node_library_signs_pages_and_is_refused(woo):
    woo.world.levers.plain_http = True
    woo.people.place("guest")
    keys = {"KEY": woo.key.consumer_key, "SECRET": woo.key.consumer_secret}
    walked = await node_programs.run("woocommerce.mjs", BASE=woo.url, **keys)

    assert walked == {
        "wrongSecret": [401, "woocommerce_rest_authentication_error"],
        "made": [201, "pending", "9.00"],
        "page": [1, "2", "2"],
        "read": "completed",
        "refunds": ["9.00"],
        "missing": [404, "woocommerce_rest_shop_order_invalid_id"],
        "invalid": [400, "rest_invalid_param"],
        "hook": [201, "order.created"],
        "deleted": 200,
    }

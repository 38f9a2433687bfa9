"""WooCommerce's own client libraries, unchanged: against the sandbox WooCommerce, and through the
broker, with an API key of its in place of the shop's.
"""

import asyncio
import contextlib
import time
from urllib.parse import urlsplit

import pytest

from tests.certificates import certificate
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


@contextlib.asynccontextmanager
async def over_tls(url, folder):
    """An address over TLS that stands before one without, and the file that vouches for it."""
    context, file = certificate(folder, "localhost", 1)
    port, writers = urlsplit(url).port, set()

    async def copy(reader, writer):
        with contextlib.suppress(OSError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        there, back = await asyncio.open_connection("localhost", port)
        writers.update((writer, back))
        await asyncio.gather(copy(reader, back), copy(there, writer))

    server = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    try:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", str(file)
    finally:
        server.close()
        for writer in writers:
            writer.close()


@pytest.fixture
async def connected(shop):
    """A shop that u1 has connected."""
    assert (await shop.connects()).status == 200
    return shop


async def test_the_python_library_calls_through_the_broker_with_a_key_of_the_brokers(
    connected, tmp_path, monkeypatch
):
    judge = pytest.importorskip("woocommerce", reason="WooCommerce is not installed")
    shop, broker = connected, connected.broker
    orders = [shop.site.people.place("guest") for _ in range(3)]

    def walk(base, file):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", file)
        api = judge.API(f"{base}/proxy/shop/u1", broker.client_id, broker.key, version="wc/v3")
        other = judge.API(f"{base}/proxy/shop/u1", broker.client_id, "bs_wrong")
        page = api.get("orders", params={"per_page": 2, "page": 2, "order": "asc"})
        made = api.post("orders", {"status": "on-hold"})
        changed = api.put(f"orders/{made.json()['id']}", {"status": "completed"})
        gone = api.delete(f"orders/{made.json()['id']}", params={"force": True})
        return page, made, changed, gone, api.get("orders/1"), other.get("orders")

    async with over_tls(broker.url, tmp_path) as (base, file):
        page, made, changed, gone, missing, wrong = await asyncio.to_thread(walk, base, file)

    assert [each["id"] for each in page.json()] == [orders[2].id]
    assert page.headers["X-WP-Total"] == "3"
    assert (made.status_code, made.json()["status"]) == (201, "on-hold")
    assert (changed.json()["status"], gone.status_code) == ("completed", 200)
    assert missing.json()["code"] == "woocommerce_rest_shop_order_invalid_id"
    assert (wrong.status_code, wrong.json()["code"]) == (401, "not-authenticated")


@node_programs.needs("@woocommerce/woocommerce-rest-api")
async def test_the_node_library_calls_through_the_broker_with_a_key_of_the_brokers(
    connected, tmp_path
):
    connected.site.people.place("guest")
    broker = connected.broker
    async with over_tls(broker.url, tmp_path) as (base, file):
        walked = await node_programs.run(
            "woocommerce.mjs",
            BASE=f"{base}/proxy/shop/u1",
            KEY=broker.client_id,
            SECRET=broker.key,
            NODE_EXTRA_CA_CERTS=file,
        )

    assert walked["wrongSecret"] == [401, "not-authenticated"]
    assert walked["made"] == [201, "pending", "9.00"]
    assert walked["page"] == [1, "2", "2"]
    assert walked["refunds"] == ["9.00"]
    assert walked["invalid"] == [400, "rest_invalid_param"]
    assert (walked["hook"], walked["deleted"]) == ([201, "order.created"], 200)

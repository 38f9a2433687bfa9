"""Shopify's own client libraries through the broker, with its key in the place of a shop's token."""

import asyncio
import json
import urllib.error

import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.shopify.store.kinds import place
from broker.sandbox.shopify.store.merchant import Merchant
from tests.flows.providers.shops import ACME
from tests.sandbox.shopify import queries
from tests.sdk import node_programs


@pytest.fixture
async def order(shops):
    """A placed order of the connected shop, by its global id."""
    await shops.connects()
    placed = place(Merchant(shops.world, shops.world.shops[ACME]))
    return f"gid://shopify/Order/{placed.id}"


async def test_the_python_library_works_with_a_key_of_the_broker(shops, order):
    judge = pytest.importorskip("shopify", reason="ShopifyAPI is not installed")
    base = f"{shops.broker.url}/proxy/shop/u1/admin/api/2026-10"

    def walk(key):
        judge.ShopifyResource.activate_session(judge.Session(ACME, "2026-10", key))
        judge.ShopifyResource.site = base
        try:
            return json.loads(judge.GraphQL().execute(queries.ORDER, {"id": order}))
        finally:
            judge.ShopifyResource.clear_session()

    answer = await asyncio.to_thread(walk, shops.broker.key)
    for each in shops.world.grants.access.values():
        each.revoked = True  # the library never learns that its token ended
    again = await asyncio.to_thread(walk, shops.broker.key)
    with pytest.raises(urllib.error.HTTPError) as refused:
        await asyncio.to_thread(walk, "bs_wrong")

    assert answer["data"]["order"]["name"] == again["data"]["order"]["name"] == "#1001"
    assert refused.value.code == 401


@node_programs.needs("@shopify/admin-api-client")
async def test_the_node_client_works_with_a_key_of_the_broker(shops, order):
    walked = await node_programs.run(
        "shopify_broker.mjs",
        BASE=f"{shops.broker.url}/proxy/shop/u1",
        KEY=shops.broker.key,
        ORDER=order,
        QUERY=queries.ORDER,
    )

    assert walked == {
        "order": ["#1001", True],
        "unknownField": "undefinedField",
        "wrongKey": 401,
    }

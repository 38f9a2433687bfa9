"""Shopify's own client libraries, unchanged, against the sandbox Shopify."""

import asyncio
import json
import time
import urllib.request
from urllib.parse import parse_qsl, urlsplit

import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.shopify.store.kinds import place
from tests.sandbox.shopify import queries
from tests.sandbox.shopify.client import BACK, SCOPES, SECRET, running
from tests.sdk import node_programs


@pytest.fixture
async def shopify():
    async with running() as made:
        made.clock.at = time.time()  # the libraries look at the clock on the wall
        made.world.levers.auto_consent = True
        yield made


class ToSandbox(urllib.request.HTTPSHandler):
    """Sends requests for https://{shop}.myshopify.com to the sandbox."""

    def __init__(self, url):
        super().__init__()
        self.url = url

    def https_open(self, request):
        headers = {**request.headers, "Host": request.host}
        sent = urllib.request.Request(self.url + request.selector, request.data, headers)
        return self.parent.open(sent)


async def test_the_python_library_installs_queries_and_is_refused(shopify, monkeypatch):
    judge = pytest.importorskip("shopify", reason="ShopifyAPI is not installed")
    shopify.app.public = False  # the library knows nothing of tokens that end
    order = place(shopify.merchant)
    opener = urllib.request.build_opener(ToSandbox(shopify.url))
    monkeypatch.setattr(urllib.request, "_opener", opener)
    judge.Session.setup(api_key="client", secret=SECRET)
    session = judge.Session("acme", "2026-10")
    link = session.create_permission_url(SCOPES, BACK, "s1")
    path = link.removeprefix("https://acme.myshopify.com")
    async with shopify.session.get(shopify.url + path, allow_redirects=False) as got:
        back = dict(parse_qsl(urlsplit(got.headers["Location"]).query))

    token = await asyncio.to_thread(session.request_token, dict(back))
    judge.ShopifyResource.activate_session(session)
    try:
        execute = judge.GraphQL().execute
        variables = {"id": f"gid://shopify/Order/{order.id}"}
        answer = json.loads(await asyncio.to_thread(execute, queries.ORDER, variables))
        shopify.world.uninstall(shopify.app, shopify.shop)
        with pytest.raises(urllib.error.HTTPError) as refused:
            await asyncio.to_thread(execute, queries.SHOP)
    finally:
        judge.ShopifyResource.clear_session()

    assert token.startswith("shpat_")
    assert judge.Session.validate_params(back)
    assert not judge.Session.validate_params({**back, "shop": "evil.myshopify.com"})
    assert answer["data"]["order"]["name"] == "#1001"
    assert refused.value.code == 401


@node_programs.needs("@shopify/shopify-api")
async def test_the_node_libraries_install_query_and_receive_webhooks(shopify):
    shopify.app.redirect_urls.append("https://product.example/callback")
    shopify.app.own_shops.append("acme.myshopify.com")
    order = place(shopify.merchant)
    walked = await node_programs.run(
        "shopify.mjs",
        BASE=shopify.url,
        CLIENT="client",
        SECRET=SECRET,
        ORDER=f"gid://shopify/Order/{order.id}",
        QUERY=queries.ORDER,
    )

    assert walked == {
        "tampered": "InvalidOAuthError",
        "installed": ["acme.myshopify.com", "read_orders,read_customers", True],
        "usedCode": 400,
        "renewed": True,
        "usedRefresh": 401,
        "clientCredentials": True,
        "bySdk": "#1001",
        "byClient": ["#1001", True],
        "wrongToken": 401,
        "unknownField": "undefinedField",
        "registered": [True],
        "webhook": [True, "ORDERS_CREATE", "acme.myshopify.com", True],
        "changedWebhook": False,
    }

"""A sandbox Shopify with one shop and one app, and a way to call it."""

import contextlib
from dataclasses import dataclass

import aiohttp

from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.server import serve
from broker.sandbox.shopify.store.merchant import Merchant
from broker.sandbox.shopify.world import Shopify
from tests.sandbox.clock import Clock

SCOPES = ["read_orders", "read_customers"]
SECRET = "hush"
BACK = "https://product.example/shopify/callback"


@dataclass
class Client:
    """Everything a test of Shopify needs."""

    world: Shopify
    clock: Clock
    url: str
    session: aiohttp.ClientSession
    app: App
    token: str = ""

    @property
    def shop(self):
        return self.world.shops["acme.myshopify.com"]

    @property
    def merchant(self):
        return Merchant(self.world, self.shop)

    def granted(self, scopes=None, lifetime=3600.0):
        scopes = SCOPES if scopes is None else scopes
        self.world.install(self.app, self.shop, scopes)
        grants = self.world.grants
        self.token = grants.issue_access(
            self.app.client_id, self.shop.domain, scopes, lifetime
        ).token
        return self

    async def post(self, path, body=None, **rest):
        """Status and JSON (or text) of a POST of JSON."""
        sent = {"json": body} if body is not None else {}
        async with self.session.post(self.url + path, **sent, **rest) as got:
            is_json = "json" in got.headers.get("Content-Type", "")
            return got.status, await got.json() if is_json else await got.text()

    async def tokens(self, **fields):
        body = {"client_id": self.app.client_id, "client_secret": SECRET, **fields}
        return await self.post("/admin/oauth/access_token", body)

    async def query(self, query, variables=None, version="2026-10", token=None):
        """The body of a GraphQL answer of status 200."""
        status, body, _ = await self.post_query(query, variables, version, token)
        assert status == 200, body
        return body

    async def post_query(self, query, variables=None, version="2026-10", token=None):
        headers = {"X-Shopify-Access-Token": self.token if token is None else token}
        body = {"query": query, "variables": variables or {}}
        url = f"{self.url}/admin/api/{version}/graphql.json"
        async with self.session.post(url, json=body, headers=headers) as got:
            return got.status, await got.json(), got.headers

    async def control(self, method, path, body=None):
        url = f"{self.url}/_sandbox/{path}"
        async with self.session.request(method, url, json=body or {}) as got:
            assert got.status < 300, await got.text()
            return await got.json() if got.content_type == "application/json" else None


@contextlib.asynccontextmanager
async def running():
    """A Shopify of its own for a test."""
    clock = Clock()
    world = Shopify(clock)
    world.add_shop("acme")
    app = world.add_app(App("client", SECRET, [*SCOPES, "read_all_orders"], [BACK], "Broker"))
    served = await serve("127.0.0.1", 0, world)
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(world, clock, served.url, session, app)
    finally:
        await served.close()

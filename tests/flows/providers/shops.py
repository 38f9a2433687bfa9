"""A broker before the sandbox Shopify, in its callers' words."""

from urllib.parse import parse_qsl, urlsplit

from broker.sandbox.shopify.apps import App
from tests.fixtures.broker_client import RETURN_URL

SECRET = "canary-shopify-secret"
SCOPES = ["read_orders", "read_customers"]
ACME, OTHER = "acme.myshopify.com", "other.myshopify.com"
GRAPHQL = "/admin/api/2026-10/graphql.json"
NAME = {"query": "{ shop { name myshopifyDomain } }"}


class Shops:
    """The sandbox's shops with a broker before them: an app, links, consent, calls."""

    def __init__(self, running, broker):
        self.running, self.world, self.broker = running, running.world, broker
        self.app = None

    async def registers(self, **changes):
        body = {
            "slug": "shop",
            "provider": "shopify",
            "clientId": "shopify-client",
            "clientSecret": SECRET,
            "scopes": SCOPES,
            "returnUrls": [RETURN_URL],
            **changes,
        }
        answer = await self.broker.asks("POST", "/api/apps", json=body)
        if answer.status == 201:
            self.app = answer.json()
            self.world.add_app(
                App("shopify-client", SECRET, SCOPES, [self.app["redirectUrl"]], "Broker")
            )
        return answer

    async def links(self, user="u1", shop=ACME, **query):
        params = {"userForeignIdentifier": user, "shop": shop, **query}
        answer = await self.broker.asks("GET", "/api/shopify/auth/shop", params=params)
        if answer.status == 200:
            state = dict(parse_qsl(urlsplit(answer.json()["url"]).query))["state"]
            self.broker.secrets.append(state)
        return answer

    async def consents(self, user="u1", shop=ACME):
        link = await self.links(user, shop)
        assert link.status == 200, link.body
        answer = await self.broker.asks("GET", link.json()["url"], key="")
        assert answer.status in {302, 303}, answer.body
        return answer.headers["Location"]

    async def connects(self, user="u1", shop=ACME):
        return await self.broker.asks("GET", await self.consents(user, shop), key="")

    async def shows(self, user="u1"):
        answer = await self.broker.asks("GET", f"/api/apps/shop/connections/{user}")
        assert answer.status == 200, answer.body
        return answer.json()

    async def queries(self, body=NAME, user="u1", **rest):
        return await self.broker.asks("POST", f"/proxy/shop/{user}{GRAPHQL}", json=body, **rest)

    @property
    def refreshes(self):
        """How many refresh tokens replaced another."""
        tokens = self.world.grants.refresh.values()
        return sum(each.parent is not None for each in tokens)

"""A sandbox WooCommerce, and a way to call it."""

import base64
import contextlib
from dataclasses import dataclass

import aiohttp

from broker.sandbox.woocommerce.server import serve
from broker.sandbox.woocommerce.site import ApiKey
from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper
from broker.sandbox.woocommerce.world import WooCommerce
from tests.sandbox.clock import Clock


@dataclass
class Client:
    """Everything a test of WooCommerce needs."""

    world: WooCommerce
    clock: Clock
    url: str
    session: aiohttp.ClientSession
    key: ApiKey
    people: Shopkeeper

    async def request(self, method, route, body=None, *, keyed=True, headers=None, data=None):
        """Status, body and headers of a call, with the key by Basic by default."""
        pair = f"{self.key.consumer_key}:{self.key.consumer_secret}".encode()
        basic = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"} if keyed else {}
        sent = {"json": body} if body is not None else {"data": data}
        url = route if route.startswith("http") else f"{self.url}/wp-json/wc/v3/{route}"
        every = {**basic, **(headers or {})}
        async with self.session.request(method, url, headers=every, **sent) as got:
            is_json = got.content_type == "application/json"
            return got.status, await got.json() if is_json else await got.text(), got.headers

    async def refused(self, method, route, body=None, **rest):
        """Status and code of a refusal."""
        status, answer, _ = await self.request(method, route, body, **rest)
        assert answer["data"]["status"] == status
        return status, answer["code"]

    async def control(self, method, path, body=None):
        url = f"{self.url}/_sandbox/{path}"
        async with self.session.request(method, url, json=body or {}) as got:
            assert got.status < 300, await got.text()
            return await got.json() if got.content_type == "application/json" else None


@contextlib.asynccontextmanager
async def running():
    """A WooCommerce of its own for a test."""
    clock = Clock()
    world = WooCommerce(clock)
    served = await serve("127.0.0.1", 0, world)
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(world, clock, served.url, session, world.add_key(), Shopkeeper(world))
    finally:
        await served.close()

"""The demo's stretch about orders: one that is placed in a shop turns up as a deal, is refunded in
part, and the deal follows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from broker.recipes.orders import woocommerce
from broker.sandbox.core.serving import Running
from broker.sandbox.hubspot.world import Sandbox
from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper
from broker.sandbox.woocommerce.world import WooCommerce

ORDER_SCOPES = [
    f"crm.{part}.{kind}.{right}"
    for kind in ("contacts", "deals")
    for part in ("objects", "schemas")
    for right in ("read", "write")
]
WEBHOOK_SECRET = "demo-shop-secret"  # noqa: S105  # the sandbox's
TOPICS = ("order.created", "order.updated", "order.deleted")
PORTAL = 101
TIMEOUT_S = 20.0

Ask = Callable[..., Awaitable[Any]]
Title = tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]


@dataclass(slots=True)
class OrdersScenario:
    """A shop's order, step by step. `ask` calls the broker as the demo does."""

    ask: Ask
    hubspot: Sandbox
    shop: Running[WooCommerce]
    user: str
    known: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> list[Title]:
        return [
            ("Connect the user's WooCommerce shop", self.connect),
            ("Set up the orders recipe", self.set_up),
            ("Place an order in the shop", self.place),
            ("Refund a part of it, and see the deal follow", self.refund),
        ]

    async def connect(self, session: aiohttp.ClientSession) -> str:
        app = {
            "slug": "shop",
            "provider": woocommerce.WooCommerce.provider,
            "scopes": ["read_write"],
            "webhookSecret": WEBHOOK_SECRET,
        }
        registered = await self.ask(session, "POST", "/api/apps", json=app)
        key = self.shop.world.add_key(description="Demo")
        pasted = {
            "site": self.shop.url,
            "consumerKey": key.consumer_key,
            "consumerSecret": key.consumer_secret,
        }
        path = f"/api/apps/shop/connections/{self.user}/import"
        connection = await self.ask(session, "POST", path, json=pasted)
        # What the shopkeeper does in the shop's settings, here through the proxy.
        for topic in TOPICS:
            webhook = {
                "name": topic,
                "topic": topic,
                "delivery_url": registered["webhookUrl"],
                "secret": WEBHOOK_SECRET,
            }
            target = f"/proxy/shop/{self.user}/wp-json/wc/v3/webhooks"
            await self.ask(session, "POST", target, json=webhook)
        self.known["shop"] = connection["accountId"]
        return f"{connection['accountId']}, {len(TOPICS)} webhooks made"

    async def set_up(self, session: aiohttp.ClientSession) -> str:
        settings = {"shopApp": "shop"}
        await self.ask(session, "PUT", "/api/apps/demo/recipes/orders", json=settings)
        user = {"userForeignIdentifier": self.user}
        made = await self.ask(session, "POST", "/api/recipes/orders/demo/setup", json=user)
        checked = await self.ask(session, "POST", "/api/recipes/orders/demo/check", json=user)
        if not checked["ok"]:
            raise RuntimeError(str(checked["findings"]))
        return f"{len(made['created'])} properties created, nothing to correct"

    async def place(self, _session: aiohttp.ClientSession) -> str:
        order = Shopkeeper(self.shop.world).place()
        self.known["order"] = order
        deal = await self._deal(str(order.total))
        return (
            f"order {order.id} for {order.total} {order.currency} is a deal in "
            f"{deal['dealstage']}, its buyer a contact"
        )

    async def refund(self, _session: aiohttp.ClientSession) -> str:
        order = self.known["order"]
        Shopkeeper(self.shop.world).refund(order, "10.00")
        left = order.total - order.refunded
        await self._deal(str(left))
        return f"the deal's amount is {left}"

    async def _deal(self, amount: str) -> dict[str, Any]:
        """The order's deal once it shows an amount. Raises TimeoutError."""
        key = f"{self.known['shop']}:{self.known['order'].id}"
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                for properties in self._deals():
                    known = properties.get("shop_order_key") == key
                    if known and float(properties.get("amount") or "nan") == float(amount):
                        return properties
                await asyncio.sleep(0.05)

    def _deals(self) -> list[dict[str, Any]]:
        portal = self.hubspot.portals[PORTAL]
        kind = portal.type("deals")
        if kind is None:
            raise RuntimeError("the sandbox has no deals")
        return [dict(each.properties) for each in portal.of(kind).by_id.values()]

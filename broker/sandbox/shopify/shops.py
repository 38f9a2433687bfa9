"""Shops from outside: `/_sandbox/shops` for tests, and the page at `/` on which a person buys,
refunds and cancels.
"""

from dataclasses import asdict
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.requests import (
    Handler,
    guarded,
    read_object,
    refuse_other_origins,
)
from broker.sandbox.shopify.pages import render
from broker.sandbox.shopify.store.kinds import KINDS, place
from broker.sandbox.shopify.store.merchant import Merchant
from broker.sandbox.shopify.store.payloads import customer_body, order_body
from broker.sandbox.shopify.store.records import Order, Shop
from broker.sandbox.shopify.world import COMPLIANCE, Shopify

ACTIONS = ("pay", "edit", "refund", "cancel", "fulfill", "touch", "delete")


class ShopEndpoints:
    """The actions of merchants and buyers."""

    def __init__(self, world: Shopify) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        one = "/_sandbox/shops/{name}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home),
            ("POST", "/press/{name}", self.press),
            ("POST", "/_sandbox/shops", self.put_shop),
            ("DELETE", one, self.close),
            ("POST", f"{one}/installs", self.install),
            ("DELETE", f"{one}/installs/{{clientId}}", self.uninstall),
            ("POST", f"{one}/tokens", self.token),
            ("POST", f"{one}/customers", self.put_customer),
            ("POST", f"{one}/customers/{{id}}/merge", self.merge),
            ("POST", f"{one}/privacy", self.privacy),
            ("GET", f"{one}/orders", self.orders),
            ("POST", f"{one}/orders", self.place),
            ("POST", f"{one}/orders/{{id}}/{{action}}", self.act),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def _shop(self, request: web.Request) -> Shop:
        name = request.match_info["name"]
        return self._world.shops[name if "." in name else f"{name}.myshopify.com"]

    async def home(self, _request: web.Request) -> web.Response:
        """Show the shops with their orders, and what was sent."""
        world = self._world
        return render(
            "home.html",
            shops=[
                (shop, [(each, shop.customers.get(each.customer_id or 0)) for each in _last(shop)])
                for shop in world.shops.values()
            ],
            kinds=KINDS,
            subscriptions=world.webhooks.subscriptions,
            attempts=list(world.webhooks.attempts)[:-21:-1],
            levers={**asdict(world.levers), **asdict(world.webhooks.ways)},
        )

    async def press(self, request: web.Request) -> web.Response:
        """Do what a button of the page does; only the page itself may post here."""
        refuse_other_origins(request)
        shop, form = self._shop(request), await request.post()
        merchant = Merchant(self._world, shop)
        if "kind" in form:
            place(merchant, str(form["kind"]))
        else:
            order = shop.orders[int(str(form["order"]))]
            _act(merchant, order, str(form["action"]), {})
        raise web.HTTPSeeOther("/")

    async def put_shop(self, request: web.Request) -> web.Response:
        """Open a shop: name, and any field of a shop (currency, timezone, offset_minutes, plan)."""
        payload = await read_object(request)
        shop = self._world.add_shop(str(payload.pop("name")), **payload)
        return web.json_response({"shop": shop.domain, "id": shop.id}, status=201)

    async def close(self, request: web.Request) -> web.Response:
        """Close a shop for good."""
        self._world.close(self._shop(request))
        return web.Response(status=204)

    async def install(self, request: web.Request) -> web.Response:
        """Install an app without a browser: clientId, scopes (the app's by default)."""
        payload = await read_object(request)
        app = self._world.apps[payload["clientId"]]
        self._world.install(app, self._shop(request), payload.get("scopes", app.scopes))
        return web.Response(status=204)

    async def uninstall(self, request: web.Request) -> web.Response:
        """Remove an app, as a merchant does."""
        app = self._world.apps[request.match_info["clientId"]]
        self._world.uninstall(app, self._shop(request))
        return web.Response(status=204)

    async def token(self, request: web.Request) -> web.Response:
        """A token without a browser: clientId, scopes, lifetime (seconds, null for ever)."""
        payload, shop = await read_object(request), self._shop(request)
        app = self._world.apps[payload["clientId"]]
        scopes = payload.get("scopes", app.scopes)
        self._world.install(app, shop, scopes)
        lifetime = payload.get("lifetime", self._world.levers.access_lifetime)
        access = self._world.grants.issue_access(app.client_id, shop.domain, scopes, lifetime)
        return web.json_response({"accessToken": access.token}, status=201)

    async def put_customer(self, request: web.Request) -> web.Response:
        """Add a customer: email, first_name, last_name, phone, address, tags."""
        shop = self._shop(request)
        customer = Merchant(self._world, shop).add_customer(**await read_object(request))
        return web.json_response(customer_body(shop, customer), status=201)

    async def merge(self, request: web.Request) -> web.Response:
        """Merge a customer into another: into (id)."""
        shop = self._shop(request)
        into = shop.customers[int((await read_object(request))["into"])]
        Merchant(self._world, shop).merge(into, shop.customers[int(request.match_info["id"])])
        return web.Response(status=204)

    async def privacy(self, request: web.Request) -> web.Response:
        """Send a compliance webhook: topic, customerId; the ids of the deliveries."""
        payload, shop = await read_object(request), self._shop(request)
        topic = str(payload["topic"]).upper().replace("/", "_")
        if topic not in COMPLIANCE:
            raise ValueError(f"topic is one of {', '.join(COMPLIANCE)}")
        body = {"shop_id": shop.id, "shop_domain": shop.domain}
        if topic != "SHOP_REDACT":
            customer = shop.customers[int(payload["customerId"])]
            theirs = [each.id for each in shop.orders.values() if each.customer_id == customer.id]
            body["customer"] = {
                "id": customer.id,
                "email": customer.email,
                "phone": customer.phone,
            }
            if topic == "CUSTOMERS_REDACT":
                body["orders_to_redact"] = theirs
            else:
                body |= {"orders_requested": theirs, "data_request": {"id": next(self._world.ids)}}
        sent = self._world.webhooks.emit(shop, topic, lambda _app: body)
        return web.json_response({"webhookIds": sent}, status=202)

    async def orders(self, request: web.Request) -> web.Response:
        """List the orders of a shop, newest first, as webhooks show them."""
        shop = self._shop(request)
        return web.json_response([order_body(shop, each) for each in _last(shop)])

    async def place(self, request: web.Request) -> web.Response:
        """Place an order: kind, and fields of an order; customerId for a customer of the shop."""
        payload, shop = await read_object(request), self._shop(request)
        if "customerId" in payload:
            payload["customer"] = shop.customers[int(payload.pop("customerId"))]
        kind = str(payload.pop("kind", "plain"))
        order = place(Merchant(self._world, shop), kind, **payload)
        return web.json_response(order_body(shop, order), status=201)

    async def act(self, request: web.Request) -> web.Response:
        """Do something to an order: pay (amount), edit (add, remove), refund (amount, lines, note),
        cancel (reason, refund), fulfill, touch (fields), delete.
        """
        shop = self._shop(request)
        order = shop.orders[int(request.match_info["id"])]
        payload = await read_object(request) if request.can_read_body else {}
        _act(Merchant(self._world, shop), order, request.match_info["action"], payload)
        return web.json_response(order_body(shop, order))


def _act(merchant: Merchant, order: Order, action: str, fields: dict[str, Any]) -> None:
    if action not in ACTIONS:
        raise ValueError(f"action is one of {', '.join(ACTIONS)}")
    if action == "edit":
        merchant.edit(order, fields.get("add", []), fields.get("remove", []))
    elif action == "refund":
        lines = [(int(line), int(quantity)) for line, quantity in fields.pop("lines", [])]
        merchant.refund(order, lines=lines, **fields)
    else:
        getattr(merchant, action)(order, **fields)


def _last(shop: Shop) -> list[Order]:
    return list(shop.orders.values())[:-51:-1]

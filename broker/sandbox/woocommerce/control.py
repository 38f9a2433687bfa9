"""The site from outside: `/_sandbox` for tests, and buttons for the page at `/`."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.faults import FaultEndpoints
from broker.sandbox.core.control.requests import (
    Handler,
    guarded,
    read_object,
    refuse_other_origins,
    set_levers,
)
from broker.sandbox.woocommerce.pages import render
from broker.sandbox.woocommerce.store.bodies import customer_body, order_body
from broker.sandbox.woocommerce.store.records import Order
from broker.sandbox.woocommerce.store.shopkeeper import KINDS as ORDER_KINDS
from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper
from broker.sandbox.woocommerce.webhooks import SIGNING
from broker.sandbox.woocommerce.world import WooCommerce

SHOWN = 100


class ControlEndpoints:
    """The control API of WooCommerce, and the actions of buyers and shopkeepers."""

    def __init__(self, world: WooCommerce) -> None:
        self._world = world
        self._people = Shopkeeper(world)

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/press", self.press),
            ("POST", "/_sandbox/keys", self.put_key),
            ("DELETE", "/_sandbox/keys/{key}", self.revoke),
            ("GET", "/_sandbox/orders", self.orders),
            ("POST", "/_sandbox/orders", self.place),
            ("POST", "/_sandbox/orders/{id}/{action}", self.act),
            ("POST", "/_sandbox/customers", self.put_customer),
            ("GET", "/_sandbox/levers", self.show_levers),
            ("POST", "/_sandbox/levers", self.levers),
            ("GET", "/_sandbox/deliveries", self.deliveries),
            ("POST", "/_sandbox/webhooks/{id}/replay", self.replay),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/counters", self.counters),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *FaultEndpoints(self._world.faults).routes()]

    def home(self) -> web.Response:
        """The page: orders with buttons, keys, webhooks, levers."""
        world = self._world
        return render(
            "home.html",
            name=world.name,
            orders=[(each, world.gmt(each.modified_at)) for each in self._last()],
            kinds=ORDER_KINDS,
            keys=list(world.keys.values()),
            webhooks=list(world.webhooks.by_id.values()),
            sent=list(world.webhooks.sent)[:-21:-1],
            levers={**asdict(world.levers), **asdict(world.webhooks.ways)},
        )

    async def press(self, request: web.Request) -> web.Response:
        """Do what a button of the page does; only the page itself may post here."""
        refuse_other_origins(request)
        form = await request.post()
        if "kind" in form:
            self._people.place(str(form["kind"]))
        else:
            order = self._world.orders[int(str(form["order"]))]
            self._act(order, str(form["action"]), {})
        raise web.HTTPSeeOther("/")

    async def put_key(self, request: web.Request) -> web.Response:
        """Make a key: permissions, description, manages."""
        key = self._world.add_key(**await read_object(request))
        body = {"consumer_key": key.consumer_key, "consumer_secret": key.consumer_secret}
        return web.json_response({"key_id": key.key_id, **body}, status=201)

    async def revoke(self, request: web.Request) -> web.Response:
        """Delete a key, by its consumer key."""
        del self._world.keys[request.match_info["key"]]
        return web.Response(status=204)

    async def orders(self, _request: web.Request) -> web.Response:
        """List orders, newest first."""
        return web.json_response([order_body(self._world, each) for each in self._last()])

    async def place(self, request: web.Request) -> web.Response:
        """Place an order: kind, and the fields of `Shopkeeper.place`."""
        order = self._people.place(**await read_object(request))
        return web.json_response(order_body(self._world, order), status=201)

    async def act(self, request: web.Request) -> web.Response:
        """Do something to an order: complete, cancel, refund (amount, reason), change (fields),
        trash, restore, delete.
        """
        order = self._world.orders[int(request.match_info["id"])]
        payload = await read_object(request) if request.can_read_body else {}
        self._act(order, request.match_info["action"], payload)
        return web.json_response(order_body(self._world, order))

    def _act(self, order: Order, action: str, fields: dict[str, Any]) -> None:
        people = self._people
        acts: dict[str, Callable[..., Any]] = {
            "complete": lambda: people.change(order, status="completed"),
            "cancel": lambda: people.change(order, status="cancelled"),
            "refund": lambda **payload: people.refund(order, **payload),
            "change": lambda **payload: people.change(order, **payload),
            "trash": lambda: people.trash(order),
            "restore": lambda: people.restore(order),
            "delete": lambda: people.delete(order),
        }
        if action not in acts:
            raise ValueError(f"action is one of {', '.join(acts)}")
        acts[action](**fields)

    async def put_customer(self, request: web.Request) -> web.Response:
        """Register a customer: email, first_name, last_name, billing."""
        customer = self._people.add_customer(**await read_object(request))
        return web.json_response(customer_body(self._world, customer), status=201)

    async def show_levers(self, _request: web.Request) -> web.Response:
        """Show the value of every lever."""
        ways = {"webhooks": asdict(self._world.webhooks.ways)}
        return web.json_response({**asdict(self._world.levers), **ways})

    async def levers(self, request: web.Request) -> web.Response:
        """Set levers by name, those of webhooks under `webhooks`; `jump` moves the clock."""
        payload = await read_object(request)
        webhooks = payload.pop("webhooks", {})
        if webhooks.get("signing", "right") not in SIGNING:
            raise ValueError(f"signing is one of {', '.join(SIGNING)}")
        set_levers(webhooks, self._world.webhooks.ways)
        set_levers(payload, self._world.levers, actions=("jump",))
        self._world.jump(float(payload.get("jump", 0)))
        return web.Response(status=204)

    async def deliveries(self, _request: web.Request) -> web.Response:
        """List what was sent, newest first, and how many deliveries wait."""
        webhooks = self._world.webhooks
        sent = [asdict(each) for each in reversed(webhooks.sent)]
        return web.json_response({"deliveries": sent, "waiting": len(webhooks.queue)})

    async def replay(self, request: web.Request) -> web.Response:
        """Send the last delivery of a webhook again."""
        self._world.webhooks.replay(int(request.match_info["id"]))
        return web.Response(status=202)

    async def requests(self, _request: web.Request) -> web.Response:
        """List the last requests, newest first, without what authorizes them."""
        last = list(self._world.seen)[: -SHOWN - 1 : -1]
        return web.json_response([asdict(each) for each in last])

    async def counters(self, _request: web.Request) -> web.Response:
        """Count the requests, and the calls of each key."""
        calls = {f"{key.key_id} {key.description}": key.calls for key in self._world.keys.values()}
        return web.json_response({"requests": len(self._world.seen), "calls": calls})

    def _last(self) -> list[Order]:
        return list(self._world.orders.values())[:-51:-1]

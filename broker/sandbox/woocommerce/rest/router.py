"""The way in: from a path, or `?rest_route=` on sites with plain permalinks, to an endpoint.

WordPress looks at credentials first, then for a route, then at parameters, then at rights.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.woocommerce.keys import authenticate
from broker.sandbox.woocommerce.rest import customers, orders, webhooks
from broker.sandbox.woocommerce.rest.answers import RestError, no_route
from broker.sandbox.woocommerce.rest.call import Call
from broker.sandbox.woocommerce.rest.params import Params, without_credentials
from broker.sandbox.woocommerce.site import VERSION, WORDPRESS, Seen
from broker.sandbox.woocommerce.world import WooCommerce

Work = Callable[[Call], Awaitable[web.Response]]
NAMESPACE = "wc/v3"
EDITABLE = ("POST", "PUT", "PATCH")


async def discover(call: Call) -> web.Response:
    """What the site is, for everybody."""
    world = call.world
    body = {"name": world.name, "url": world.url, "home": world.url}
    return web.json_response({**body, "namespaces": ["wc/v1", "wc/v2", NAMESPACE, "wp/v2"]})


async def status(call: Call) -> web.Response:
    """The part of the system status with versions and the shop's currency."""
    call.may("view", "Sorry, you cannot list resources.")
    environment = {"home_url": call.world.url, "version": VERSION, "wp_version": WORDPRESS}
    settings = {
        "currency": call.world.levers.currency,
        "number_of_decimals": call.world.levers.decimals,
    }
    return web.json_response({"environment": environment, "settings": settings})


def _table() -> list[tuple[re.Pattern[str], dict[str, Work]]]:
    def editable(work: Work) -> dict[str, Work]:
        return dict.fromkeys(EDITABLE, work)

    routes: list[tuple[str, dict[str, Any]]] = [
        ("", {"GET": discover}),
        (NAMESPACE, {"GET": discover}),
        (f"{NAMESPACE}/system_status", {"GET": status}),
        (f"{NAMESPACE}/orders", {"GET": orders.index, "POST": orders.create}),
        (
            rf"{NAMESPACE}/orders/(?P<id>\d+)",
            {"GET": orders.read, "DELETE": orders.delete, **editable(orders.update)},
        ),
        (
            rf"{NAMESPACE}/orders/(?P<id>\d+)/refunds",
            {"GET": orders.refunds, "POST": orders.give_back},
        ),
        (rf"{NAMESPACE}/orders/(?P<id>\d+)/refunds/(?P<refund>\d+)", {"GET": orders.refund}),
        (f"{NAMESPACE}/customers", {"GET": customers.index, "POST": customers.create}),
        (rf"{NAMESPACE}/customers/(?P<id>\d+)", {"GET": customers.read}),
        (f"{NAMESPACE}/webhooks", {"GET": webhooks.index, "POST": webhooks.create}),
        (
            rf"{NAMESPACE}/webhooks/(?P<id>\d+)",
            {"GET": webhooks.read, "DELETE": webhooks.delete, **editable(webhooks.update)},
        ),
    ]
    return [(re.compile(path), methods) for path, methods in routes]


TABLE = _table()


class RestRouter:
    """`/wp-json`."""

    def __init__(self, world: WooCommerce) -> None:
        self._world = world

    async def answer(self, request: web.Request, route: str) -> web.Response:
        """Answer a request to a route, such as `/wc/v3/orders`."""
        world, query = self._world, dict(request.query)
        await self._see(request, route, query)
        try:
            key = authenticate(world, request, query)
            work, parts = _find(request.method, route.strip("/"))
            response = await work(Call(world, request, route, parts, Params(world, query), key))
        except RestError as refused:
            return web.json_response(refused.body, status=refused.status, headers=refused.headers)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            body = {
                "code": "rest_invalid_param",
                "message": f"Invalid parameter(s): {wrong}",
                "data": {"status": 400},
            }
            return web.json_response(body, status=400)
        return response

    async def _see(self, request: web.Request, route: str, query: dict[str, str]) -> None:
        named = query.get("consumer_key") or query.get("oauth_consumer_key") or ""
        digest = hashlib.sha256(named.encode()).hexdigest() if named else ""
        body = (await request.read()).decode(errors="replace")
        shown = "" if "webhooks" in route else body
        self._world.seen.append(
            Seen(
                request.method,
                route,
                without_credentials(query),
                digest,
                shown,
                self._world.now(),
            )
        )


def _find(method: str, route: str) -> tuple[Work, dict[str, str]]:
    for pattern, methods in TABLE:
        found = pattern.fullmatch(route)
        if found is not None and method in methods:
            return methods[method], found.groupdict()
    raise no_route()

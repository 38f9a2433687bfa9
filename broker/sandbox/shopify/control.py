"""The control API under `/_sandbox`: levers, faults, apps, requests and deliveries."""

from dataclasses import asdict
from itertools import product
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.faults import FaultEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object, set_levers
from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.webhooks import SIGNING, Subscription, slug
from broker.sandbox.shopify.world import Shopify

SHOWN = 100


class ControlEndpoints:
    """The control API of Shopify."""

    def __init__(self, world: Shopify) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/_sandbox/apps", self.put_app),
            ("POST", "/_sandbox/apps/{clientId}/rotate", self.rotate),
            ("GET", "/_sandbox/levers", self.show_levers),
            ("POST", "/_sandbox/levers", self.levers),
            ("GET", "/_sandbox/subscriptions", self.subscriptions),
            ("DELETE", "/_sandbox/subscriptions/{id}", self.delete_subscription),
            ("GET", "/_sandbox/deliveries", self.deliveries),
            ("POST", "/_sandbox/deliveries/{webhookId}/replay", self.replay),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/counters", self.counters),
        ]
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *FaultEndpoints(self._world.faults).routes()]

    async def put_app(self, request: web.Request) -> web.Response:
        """Make or replace an app: clientId, clientSecret, scopes, redirectUrls, name, public,
        ownShops, protectedData, subscriptions (topic to address, as in an app's configuration).
        """
        payload = await read_object(request)
        app = App(
            payload["clientId"],
            payload["clientSecret"],
            list(payload["scopes"]),
            list(payload["redirectUrls"]),
            str(payload.get("name", "App")),
            bool(payload.get("public", True)),
            list(payload.get("ownShops", [])),
            int(payload.get("protectedData", 2)),
            dict(payload.get("subscriptions", {})),
        )
        self._world.add_app(app)
        return web.json_response({"clientId": app.client_id}, status=201)

    async def rotate(self, request: web.Request) -> web.Response:
        """Give an app a new secret: clientSecret."""
        app = self._world.apps[request.match_info["clientId"]]
        app.rotate(str((await read_object(request))["clientSecret"]), self._world.now())
        return web.Response(status=204)

    async def show_levers(self, _request: web.Request) -> web.Response:
        """Show the value of every lever."""
        return web.json_response(self._levers())

    def _levers(self) -> dict[str, Any]:
        return {**asdict(self._world.levers), "webhooks": asdict(self._world.webhooks.ways)}

    async def levers(self, request: web.Request) -> web.Response:
        """Set levers by name, those of webhooks under `webhooks`; `jump` moves the clock,
        `revoke` (a shop's domain) ends its tokens, `drain` empties every bucket of points.
        """
        payload = await read_object(request)
        webhooks = payload.pop("webhooks", {})
        if webhooks.get("signing", "right") not in SIGNING:
            raise ValueError(f"signing is one of {', '.join(SIGNING)}")
        set_levers(webhooks, self._world.webhooks.ways)
        set_levers(payload, self._world.levers, actions=("jump", "revoke", "drain"))
        self._act(payload)
        return web.Response(status=204)

    def _act(self, payload: dict[str, Any]) -> None:
        world = self._world
        world.jump(float(payload.get("jump", 0)))
        if "revoke" in payload:
            for app in world.apps:
                world.grants.end(app, world.shops[payload["revoke"]].domain)
        if payload.get("drain"):
            for shop, app in product(world.shops, world.apps):
                world.buckets[app, shop] = (0.0, world.now())

    async def subscriptions(self, _request: web.Request) -> web.Response:
        """List the subscriptions of every app and shop."""
        return web.json_response(
            [_subscription(each) for each in self._world.webhooks.subscriptions]
        )

    async def delete_subscription(self, request: web.Request) -> web.Response:
        """Delete a subscription, as Shopify does after too many failures."""
        number = int(request.match_info["id"])
        for each in list(self._world.webhooks.subscriptions):
            if each.id == number:
                self._world.webhooks.delete(each)
                return web.Response(status=204)
        raise ValueError("no such subscription")

    async def deliveries(self, _request: web.Request) -> web.Response:
        """List the attempts, newest first, and how many deliveries wait."""
        webhooks = self._world.webhooks
        sent = [asdict(each) for each in reversed(webhooks.attempts)]
        return web.json_response({"deliveries": sent, "waiting": len(webhooks.queue)})

    async def replay(self, request: web.Request) -> web.Response:
        """Send a delivery again, byte for byte."""
        self._world.webhooks.replay(request.match_info["webhookId"])
        return web.Response(status=202)

    async def requests(self, _request: web.Request) -> web.Response:
        """List the last requests, newest first; tokens as their SHA-256."""
        last = list(self._world.seen)[: -SHOWN - 1 : -1]
        return web.json_response([asdict(each) for each in last])

    async def counters(self, _request: web.Request) -> web.Response:
        """Count the requests, and the calls of each app in each shop."""
        calls: dict[str, int] = {}
        for access in self._world.grants.access.values():
            name = f"{access.client_id} {access.shop}"
            calls[name] = calls.get(name, 0) + access.calls
        targets = [each.target for each in self._world.seen]
        tokens = sum("/oauth/access_token" in target for target in targets)
        return web.json_response({"requests": len(targets), "tokens": tokens, "calls": calls})


def _subscription(each: Subscription) -> dict[str, Any]:
    return {
        "id": each.id,
        "clientId": each.app.client_id,
        "shop": each.shop.domain,
        "topic": slug(each.topic),
        "uri": each.uri,
        "fromApi": each.from_api,
    }

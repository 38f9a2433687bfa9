"""The part of `/_sandbox` that is the same for every vendor: levers, faults, requests, webhooks."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from broker.sandbox.core.control.faults import FaultEndpoints
from broker.sandbox.core.control.requests import Handler, guarded, read_object, set_levers
from broker.sandbox.core.deliveries import Deliveries
from broker.sandbox.core.simulation import Simulation

SHOWN = 100

Action = Callable[[Any], None]


class LeverEndpoints:
    """`/_sandbox/levers` over the dataclasses `targets`, with `actions` that are done once.
    `deliveries` is None for a vendor that sends no webhooks.
    """

    def __init__(
        self,
        simulation: Simulation,
        deliveries: Deliveries | None,
        targets: Iterable[Any],
        actions: dict[str, Action],
    ) -> None:
        self._simulation = simulation
        self._deliveries = deliveries
        self._targets = tuple(targets)
        self._actions = {"jump": lambda seconds: simulation.jump(float(seconds)), **actions}

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/_sandbox/levers", self.show),
            ("POST", "/_sandbox/levers", self.set),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/counters", self.counters),
        ]
        if self._deliveries is not None:
            sent = _Sent(self._deliveries)
            table.append(("GET", "/_sandbox/deliveries", sent.show))
            table.append(("POST", "/_sandbox/deliveries/{deliveryId}/replay", sent.replay))
        own = [web.route(method, path, guarded(handler)) for method, path, handler in table]
        return [*own, *FaultEndpoints(self._simulation.faults).routes()]

    def values(self) -> dict[str, Any]:
        """The value of every lever."""
        shown: dict[str, Any] = {"latency": self._simulation.latency}
        for target in self._targets:
            shown |= asdict(target)
        return shown

    async def show(self, _request: web.Request) -> web.Response:
        """Show the value of every lever."""
        return web.json_response(self.values())

    async def set(self, request: web.Request) -> web.Response:
        """Set levers by their names; do actions once."""
        payload = await read_object(request)
        set_levers(payload, *self._targets, actions=("latency", *self._actions))
        if "latency" in payload:
            self._simulation.latency = float(payload["latency"])
        for name, action in self._actions.items():
            if name in payload:
                action(payload[name])
        return web.Response(status=204)

    async def requests(self, request: web.Request) -> web.Response:
        """List the last requests, newest first, with hashes in place of secrets."""
        part = request.query.get("path", "")
        found = [each for each in reversed(self._simulation.seen) if part in each.target]
        return web.json_response([asdict(each) for each in found[:SHOWN]])

    async def counters(self, _request: web.Request) -> web.Response:
        """Show how often things happened."""
        return web.json_response(self._simulation.counters)


class _Sent:
    """`/_sandbox/deliveries`."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    async def show(self, _request: web.Request) -> web.Response:
        """List the attempts, newest first, and how many deliveries wait."""
        sent = [asdict(each) for each in reversed(self._deliveries.sent)]
        return web.json_response({"deliveries": sent, "waiting": len(self._deliveries.queue)})

    async def replay(self, request: web.Request) -> web.Response:
        """Send a delivery again, byte for byte."""
        self._deliveries.replay(request.match_info["deliveryId"])
        return web.Response(status=202)

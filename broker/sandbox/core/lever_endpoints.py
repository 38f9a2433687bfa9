"""The part of `/_sandbox` that is the same for every vendor: levers, faults, requests, webhooks."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from broker.sandbox.core.deliveries import Deliveries
from broker.sandbox.core.simulation import Handler, Simulation
from broker.sandbox.endpoints.control import guarded, said
from broker.sandbox.faults import KINDS, Fault

SHOWN = 100

Action = Callable[[Any], None]


class LeverEndpoints:
    """`/_sandbox/levers` over the dataclasses `targets`, with `actions` that are done once."""

    def __init__(
        self,
        simulation: Simulation,
        deliveries: Deliveries,
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
            ("GET", "/_sandbox/faults", self.faults),
            ("POST", "/_sandbox/faults", self.add_fault),
            ("DELETE", "/_sandbox/faults", self.clear_faults),
            ("GET", "/_sandbox/requests", self.requests),
            ("GET", "/_sandbox/counters", self.counters),
            ("GET", "/_sandbox/deliveries", self.deliveries),
            ("POST", "/_sandbox/deliveries/{deliveryId}/replay", self.replay),
        ]
        return [web.route(method, path, guarded(handler)) for method, path, handler in table]

    def values(self) -> dict[str, Any]:
        """How every lever stands."""
        shown: dict[str, Any] = {"latency": self._simulation.latency}
        for target in self._targets:
            shown |= asdict(target)
        return shown

    async def show(self, _request: web.Request) -> web.Response:
        """Show how every lever stands."""
        return web.json_response(self.values())

    async def set(self, request: web.Request) -> web.Response:
        """Set levers by their names; do actions once."""
        asked = await said(request)
        unknown = set(asked) - set(self.values()) - set(self._actions)
        if unknown:
            raise ValueError(f"no such lever: {', '.join(sorted(unknown))}")
        if "latency" in asked:
            self._simulation.latency = float(asked["latency"])
        for target in self._targets:
            for name in {each.name for each in fields(target)} & set(asked):
                setattr(target, name, asked[name])
        for name, action in self._actions.items():
            if name in asked:
                action(asked[name])
        return web.Response(status=204)

    async def faults(self, _request: web.Request) -> web.Response:
        """List the faults with how often each struck."""
        return web.json_response([asdict(fault) for fault in self._simulation.faults.active])

    async def add_fault(self, request: web.Request) -> web.Response:
        """Set a fault, by the fields of `Fault`."""
        fault = Fault(**await said(request))
        if fault.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        self._simulation.faults.add(fault)
        return web.json_response({"faults": len(self._simulation.faults.active)}, status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Remove every fault."""
        self._simulation.faults.clear()
        return web.Response(status=204)

    async def requests(self, request: web.Request) -> web.Response:
        """List the last requests, newest first, with hashes in place of secrets."""
        part = request.query.get("path", "")
        found = [each for each in reversed(self._simulation.seen) if part in each.target]
        return web.json_response([asdict(each) for each in found[:SHOWN]])

    async def counters(self, _request: web.Request) -> web.Response:
        """Show how often what happened."""
        return web.json_response(self._simulation.counters)

    async def deliveries(self, _request: web.Request) -> web.Response:
        """List the attempts, newest first, and how many deliveries wait."""
        sent = [asdict(each) for each in reversed(self._deliveries.sent)]
        return web.json_response({"deliveries": sent, "waiting": len(self._deliveries.queue)})

    async def replay(self, request: web.Request) -> web.Response:
        """Send a delivery again, byte for byte."""
        self._deliveries.replay(request.match_info["deliveryId"])
        return web.Response(status=202)


def refuse_other_origins(request: web.Request) -> None:
    """Only the simulation's own pages may post its forms. Raises HTTPForbidden."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden

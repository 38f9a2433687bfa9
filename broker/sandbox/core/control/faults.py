"""`/_sandbox/faults`: failures that are set from outside."""

from dataclasses import asdict

from aiohttp import web

from broker.sandbox.core.control.requests import guarded, read_object
from broker.sandbox.core.faults import KINDS, Fault, Faults


class FaultEndpoints:
    """Lists, sets and clears the faults of one sandbox."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        path = "/_sandbox/faults"
        return [
            web.get(path, self.list_faults),
            web.post(path, guarded(self.add_fault)),
            web.delete(path, self.clear_faults),
        ]

    async def list_faults(self, _request: web.Request) -> web.Response:
        """List the faults with how often each struck."""
        return web.json_response([asdict(fault) for fault in self._faults.active])

    async def add_fault(self, request: web.Request) -> web.Response:
        """Set a fault, by the fields of `Fault`."""
        fault = Fault(**await read_object(request))
        if fault.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        self._faults.add(fault)
        return web.json_response({"faults": len(self._faults.active)}, status=201)

    async def clear_faults(self, _request: web.Request) -> web.Response:
        """Remove every fault."""
        self._faults.clear()
        return web.Response(status=204)

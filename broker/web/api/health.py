"""Whether this process lives, and whether it can work."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.web.core.openapi import public


class OpenApiHandler:
    """`/openapi.json`."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    @public(tags=("Operations",))
    async def openapi(self, _request: web.Request) -> web.Response:
        """Describe the broker's own operations as OpenAPI 3.1."""
        return web.json_response(self._document)


class HealthHandlers:
    """`/healthz` and `/readyz`."""

    def __init__(self, check: Callable[[], Awaitable[dict[str, str]]]) -> None:
        """`check` gives "ok" or a problem for each thing that the broker needs."""
        self._check = check
        self.stopping = False

    @public(tags=("Operations",))
    async def alive(self, _request: web.Request) -> web.Response:
        """Report that this process is alive."""
        return web.json_response({"status": "ok"})

    @public(answers={200: None, 503: None}, tags=("Operations",))
    async def ready(self, _request: web.Request) -> web.Response:
        """Report whether the database, its schema and the sealing keys are in order."""
        checks = await self._check()
        if self.stopping:
            checks["process"] = "stopping"
        ready = all(state == "ok" for state in checks.values())
        return web.json_response(
            {"status": "ok" if ready else "not-ready", "checks": checks},
            status=200 if ready else 503,
        )

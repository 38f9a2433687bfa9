"""The sandbox as an HTTP service: HubSpot, its consent pages and the levers, on one port."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.answers import Refused, error
from broker.sandbox.consent import ConsentPages
from broker.sandbox.control import ControlEndpoints
from broker.sandbox.crm import ObjectEndpoints
from broker.sandbox.echo import EchoEndpoints
from broker.sandbox.faults import strike
from broker.sandbox.tokens import TokenEndpoints
from broker.sandbox.world import Sandbox, SeenRequest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

VERSIONS = "{version:v1|v3|2026-03|2026-09}"
OBJECTS = ("/crm/v3/objects/{kind}", "/crm/objects/{version:2026-03|2026-09}/{kind}")
REMEMBERED_BYTES = 65_536


def build(sandbox: Sandbox) -> web.Application:
    """The whole sandbox as one application."""
    app = web.Application(middlewares=[_play(sandbox)], client_max_size=4 * 1_048_576)
    consent, tokens, control = (
        ConsentPages(sandbox),
        TokenEndpoints(sandbox),
        ControlEndpoints(sandbox),
    )
    objects, echo = ObjectEndpoints(sandbox), EchoEndpoints(sandbox)
    app.add_routes(
        [
            web.get("/", control.home),
            web.get("/oauth/authorize", consent.ask),
            web.get(r"/oauth/{hub_id:\d+}/authorize", consent.ask),
            web.post("/oauth/decision", consent.decide),
            web.post(f"/oauth/{VERSIONS}/token", tokens.token),
            web.post(f"/oauth/{VERSIONS}/token/introspect", tokens.introspect),
            web.post(f"/oauth/{VERSIONS}/token/revoke", tokens.revoke),
            web.get(f"/account-info/{VERSIONS}/details", tokens.account),
            web.delete(f"/appinstalls/{VERSIONS}/external-install", tokens.uninstall),
            web.post("/_sandbox/apps", control.put_app),
            web.post("/_sandbox/portals", control.put_portal),
            web.get("/_sandbox/faults", control.faults),
            web.post("/_sandbox/faults", control.add_fault),
            web.delete("/_sandbox/faults", control.clear_faults),
            web.post("/_sandbox/levers", control.levers),
            web.get("/_sandbox/counters", control.counters),
            web.route("*", "/_echo/{rest:.*}", echo.echo),
            web.get(r"/_bytes/{n:\d+}", echo.send_bytes),
            web.route("*", r"/_status/{code:\d+}", echo.status),
        ]
    )
    for base in OBJECTS:
        app.add_routes(
            [
                web.post(f"{base}/search", objects.search),
                web.get(base, objects.index),
                web.post(base, objects.create),
                web.get(f"{base}/{{id}}", objects.read),
                web.patch(f"{base}/{{id}}", objects.update),
                web.delete(f"{base}/{{id}}", objects.archive),
            ]
        )
    return app


def _play(sandbox: Sandbox) -> Any:
    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_sandbox") or request.path == "/":
            return await handler(request)
        small = (request.content_length or 0) <= REMEMBERED_BYTES
        fault = sandbox.faults.striking(request)
        early = fault is not None and fault.kind == "early-answer"
        body = await request.read() if small and request.content_length and not early else b""
        sandbox.seen.append(SeenRequest(request.method, request.raw_path, request.headers, body))
        if fault is not None:
            return await strike(fault, request, lambda asked: _answered(asked, handler))
        return await _answered(request, handler)

    return play


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return error(refused)
    except web.HTTPNotFound:
        return error(Refused(404, "resource not found"))

"""The sandbox as an HTTP service: HubSpot, its consent pages and the levers, on one port."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.core.faults import strike
from broker.sandbox.core.sending import sending
from broker.sandbox.hubspot.access import LIMITS
from broker.sandbox.hubspot.answers import Refused, error
from broker.sandbox.hubspot.endpoints import account, callbacks
from broker.sandbox.hubspot.endpoints.acting import ActingEndpoints
from broker.sandbox.hubspot.endpoints.consent import ConsentPages
from broker.sandbox.hubspot.endpoints.control import ControlEndpoints
from broker.sandbox.hubspot.endpoints.crm import (
    associations,
    batches,
    labels,
    objects,
    pipelines,
    properties,
    schemas,
)
from broker.sandbox.hubspot.endpoints.echo import EchoEndpoints
from broker.sandbox.hubspot.endpoints.journal import JournalEndpoints
from broker.sandbox.hubspot.endpoints.subscriptions import SubscriptionEndpoints
from broker.sandbox.hubspot.endpoints.tokens import TokenEndpoints
from broker.sandbox.hubspot.world import Sandbox, SeenRequest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REMEMBERED_BYTES = 65_536
LACKING = "the sandbox does not have this path; HubSpot may (docs/sandbox/hubspot.md)"
# Fixed paths come before those with a variable in the same position: batches before records, and
# the definitions of associations before their pairs.
CRM = (batches, associations, labels, objects, properties, schemas, pipelines, account, callbacks)


def build(sandbox: Sandbox) -> web.Application:
    """The whole sandbox as one application."""
    app = web.Application(middlewares=[_play(sandbox)], client_max_size=4 * 1_048_576)
    for module in CRM:
        app.add_routes(module.routes(sandbox))
    for endpoints in (
        ControlEndpoints(sandbox),
        ActingEndpoints(sandbox),
        SubscriptionEndpoints(sandbox),
        ConsentPages(sandbox),
        TokenEndpoints(sandbox),
        EchoEndpoints(sandbox),
        JournalEndpoints(sandbox),
    ):
        app.add_routes(endpoints.routes())
    app.cleanup_ctx.append(sending(sandbox.webhooks, sandbox.workflows))
    return app


def _play(sandbox: Sandbox) -> Any:
    @web.middleware
    async def play(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/_sandbox") or request.path == "/":
            return await _answered(sandbox, request, handler)
        small = (request.content_length or 0) <= REMEMBERED_BYTES
        fault = sandbox.faults.striking(request)
        early = fault is not None and fault.kind == "early-answer"
        body = await request.read() if small and request.content_length and not early else b""
        sandbox.seen.append(SeenRequest(request.method, request.raw_path, request.headers, body))
        if fault is not None:
            return await strike(fault, request, lambda passed: _answered(sandbox, passed, handler))
        return await _answered(sandbox, request, handler)

    return play


async def _answered(sandbox: Sandbox, request: web.Request, handler: Handler) -> web.StreamResponse:
    sandbox.answered += 1
    resource = request.match_info.route.resource
    if resource is not None:
        name = f"{request.method} {resource.canonical}"
        sandbox.counters[name] = sandbox.counters.get(name, 0) + 1
    try:
        response = await handler(request)
    except Refused as refused:
        response = error(refused)
    except web.HTTPNotFound:
        # Browsers look for an icon next to the consent page; that is not a client's call.
        response = error(Refused(404 if request.path == "/favicon.ico" else 501, LACKING))
    except web.HTTPMethodNotAllowed:
        response = error(Refused(405, "Method Not Allowed"))
    limits = request.get(LIMITS)
    if limits is not None and not response.prepared:
        response.headers.update(limits)
    return response

"""Completing workflow actions that answered ASYNC or BLOCK
(https://developers.hubspot.com/docs/api-reference/latest/automation/workflow-actions).
"""

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.world import Sandbox

BASES = (
    "/automation/v4/actions/callbacks",
    "/automation/actions/callbacks/{version:2026-03|2026-09}",
)
SCOPES = ("automation",)


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, Work]] = [("/complete", many), ("/{callbackId}/complete", one)]
    return [web.post(base + path, entered(sandbox, work)) for base in BASES for path, work in table]


async def one(call: Call) -> web.StreamResponse:
    """Complete one run."""
    call.require(SCOPES)
    body = await call.body()
    _complete(call, call.request.match_info["callbackId"], body["outputFields"])
    return web.Response(status=204)


async def many(call: Call) -> web.StreamResponse:
    """Complete several runs."""
    call.require(SCOPES)
    for each in await call.inputs():
        _complete(call, str(each["callbackId"]), each["outputFields"])
    return web.Response(status=204)


def _complete(call: Call, callback_id: str, output: dict[str, str]) -> None:
    if not call.sandbox.workflows.complete(callback_id, call.portal.hub_id, output):
        raise Refused(404, "No workflow action waits for this callback", "OBJECT_NOT_FOUND")

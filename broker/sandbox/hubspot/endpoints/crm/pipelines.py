"""Pipelines and their stages (https://developers.hubspot.com/docs/api-reference/latest/crm/pipelines)."""

from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.crm.values import moment
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.portal import stage as new_stage
from broker.sandbox.hubspot.world import Sandbox

BASES = (
    "/crm/v3/pipelines/{objectType}",
    "/crm/pipelines/{version:2026-03|2026-09}/{objectType}",
)
STAGE_FIELDS = ("label", "displayOrder", "metadata", "archived")


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, str, Work]] = [
        ("GET", "", index),
        ("POST", "", create),
        ("GET", "/{pipelineId}", read),
        ("PATCH", "/{pipelineId}", update),
        ("PUT", "/{pipelineId}", replace),
        ("DELETE", "/{pipelineId}", remove),
        ("GET", "/{pipelineId}/audit", audit),
        ("GET", "/{pipelineId}/stages", stages),
        ("POST", "/{pipelineId}/stages", create_stage),
        ("GET", "/{pipelineId}/stages/{stageId}", read_stage),
        ("PATCH", "/{pipelineId}/stages/{stageId}", update_stage),
        ("PUT", "/{pipelineId}/stages/{stageId}", update_stage),
        ("DELETE", "/{pipelineId}/stages/{stageId}", remove_stage),
        ("GET", "/{pipelineId}/stages/{stageId}/audit", audit),
    ]
    return [
        web.route(method, base + path, entered(sandbox, work))
        for base in BASES
        for method, path, work in table
    ]


def _every(call: Call, right: str) -> dict[str, dict[str, Any]]:
    kind: ObjectType = call.kind()
    call.require(kind.definition_scopes(right))
    return call.portal.pipelines.setdefault(kind.id, {})


def _pipeline(call: Call, right: str) -> dict[str, Any]:
    found = _every(call, right).get(call.request.match_info["pipelineId"])
    if found is None:
        raise Refused(404, "Pipeline not found", "OBJECT_NOT_FOUND")
    return found


def _stage(call: Call, right: str) -> tuple[dict[str, Any], dict[str, Any]]:
    pipeline, stage_id = _pipeline(call, right), call.request.match_info["stageId"]
    for each in pipeline["stages"]:
        if each["id"] == stage_id:
            return pipeline, each
    raise Refused(404, "Pipeline stage not found", "OBJECT_NOT_FOUND")


async def index(call: Call) -> web.StreamResponse:
    """List a type's pipelines."""
    return answer({"results": list(_every(call, "read").values())})


async def read(call: Call) -> web.StreamResponse:
    """Read one pipeline."""
    return answer(_pipeline(call, "read"))


async def create(call: Call) -> web.StreamResponse:
    """Make a pipeline with its stages."""
    every, payload = _every(call, "write"), await call.body()
    number = str(payload.get("pipelineId") or call.portal.new_id())
    if number in every or any(each["label"] == payload["label"] for each in every.values()):
        raise Refused(409, "A pipeline with that label or id exists", "OBJECT_ALREADY_EXISTS")
    stamp = moment(call.sandbox.now())
    every[number] = {
        "label": payload["label"],
        "displayOrder": payload.get("displayOrder", len(every)),
        "id": number,
        "stages": [_made_stage(call, each) for each in payload["stages"]],
        "createdAt": stamp,
        "updatedAt": stamp,
        "archived": False,
    }
    return answer(every[number], 201)


def _made_stage(call: Call, payload: dict[str, Any]) -> dict[str, Any]:
    return new_stage(
        str(payload.get("stageId") or call.portal.new_id()),
        payload["label"],
        payload.get("displayOrder", 0),
        {name: str(value) for name, value in (payload.get("metadata") or {}).items()},
        moment(call.sandbox.now()),
    )


async def update(call: Call) -> web.StreamResponse:
    """Change a pipeline's label or place."""
    pipeline, payload = _pipeline(call, "write"), await call.body()
    fields = ("label", "displayOrder", "archived")
    pipeline |= {name: payload[name] for name in fields if name in payload}
    pipeline["updatedAt"] = moment(call.sandbox.now())
    return answer(pipeline)


async def replace(call: Call) -> web.StreamResponse:
    """Put another label, place and stages in place of a pipeline's own."""
    pipeline, payload = _pipeline(call, "write"), await call.body()
    stages = [_made_stage(call, each) for each in payload["stages"]]
    pipeline |= {
        "label": payload["label"],
        "displayOrder": payload["displayOrder"],
        "stages": stages,
        "updatedAt": moment(call.sandbox.now()),
    }
    return answer(pipeline)


async def remove(call: Call) -> web.StreamResponse:
    """Remove a pipeline."""
    _pipeline(call, "write")
    del _every(call, "write")[call.request.match_info["pipelineId"]]
    return web.Response(status=204)


async def audit(call: Call) -> web.StreamResponse:
    """List the changes of pipelines; the sandbox has no such log."""
    _pipeline(call, "read")
    return answer({"results": []})


async def stages(call: Call) -> web.StreamResponse:
    """List a pipeline's stages."""
    return answer({"results": _pipeline(call, "read")["stages"]})


async def create_stage(call: Call) -> web.StreamResponse:
    """Add a stage."""
    pipeline = _pipeline(call, "write")
    pipeline["stages"].append(_made_stage(call, await call.body()))
    return answer(pipeline["stages"][-1], 201)


async def read_stage(call: Call) -> web.StreamResponse:
    """Read one stage."""
    return answer(_stage(call, "read")[1])


async def update_stage(call: Call) -> web.StreamResponse:
    """Change a stage."""
    _, stage = _stage(call, "write")
    payload = await call.body()
    stage |= {name: payload[name] for name in STAGE_FIELDS if name in payload}
    stage["updatedAt"] = moment(call.sandbox.now())
    return answer(stage)


async def remove_stage(call: Call) -> web.StreamResponse:
    """Remove a stage."""
    pipeline, stage = _stage(call, "write")
    pipeline["stages"].remove(stage)
    return web.Response(status=204)

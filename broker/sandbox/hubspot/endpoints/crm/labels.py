"""Kinds of association between two types: labels, and how many a record may have
(https://developers.hubspot.com/docs/api-reference/latest/crm/associations/association-labels).
"""

from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.links import LinkType
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.endpoints.crm.batches import batch
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.world import Sandbox

# Both spellings of v4 are in use: the guide's and the one that SDKs and documents have.
BASES = (
    "/crm/v4/associations",
    "/crm/associations/v4",
    "/crm/associations/{version:2026-03|2026-09}",
)


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    pair = "/{objectType}/{toObjectType}"
    configured = "/definitions/configurations"
    table: list[tuple[str, str, Work]] = [
        ("GET", f"{configured}/all", all_configured),
        ("GET", configured + pair, configurations),
        ("POST", f"{configured}{pair}/batch/create", configure),
        ("POST", f"{configured}{pair}/batch/update", configure),
        ("POST", f"{configured}{pair}/batch/purge", purge),
        ("GET", f"{pair}/labels", index),
        ("POST", f"{pair}/labels", create),
        ("PUT", f"{pair}/labels", update),
        ("DELETE", f"{pair}/labels/{{associationTypeId}}", remove),
    ]
    return [
        web.route(method, base + path, entered(sandbox, work))
        for base in BASES
        for method, path, work in table
    ]


def _ends(call: Call, right: str) -> tuple[ObjectType, ObjectType]:
    source, target = call.kind(), call.kind("toObjectType")
    call.require((*source.definition_scopes(right), *target.definition_scopes(right)))
    return source, target


def _shown(link: LinkType) -> dict[str, Any]:
    return {"category": link.category, "typeId": link.id, "label": link.label}


async def index(call: Call) -> web.StreamResponse:
    """List the kinds of association from one type to another."""
    source, target = _ends(call, "read")
    kinds = call.portal.links.between(source.id, target.id)
    return answer({"results": [_shown(link) for link in kinds]})


async def create(call: Call) -> web.StreamResponse:
    """Make a label, with another for the way back when it is named."""
    source, target = _ends(call, "write")
    payload = await call.body()
    name, label = str(payload["name"]), str(payload["label"])
    if any(link.name == name for link in call.portal.links.between(source.id, target.id)):
        raise Refused(400, f"An association label named {name} exists", "VALIDATION_ERROR")
    made = call.portal.links.define(source.id, target.id, name, label, payload.get("inverseLabel"))
    return answer({"results": [_shown(link) for link in made]})


async def update(call: Call) -> web.StreamResponse:
    """Give a label other words."""
    _ends(call, "write")
    payload = await call.body()
    link = _own(call, str(payload["associationTypeId"]))
    link.label = str(payload["label"])
    if payload.get("inverseLabel") is not None:
        _own(call, str(link.inverse)).label = str(payload["inverseLabel"])
    return web.Response(status=204)


async def remove(call: Call) -> web.StreamResponse:
    """Remove a label, and take it off every pair."""
    _ends(call, "write")
    call.portal.links.purge(_own(call, call.request.match_info["associationTypeId"]))
    return web.Response(status=204)


def _own(call: Call, number: str) -> LinkType:
    link = call.portal.links.own.get(f"USER_DEFINED:{number}")
    if link is None:
        raise Refused(404, f"No user-defined association type {number}", "OBJECT_NOT_FOUND")
    return link


def _configured(call: Call, link: LinkType) -> dict[str, Any]:
    most = call.portal.links.limits.get(link.key)
    return {**_shown(link), **({"userEnforcedMaxToObjectIds": most} if most else {})}


async def all_configured(call: Call) -> web.StreamResponse:
    """List every limit that was set."""
    links = call.portal.links
    kinds = [link for key in links.limits if (link := links.find_type(key)) is not None]
    return answer({"results": [_configured(call, link) for link in kinds]})


async def configurations(call: Call) -> web.StreamResponse:
    """List the kinds between two types with their limits."""
    source, target = _ends(call, "read")
    kinds = call.portal.links.between(source.id, target.id)
    return answer({"results": [_configured(call, link) for link in kinds]})


async def configure(call: Call) -> web.StreamResponse:
    """Limit how many records of a type a record may have."""
    source, target = _ends(call, "write")
    creating = call.request.path.endswith("create")
    results: list[Any] = []
    for each in await call.inputs():
        link = call.crm.associating.spec(source, each, target.id)
        call.portal.links.limits[link.key] = int(each["maxToObjectIds"])
        shown = _configured(call, link)
        if not creating:
            shown.pop("label")
        results.append(shown)
    return batch(call, results, status=201 if creating else 200)


async def purge(call: Call) -> web.StreamResponse:
    """Lift limits."""
    source, target = _ends(call, "write")
    for each in await call.inputs():
        link = call.crm.associating.spec(source, each, target.id)
        call.portal.links.limits.pop(link.key, None)
    return batch(call, []) if call.dated else web.Response(status=204)

"""Custom object types, under the path of the guide and the path of SDKs and documents
(https://developers.hubspot.com/docs/api-reference/latest/crm/objects/schemas).
"""

import re
from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.definitions import definition, group_of
from broker.sandbox.hubspot.crm.types import ObjectType, custom
from broker.sandbox.hubspot.crm.values import moment
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.world import Sandbox

BASES = ("/crm/v3/schemas", "/crm-object-schemas/{version:v3|2026-03|2026-09}/schemas")
READ, WRITE = ("crm.schemas.custom.read",), ("crm.schemas.custom.write",)
CHANGEABLE = {
    "labels", "description", "primaryDisplayProperty", "requiredProperties",
    "searchableProperties", "secondaryDisplayProperties", "allowsSensitiveProperties",
}  # fmt: skip


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, str, Work]] = [
        ("GET", "", index),
        ("POST", "", create),
        ("POST", "/batch/read", read_batch),
        ("GET", "/{objectType}", read),
        ("PATCH", "/{objectType}", update),
        ("DELETE", "/{objectType}", archive),
        ("POST", "/{objectType}/associations", associate),
        ("DELETE", "/{objectType}/associations/{associationIdentifier}", separate),
    ]
    return [
        web.route(method, base + path, entered(sandbox, work))
        for base in BASES
        for method, path, work in table
    ]


def _kind(call: Call) -> ObjectType:
    kind = call.portal.type(call.request.match_info["objectType"])
    if kind is None or kind.id not in call.portal.schemas:
        raise Refused(404, "Unable to find the object type definition", "OBJECT_NOT_FOUND")
    return kind


def _shown(call: Call, kind: ObjectType) -> dict[str, Any]:
    links = [
        link
        for link in call.portal.links.own.values()
        if kind.id in {link.from_type, link.to_type} and not link.label
    ]
    return {
        "allowsSensitiveProperties": False,
        **call.portal.schemas[kind.id],
        "properties": list(call.portal.live_definitions(kind).values()),
        "associations": [
            {
                "id": str(link.id),
                "fromObjectTypeId": link.from_type,
                "toObjectTypeId": link.to_type,
                "name": link.name,
            }
            for link in links
        ],
    }


async def index(call: Call) -> web.StreamResponse:
    """List the custom types."""
    call.require(READ)
    return answer({"results": [_shown(call, kind) for kind in call.portal.types.values()]})


async def read(call: Call) -> web.StreamResponse:
    """Read one type's schema."""
    call.require(READ)
    return answer(_shown(call, _kind(call)))


async def read_batch(call: Call) -> web.StreamResponse:
    """Read many schemas; those that are not there are left out."""
    call.require(READ)
    kinds = [call.portal.type(str(name)) for name in (await call.body())["inputs"]]
    own = [kind for kind in kinds if kind is not None and kind.id in call.portal.schemas]
    return answer({"results": [_shown(call, kind) for kind in own]})


async def create(call: Call) -> web.StreamResponse:
    """Make a type with its properties and its associations."""
    call.require(WRITE)
    payload = await call.body()
    for name in ("name", "labels", "requiredProperties", "properties", "associatedObjects"):
        if name not in payload:
            message = f"Invalid input JSON: some required fields were not set: [{name}]"
            raise Refused(400, message, "VALIDATION_ERROR")
    name, portal = str(payload["name"]), call.portal
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
        raise Refused(400, f"Object type name {name[:60]} is not valid", "VALIDATION_ERROR")
    if portal.type(name) is not None:
        raise Refused(409, f"An object type named {name} already exists.", "OBJECT_ALREADY_EXISTS")
    stamp = moment(call.sandbox.now())
    kind = custom(f"2-{portal.new_id()}", name, portal.hub_id)
    targets = [_target(call, str(each)) for each in payload["associatedObjects"]]
    own = {each["name"] for each in payload["properties"]}
    named = [*payload["requiredProperties"], payload.get("primaryDisplayProperty")]
    unknown = [each for each in named if each is not None and each not in own]
    if unknown:
        message = f"Properties {unknown} are named but not defined"
        raise Refused(400, message, "VALIDATION_ERROR")
    portal.types[kind.id] = kind
    for each in payload["properties"]:
        made = definition({"groupName": group_of(kind.id), **each}, stamp)
        portal.definitions(kind)[made["name"]] = made
    for target in targets:
        portal.links.define(kind.id, target.id, f"{name}_to_{target.singular}")
    portal.schemas[kind.id] = {
        "id": kind.id.removeprefix("2-"),
        "objectTypeId": kind.id,
        "fullyQualifiedName": kind.full_name,
        "name": name,
        "createdAt": stamp,
        "updatedAt": stamp,
        "archived": False,
        "requiredProperties": payload["requiredProperties"],
        **{field: payload[field] for field in CHANGEABLE if field in payload},
    }
    return answer(_shown(call, kind), 201)


def _target(call: Call, name: str) -> ObjectType:
    kind = call.portal.type(name)
    if kind is None:
        raise Refused(400, f"Unable to infer object type from: {name}", "VALIDATION_ERROR")
    return kind


async def update(call: Call) -> web.StreamResponse:
    """Change a type's labels and which properties it shows and requires."""
    call.require(WRITE)
    kind, payload = _kind(call), await call.body()
    schema = call.portal.schemas[kind.id]
    schema |= {name: payload[name] for name in CHANGEABLE if name in payload}
    schema["updatedAt"] = moment(call.sandbox.now())
    shown = {"allowsSensitiveProperties": False, **schema, "portalId": call.portal.hub_id}
    return answer(shown)


async def archive(call: Call) -> web.StreamResponse:
    """Remove a type that has no records left."""
    call.require(WRITE)
    kind = _kind(call)
    if any(True for _ in call.portal.of(kind).live()):
        message = "Cannot delete an object type that has records"
        raise Refused(400, message, "VALIDATION_ERROR")
    for link in list(call.portal.links.own.values()):
        if kind.id in {link.from_type, link.to_type}:
            call.portal.links.purge(link)
    for registry in (call.portal.types, call.portal.schemas, call.portal.properties):
        registry.pop(kind.id, None)
    return web.Response(status=204)


async def associate(call: Call) -> web.StreamResponse:
    """Let a type be associated with another."""
    call.require(WRITE)
    kind, payload = _kind(call), await call.body()
    target = _target(call, str(payload["toObjectTypeId"]))
    name = payload.get("name") or f"{kind.singular}_to_{target.singular}"
    link = call.portal.links.define(kind.id, target.id, name)[0]
    stamp = moment(call.sandbox.now())
    return answer(
        {
            "id": str(link.id),
            "fromObjectTypeId": link.from_type,
            "toObjectTypeId": link.to_type,
            "name": link.name,
            "createdAt": stamp,
            "updatedAt": stamp,
        },
        201,
    )


async def separate(call: Call) -> web.StreamResponse:
    """Remove a kind of association of a type."""
    call.require(WRITE)
    _kind(call)
    number = call.request.match_info["associationIdentifier"]
    link = call.portal.links.own.get(f"USER_DEFINED:{number}")
    if link is not None:
        call.portal.links.purge(link)
    return web.Response(status=204)

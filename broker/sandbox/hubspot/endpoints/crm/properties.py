"""Property definitions and their groups
(https://developers.hubspot.com/docs/api-reference/latest/crm/properties).
"""

import re
from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.definitions import definition
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.crm.values import moment
from broker.sandbox.hubspot.endpoints.crm.batches import batch, batch_error
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, checked_inputs, entered
from broker.sandbox.hubspot.world import Sandbox

BASES = (
    "/crm/v3/properties/{objectType}",
    "/crm/properties/{version:2026-03|2026-09}/{objectType}",
)
FIELD_TYPES = {
    "bool": {"booleancheckbox", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "enumeration": {"booleancheckbox", "checkbox", "radio", "select", "calculation_equation"},
    "number": {"number", "calculation_equation"},
    "phone_number": {"phonenumber"},
    "string": {"file", "html", "phonenumber", "text", "textarea", "calculation_equation"},
}
CHANGEABLE = {
    "label", "type", "fieldType", "description", "groupName", "options", "displayOrder",
    "hidden", "formField",
}  # fmt: skip
MOST_UNIQUE = 10


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, str, Work]] = [
        ("GET", "", index),
        ("POST", "", create),
        ("POST", "/batch/read", read_batch),
        ("POST", "/batch/create", create_batch),
        ("POST", "/batch/archive", archive_batch),
        ("GET", "/groups", groups),
        ("POST", "/groups", create_group),
        ("GET", "/groups/{groupName}", read_group),
        ("PATCH", "/groups/{groupName}", update_group),
        ("DELETE", "/groups/{groupName}", archive_group),
        ("GET", "/{propertyName}", read),
        ("PATCH", "/{propertyName}", update),
        ("DELETE", "/{propertyName}", archive),
    ]
    return [
        web.route(method, base + path, entered(sandbox, work))
        for base in BASES
        for method, path, work in table
    ]


def _allowed(call: Call, right: str) -> ObjectType:
    kind = call.kind()
    call.require(kind.definition_scopes(right))
    return kind


def _found(call: Call, kind: ObjectType, name: str, *, archived: bool = False) -> dict[str, Any]:
    defined = call.portal.definitions(kind).get(name)
    if defined is None or defined["archived"] != archived:
        message = f'Property "{name}" does not exist'
        raise Refused(404, message, "OBJECT_NOT_FOUND", context={"propertyName": [name]})
    return defined


async def index(call: Call) -> web.StreamResponse:
    """List a type's properties."""
    kind = _allowed(call, "read")
    archived = call.request.query.get("archived") == "true"
    every = call.portal.definitions(kind).values()
    return answer({"results": [each for each in every if each["archived"] == archived]})


async def read(call: Call) -> web.StreamResponse:
    """Read one property."""
    kind = _allowed(call, "read")
    archived = call.request.query.get("archived") == "true"
    return answer(_found(call, kind, call.request.match_info["propertyName"], archived=archived))


async def create(call: Call) -> web.StreamResponse:
    """Make a property."""
    kind = _allowed(call, "write")
    return answer(_create(call, kind, await call.body()), 201)


def _create(call: Call, kind: ObjectType, payload: dict[str, Any]) -> dict[str, Any]:
    for name in ("name", "label", "type", "fieldType", "groupName"):
        if not payload.get(name):
            message = f"Invalid input JSON: some required fields were not set: [{name}]"
            raise Refused(400, message, "VALIDATION_ERROR")
    name = str(payload["name"])
    every = call.portal.definitions(kind)
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise Refused(400, f'Property name "{name[:110]}" is not valid', "VALIDATION_ERROR")
    if name in every and not every[name]["archived"]:
        message = f'A property named "{name}" already exists.'
        raise Refused(409, message, "OBJECT_ALREADY_EXISTS")
    _check(call, kind, payload)
    if payload.get("hasUniqueValue") and len(call.portal.unique(kind)) >= MOST_UNIQUE:
        raise Refused(400, "At most 10 properties may have unique values", "VALIDATION_ERROR")
    every[name] = definition(payload, moment(call.sandbox.now()))
    return every[name]


def _check(call: Call, kind: ObjectType, payload: dict[str, Any]) -> None:
    fields = FIELD_TYPES.get(payload["type"])
    if fields is None or payload["fieldType"] not in fields:
        message = f"Invalid type {payload['type']} with fieldType {payload['fieldType']}"
        raise Refused(400, message, "VALIDATION_ERROR")
    if payload["groupName"] not in call.portal.groups_of(kind):
        message = f'Property group "{payload["groupName"]}" does not exist'
        raise Refused(400, message, "VALIDATION_ERROR")
    values = [option["value"] for option in payload.get("options") or []]
    if len(values) != len(set(values)):
        raise Refused(400, "Property options must have unique values", "VALIDATION_ERROR")


async def update(call: Call) -> web.StreamResponse:
    """Change a property; its name stays."""
    kind = _allowed(call, "write")
    defined = _found(call, kind, call.request.match_info["propertyName"])
    payload = {name: each for name, each in (await call.body()).items() if name in CHANGEABLE}
    if defined["modificationMetadata"]["readOnlyDefinition"] and set(payload) - {
        "label",
        "options",
    }:
        message = f'Property "{defined["name"]}" is defined by HubSpot and cannot be changed'
        raise Refused(400, message, "VALIDATION_ERROR")
    _check(call, kind, {**defined, **payload})
    changed = definition({**defined, **payload}, defined["createdAt"])
    defined.update({name: changed[name] for name in payload})
    defined["updatedAt"] = moment(call.sandbox.now())
    return answer(defined)


async def archive(call: Call) -> web.StreamResponse:
    """Archive a property; a repeat answers the same."""
    kind = _allowed(call, "write")
    _archive(call, kind, call.request.match_info["propertyName"])
    return web.Response(status=204)


def _archive(call: Call, kind: ObjectType, name: str) -> None:
    defined = call.portal.definitions(kind).get(name)
    if defined is None or defined["archived"]:
        return
    if not defined["modificationMetadata"]["archivable"]:
        message = f'Property "{name}" is defined by HubSpot and cannot be archived'
        raise Refused(400, message, "VALIDATION_ERROR")
    defined |= {"archived": True, "archivedAt": moment(call.sandbox.now())}


async def read_batch(call: Call) -> web.StreamResponse:
    """Read many properties; those that are not there are errors."""
    kind, payload = _allowed(call, "read"), await call.body()
    found: list[Any] = []
    errors: list[Any] = []
    for each in checked_inputs(payload):
        try:
            found.append(_found(call, kind, each["name"], archived=payload.get("archived") is True))
        except Refused as refused:
            errors.append(batch_error(refused, {"name": [each["name"]]}))
    return batch(call, found, errors)


async def create_batch(call: Call) -> web.StreamResponse:
    """Make many properties, each on its own."""
    kind = _allowed(call, "write")
    made: list[Any] = []
    errors: list[Any] = []
    for each in await call.inputs():
        try:
            made.append(_create(call, kind, each))
        except Refused as refused:
            errors.append(batch_error(refused, {"name": [str(each.get("name"))]}))
    return batch(call, made, errors, status=201)


async def archive_batch(call: Call) -> web.StreamResponse:
    """Archive many properties."""
    kind = _allowed(call, "write")
    for each in await call.inputs():
        _archive(call, kind, each["name"])
    return web.Response(status=204)


async def groups(call: Call) -> web.StreamResponse:
    """List a type's property groups."""
    every = call.portal.groups_of(_allowed(call, "read")).values()
    return answer({"results": [each for each in every if not each["archived"]]})


async def create_group(call: Call) -> web.StreamResponse:
    """Make a group."""
    kind, payload = _allowed(call, "write"), await call.body()
    every, name = call.portal.groups_of(kind), str(payload["name"])
    if name in every:
        message = f'A property group named "{name}" already exists.'
        raise Refused(409, message, "OBJECT_ALREADY_EXISTS")
    every[name] = {
        "name": name,
        "label": payload["label"],
        "displayOrder": payload.get("displayOrder", -1),
        "archived": False,
    }
    return answer(every[name], 201)


def _group(call: Call, right: str) -> dict[str, Any]:
    name = call.request.match_info["groupName"]
    group = call.portal.groups_of(_allowed(call, right)).get(name)
    if group is None or group["archived"]:
        raise Refused(404, f'Property group "{name}" does not exist', "OBJECT_NOT_FOUND")
    return group


async def read_group(call: Call) -> web.StreamResponse:
    """Read one group."""
    return answer(_group(call, "read"))


async def update_group(call: Call) -> web.StreamResponse:
    """Change a group's label or place."""
    group, payload = _group(call, "write"), await call.body()
    group |= {name: payload[name] for name in ("label", "displayOrder") if name in payload}
    return answer(group)


async def archive_group(call: Call) -> web.StreamResponse:
    """Archive a group."""
    _group(call, "write")["archived"] = True
    return web.Response(status=204)

"""Associations of records: v4 and dated one by one and in batches, v3 in batches
(https://developers.hubspot.com/docs/api-reference/latest/crm/associations).
"""

from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.links import LinkType
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.endpoints.crm.batches import batch, missing
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.world import Sandbox

V3 = "/crm/v3/associations/{objectType}/{toObjectType}"
BATCHES = (
    "/crm/v4/associations/{objectType}/{toObjectType}/batch",
    "/crm/associations/{version:2026-03|2026-09}/{objectType}/{toObjectType}/batch",
)
SINGLES = ("/crm/v4/objects", "/crm/objects/{version:2026-03|2026-09}")
MOST_READ, MOST_WRITTEN = 1000, 2000


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    between = "/{objectType}/{objectId}/associations/{toObjectType}/{toObjectId}"
    plain = "/{objectType}/{objectId}/associations/default/{toObjectType}/{toObjectId}"
    every: list[tuple[str, str, Work]] = []
    for base in SINGLES:
        every += [
            ("PUT", base + plain, associate_default),
            ("PUT", base + between, associate),
            ("DELETE", base + between, separate),
            ("GET", base + "/{objectType}/{objectId}/associations/{toObjectType}", read),
        ]
    for base in BATCHES:
        every += [
            ("POST", base + "/read", read_batch),
            ("POST", base + "/create", create_batch),
            ("POST", base + "/archive", archive_batch),
            ("POST", base + "/associate/default", default_batch),
            ("POST", base + "/labels/archive", archive_labels),
        ]
    every += [
        ("POST", V3 + "/batch/read", read_v3),
        ("POST", V3 + "/batch/create", create_v3),
        ("POST", V3 + "/batch/archive", archive_v3),
        ("GET", V3 + "/types", types_v3),
    ]
    return [web.route(method, path, entered(sandbox, work)) for method, path, work in every]


def _ends(call: Call, right: str) -> tuple[ObjectType, ObjectType]:
    source, target = call.kind(), call.kind("toObjectType")
    call.require((*source.scopes(right), *target.scopes(right)))
    return source, target


def _ids(call: Call) -> tuple[str, str]:
    return call.request.match_info["objectId"], call.request.match_info["toObjectId"]


def _spec(link: LinkType) -> dict[str, Any]:
    return {"category": link.category, "typeId": link.id, "label": link.label}


def _associated(call: Call, source: ObjectType, from_id: str, target: ObjectType) -> list[Any]:
    # Doc samples of v4 have numbers here, the dated documents have strings.
    linked = call.portal.links.of(source.id, from_id, target.id)
    return [
        {
            "toObjectId": other if call.dated else int(other),
            "associationTypes": [_spec(link) for link in links],
        }
        for other, links in linked.items()
    ]


async def read(call: Call) -> web.StreamResponse:
    """List the records of a type that a record is associated with, and the association types."""
    source, target = _ends(call, "read")
    record = call.crm.find(source, call.request.match_info["objectId"])
    rows = _associated(call, source, record.id, target)
    page, more = call.page(rows, call.number("limit", 500, 500), call.number("after", 0, 2**53))
    return answer({"results": page, **more})


async def associate_default(call: Call) -> web.StreamResponse:
    """Associate two records without a label."""
    source, target = _ends(call, "write")
    from_id, to_id = _ids(call)
    results = _default(call, source, from_id, target, to_id)
    return batch(call, results)


def _default(
    call: Call, source: ObjectType, from_id: str, target: ObjectType, to_id: str
) -> list[Any]:
    associating = call.crm.associating
    link = associating.plain(source, target)
    associating.exists(source.id, from_id)
    associating.exists(target.id, to_id)
    associating.link(from_id, to_id, link)
    return [
        {
            "from": {"id": here},
            "to": {"id": there},
            "associationSpec": {"associationCategory": link.category, "associationTypeId": number},
        }
        for here, there, number in ((from_id, to_id, link.id), (to_id, from_id, link.inverse))
    ]


async def associate(call: Call) -> web.StreamResponse:
    """Associate two records by the kinds in the body."""
    source, target = _ends(call, "write")
    from_id, to_id = _ids(call)
    specs = await call.json()
    return answer(_labelled(call, source, from_id, target, to_id, specs), 201)


def _labelled(
    call: Call,
    source: ObjectType,
    from_id: str,
    target: ObjectType,
    to_id: str,
    specs: list[Any],
) -> dict[str, Any]:
    associating = call.crm.associating
    if not specs:
        raise Refused(400, "At least one association type is required", "VALIDATION_ERROR")
    links = [associating.spec(source, spec, target.id) for spec in specs]
    associating.exists(source.id, from_id)
    associating.exists(target.id, to_id)
    for link in links:
        associating.link(from_id, to_id, link)
    return {
        "fromObjectTypeId": source.id,
        "fromObjectId": from_id if call.dated else int(from_id),
        "toObjectTypeId": target.id,
        "toObjectId": to_id if call.dated else int(to_id),
        "labels": [link.label for link in links if link.label],
    }


async def separate(call: Call) -> web.StreamResponse:
    """Take two records apart."""
    source, target = _ends(call, "write")
    call.crm.associating.unlink(source, _ids(call)[0], target, _ids(call)[1])
    return web.Response(status=204)


async def read_batch(call: Call) -> web.StreamResponse:
    """List the associations of many records."""
    source, target = _ends(call, "read")
    found: list[Any] = []
    lost: list[str] = []
    for each in await call.inputs(MOST_READ):
        rows = _associated(call, source, str(each["id"]), target)
        page, more = call.page(rows, 500, int(each.get("after") or 0))
        if page:
            found.append({"from": {"id": str(each["id"])}, "to": page, **more})
        else:
            lost.append(str(each["id"]))
    return batch(call, found, [_unassociated(source, target, lost)] if lost else None)


def _unassociated(source: ObjectType, target: ObjectType, ids: list[str]) -> dict[str, Any]:
    error = missing(source, ids)
    names = f"{source.singular} to {target.singular}"
    error["message"] = f"No {names} associations were found for some of the ids."
    error["subCategory"] = "crm.associations.NO_ASSOCIATIONS_FOUND"
    return error


async def create_batch(call: Call) -> web.StreamResponse:
    """Associate many pairs by the kinds that each names."""
    source, target = _ends(call, "write")
    made = [
        _labelled(
            call, source, str(each["from"]["id"]), target, str(each["to"]["id"]), each["types"]
        )
        for each in await call.inputs(MOST_WRITTEN)
    ]
    return batch(call, made, status=201)


async def default_batch(call: Call) -> web.StreamResponse:
    """Associate many pairs without a label."""
    source, target = _ends(call, "write")
    made: list[Any] = []
    for each in await call.inputs(MOST_WRITTEN):
        made += _default(call, source, str(each["from"]["id"]), target, str(each["to"]["id"]))
    return batch(call, made)


async def archive_batch(call: Call) -> web.StreamResponse:
    """Take many pairs apart."""
    source, target = _ends(call, "write")
    for each in await call.inputs(MOST_WRITTEN):
        for other in each["to"]:
            call.crm.associating.unlink(source, str(each["from"]["id"]), target, str(other["id"]))
    return _nothing(call)


async def archive_labels(call: Call) -> web.StreamResponse:
    """Take some labels off many pairs."""
    source, target = _ends(call, "write")
    for each in await call.inputs(MOST_WRITTEN):
        only = {call.crm.associating.spec(source, spec, target.id).key for spec in each["types"]}
        call.crm.associating.unlink(
            source, str(each["from"]["id"]), target, str(each["to"]["id"]), only
        )
    return _nothing(call)


def _nothing(call: Call) -> web.Response:
    # The dated documents answer 200 with a batch's frame where v4 answers 204.
    return batch(call, []) if call.dated else web.Response(status=204)


def _named(call: Call, source: ObjectType, target: ObjectType, name: str) -> LinkType:
    """A kind by the name that v3 uses, such as `contact_to_company`."""
    for link in call.portal.links.between(source.id, target.id):
        if name.lower() in {link.name, str(link.id)}:
            return link
    raise Refused(400, f"No association type named {name[:60]}", "VALIDATION_ERROR")


async def read_v3(call: Call) -> web.StreamResponse:
    """List the associations of many records in v3's format."""
    source, target = _ends(call, "read")
    found: list[Any] = []
    lost: list[str] = []
    for each in await call.inputs(MOST_READ):
        from_id = str(each["id"])
        linked = call.portal.links.of(source.id, from_id, target.id)
        to = [{"id": other, "type": link.name} for other, links in linked.items() for link in links]
        if to:
            found.append({"from": {"id": from_id}, "to": to})
        else:
            lost.append(from_id)
    return batch(call, found, [_unassociated(source, target, lost)] if lost else None)


async def create_v3(call: Call) -> web.StreamResponse:
    """Associate many pairs, each by a named kind."""
    source, target = _ends(call, "write")
    made: list[Any] = []
    for each in await call.inputs(MOST_WRITTEN):
        link = _named(call, source, target, str(each["type"]))
        from_id, to_id = str(each["from"]["id"]), str(each["to"]["id"])
        call.crm.associating.exists(source.id, from_id)
        call.crm.associating.exists(target.id, to_id)
        call.crm.associating.link(from_id, to_id, link)
        made.append({"from": {"id": from_id}, "to": {"id": to_id}, "type": link.name})
    return batch(call, made, status=201)


async def archive_v3(call: Call) -> web.StreamResponse:
    """Take many pairs apart, each by a named kind."""
    source, target = _ends(call, "write")
    for each in await call.inputs(MOST_WRITTEN):
        link = _named(call, source, target, str(each["type"]))
        call.crm.associating.unlink(
            source, str(each["from"]["id"]), target, str(each["to"]["id"]), {link.key}
        )
    return web.Response(status=204)


async def types_v3(call: Call) -> web.StreamResponse:
    """List the kinds of association between two types."""
    source, target = _ends(call, "read")
    kinds = call.portal.links.between(source.id, target.id)
    return answer({"results": [{"id": str(each.id), "name": each.name} for each in kinds]})

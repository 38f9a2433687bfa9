"""Records by the hundred: read, create, update, upsert, archive; 207 when some inputs failed
(https://developers.hubspot.com/docs/api-reference/latest/crm/objects).
"""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused, answer
from broker.sandbox.hubspot.crm.shown import shown, whole
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.crm.values import moment
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, checked_inputs, entered
from broker.sandbox.hubspot.endpoints.crm.objects import BASES
from broker.sandbox.hubspot.events.changes import Change
from broker.sandbox.hubspot.world import Sandbox


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, Work]] = [
        ("read", read),
        ("create", create),
        ("update", update),
        ("upsert", upsert),
        ("archive", archive),
    ]
    return [
        web.post(f"{base}/batch/{name}", entered(sandbox, work))
        for base in BASES
        for name, work in table
    ]


def batch(
    call: Call,
    results: list[Any],
    errors: list[Any] | None = None,
    status: int = 200,
) -> web.Response:
    """A batch's answer; 207 with the errors when some inputs failed."""
    now = moment(call.sandbox.now())
    body: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": now,
        "completedAt": now,
    }
    if errors:
        body |= {"numErrors": len(errors), "errors": errors}
    return answer(body, 207 if errors else status)


def batch_error(refused: Refused, context: dict[str, list[str]]) -> dict[str, Any]:
    """One failed input, as a batch's answer lists it."""
    return {
        "status": "error",
        "category": refused.body.get("category", "VALIDATION_ERROR"),
        "message": refused.body["message"],
        "context": context,
        "errors": refused.body.get("errors", []),
        "links": {},
    }


def missing(kind: ObjectType, ids: list[str]) -> dict[str, Any]:
    """The error for records that a batch did not find."""
    message = (
        f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist. "
        "Check that ids are valid."
    )
    return batch_error(Refused(207, message, "OBJECT_NOT_FOUND"), {"ids": ids})


async def read(call: Call) -> web.StreamResponse:
    """Read records by ids or by a unique property; those that are not there are errors."""
    kind, payload = call.allowed("read"), await call.body()
    archived = call.request.query.get("archived") == "true"
    found: list[Any] = []
    lost: list[str] = []
    for each in checked_inputs(payload):
        try:
            record = call.crm.find(
                kind, str(each["id"]), payload.get("idProperty"), archived=archived
            )
        except Refused as refused:
            if refused.status != 404:
                raise
            lost.append(str(each["id"]))
            continue
        found.append(
            shown(
                call.portal,
                kind,
                record,
                list(payload.get("properties") or []),
                list(payload.get("propertiesWithHistory") or []),
            )
        )
    return batch(call, found, [missing(kind, lost)] if lost else None)


async def create(call: Call) -> web.StreamResponse:
    """Make records. Without write trace ids it is all or nothing; with them, each on its own."""
    kind, inputs = call.allowed("write"), await call.inputs()
    if not all(each.get("objectWriteTraceId") for each in inputs):
        made = _all_or_nothing(call, kind, inputs)
        return batch(call, [whole(call.portal, kind, record) for record in made], status=201)

    def one(each: dict[str, Any]) -> dict[str, Any]:
        return whole(call.portal, kind, call.crm.create(kind, each))

    return _each(call, inputs, one, status=201)


async def update(call: Call) -> web.StreamResponse:
    """Change records, each on its own."""
    kind, inputs = call.allowed("write"), await call.inputs()

    def one(each: dict[str, Any]) -> dict[str, Any]:
        record = call.crm.find(kind, str(each["id"]), each.get("idProperty"))
        return whole(call.portal, kind, call.crm.update(kind, record, each["properties"]))

    return _each(call, inputs, one)


async def upsert(call: Call) -> web.StreamResponse:
    """Change records found by a unique property, and make those that are not there."""
    kind, inputs = call.allowed("write"), await call.inputs()

    def one(each: dict[str, Any]) -> dict[str, Any]:
        by, value = each.get("idProperty"), str(each["id"])
        try:
            record = call.crm.find(kind, value, by)
        except Refused as refused:
            if refused.status != 404 or by is None:
                raise
            properties = {by: value, **each["properties"]}
            record = call.crm.create(kind, {"properties": properties})
            return {**whole(call.portal, kind, record), "new": True}
        record = call.crm.update(kind, record, each["properties"])
        return {**whole(call.portal, kind, record), "new": False}

    return _each(call, inputs, one)


async def archive(call: Call) -> web.StreamResponse:
    """Archive records; those that are not there are left alone."""
    kind = call.allowed("write")
    for each in await call.inputs():
        call.crm.archive(kind, str(each["id"]))
    return web.Response(status=204)


def _all_or_nothing(call: Call, kind: ObjectType, inputs: list[Any]) -> list[Any]:
    crm, changes = call.crm, list[Change]()
    publish, crm.publish = crm.publish, changes.append
    made: list[Any] = []
    try:
        for each in inputs:
            made.append(crm.create(kind, each))  # noqa: PERF401  # those made are undone below
    except Exception:
        for record in made:
            crm.purge(kind, record)
        raise
    for change in changes:
        publish(change)
    return made


def _each(
    call: Call,
    inputs: list[Any],
    one: Callable[[dict[str, Any]], dict[str, Any]],
    status: int = 200,
) -> web.Response:
    """Every input on its own; when all fail, the first failure is the answer."""
    results: list[Any] = []
    errors: list[Any] = []
    first: Refused | None = None
    for each in inputs:
        trace = each.get("objectWriteTraceId")
        try:
            made = one(each)
        except Refused as refused:
            first = first or refused
            context = {"objectWriteTraceId": [trace]} if trace else {"ids": [str(each.get("id"))]}
            errors.append(batch_error(refused, context))
            continue
        results.append({**made, "objectWriteTraceId": trace} if trace else made)
    if first is not None and not results and len(inputs) == 1:
        raise first
    return batch(call, results, errors, status)

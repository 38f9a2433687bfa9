"""Records one at a time, under v3 and the dated paths: create, read, update, archive, list,
search, merge, privacy deletion (https://developers.hubspot.com/docs/api-reference/latest/crm).
"""

from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import answer
from broker.sandbox.hubspot.crm.search import find
from broker.sandbox.hubspot.crm.shown import listed, shown, whole, with_associations
from broker.sandbox.hubspot.endpoints.crm.entry import Call, Work, entered
from broker.sandbox.hubspot.world import Sandbox

BASES = (
    "/crm/v3/objects/{objectType}",
    "/crm/objects/{version:2026-03|2026-09}/{objectType}",
)


def routes(sandbox: Sandbox) -> list[web.RouteDef]:
    """Every endpoint of this module."""
    table: list[tuple[str, str, Work]] = [
        ("GET", "", index),
        ("POST", "", create),
        ("POST", "/merge", merge),
        ("POST", "/gdpr-delete", erase),
        ("GET", "/{objectId}", read),
        ("PATCH", "/{objectId}", update),
        ("DELETE", "/{objectId}", archive),
    ]
    made = [
        web.route(method, base + path, entered(sandbox, work))
        for base in BASES
        for method, path, work in table
    ]
    searches = [web.post(f"{base}/search", entered(sandbox, search, search=True)) for base in BASES]
    return [*searches, *made]


async def create(call: Call) -> web.StreamResponse:
    """Make a record, with associations."""
    kind = call.allowed("write")
    record = call.crm.create(kind, await call.body())
    response = answer(whole(call.portal, kind, record), 201)
    response.headers["Location"] = f"{call.request.path}/{record.id}"
    return response


async def read(call: Call) -> web.StreamResponse:
    """Read a record by its id, or by a unique property (`idProperty`)."""
    kind, query = call.allowed("read"), call.request.query
    record = call.crm.find(
        kind,
        call.request.match_info["objectId"],
        query.get("idProperty"),
        archived=query.get("archived") == "true",
    )
    return answer(_full(call, record))


async def update(call: Call) -> web.StreamResponse:
    """Change properties of a record."""
    kind, by = call.allowed("write"), call.request.query.get("idProperty")
    record = call.crm.find(kind, call.request.match_info["objectId"], by)
    call.crm.update(kind, record, (await call.body()).get("properties"))
    return answer(whole(call.portal, kind, record))


async def archive(call: Call) -> web.StreamResponse:
    """Archive a record; a repeat answers the same."""
    call.crm.archive(call.allowed("write"), call.request.match_info["objectId"])
    return web.Response(status=204)


async def index(call: Call) -> web.StreamResponse:
    """List records, oldest first, by pages."""
    kind = call.allowed("read")
    limit, after = call.number("limit", 10, 100), call.number("after", 0, 2**53)
    archived = call.request.query.get("archived") == "true"
    every = call.portal.of(kind).live(archived=archived)
    found = [record for record in every if int(record.id) > after][: limit + 1]
    page = found[:limit]
    body: dict[str, Any] = {"results": [_full(call, record) for record in page]}
    if len(found) > limit:
        body |= call.paging(page[-1].id)
    return answer(body)


async def search(call: Call) -> web.StreamResponse:
    """Search records; counted per account, and without rate-limit headers."""
    kind, payload = call.allowed("read"), await call.body()
    total, page, after = find(
        call.portal.of(kind).live(),
        call.portal.live_definitions(kind),
        payload,
        call.sandbox.now(),
        call.sandbox.search_lag,
    )
    names = [str(name) for name in payload.get("properties") or []]
    body: dict[str, Any] = {
        "total": total,
        "results": [shown(call.portal, kind, record, names) for record in page],
    }
    if after is not None:
        body["paging"] = {"next": {"after": after}}
    return answer(body)


async def merge(call: Call) -> web.StreamResponse:
    """Take one record into another."""
    kind, payload = call.allowed("write"), await call.body()
    primary = call.crm.merge(kind, str(payload["primaryObjectId"]), str(payload["objectIdToMerge"]))
    return answer(whole(call.portal, kind, primary))


async def erase(call: Call) -> web.StreamResponse:
    """Delete a record for good."""
    kind, payload = call.allowed("write"), await call.body()
    record = call.crm.find(kind, str(payload["objectId"]), payload.get("idProperty"))
    call.crm.erase(kind, record)
    return web.Response(status=204)


def _full(call: Call, record: Any) -> dict[str, Any]:
    kind, query = call.kind(), call.request.query
    names, history = (
        listed(query.getall("properties", [])),
        listed(query.getall("propertiesWithHistory", [])),
    )
    linked = listed(query.getall("associations", []))
    body = shown(call.portal, kind, record, names, history)
    return body | with_associations(call.portal, kind, record, linked)

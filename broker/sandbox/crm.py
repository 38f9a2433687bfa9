"""CRM objects: create, read, update, archive, list, search, under v3 and the dated paths."""

import json
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from broker.sandbox.access import authorized, count, count_search, require_scope
from broker.sandbox.answers import Refused, answer
from broker.sandbox.grants import AccessToken
from broker.sandbox.search import find
from broker.sandbox.world import Portal, Sandbox

TYPES = {
    "contact": "contacts",
    "0-1": "contacts",
    "company": "companies",
    "0-2": "companies",
    "deal": "deals",
    "0-3": "deals",
    "ticket": "tickets",
    "0-5": "tickets",
}
DEFAULTS = {
    "contacts": [
        "createdate",
        "email",
        "firstname",
        "hs_object_id",
        "lastmodifieddate",
        "lastname",
    ],
    "companies": ["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"],
    "deals": [
        "amount",
        "closedate",
        "createdate",
        "dealname",
        "dealstage",
        "hs_lastmodifieddate",
        "hs_object_id",
        "pipeline",
    ],
    "tickets": ["createdate", "hs_lastmodifieddate", "hs_object_id", "subject"],
}
NUMBERS = {"contacts": "0-1", "companies": "0-2", "deals": "0-3", "tickets": "0-5"}


class ObjectEndpoints:
    """Records of the portal that a token speaks for."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def create(self, request: web.Request) -> web.Response:
        """Make a record; a contact's e-mail address is unique."""
        kind, portal, _, limits = self._enter(request, "write")
        values = _values(await _json(request))
        self._check_email(portal, kind, values, None)
        record_id = str(portal.next_id)
        portal.next_id += 1
        now = self._stamp()
        modified = "lastmodifieddate" if kind == "contacts" else "hs_lastmodifieddate"
        record: dict[str, Any] = {
            "id": record_id,
            "properties": {
                "createdate": now,
                "hs_object_id": record_id,
                modified: now,
                **values,
            },
            "createdAt": now,
            "updatedAt": now,
            "archived": False,
        }
        portal.records.setdefault(kind, {})[record_id] = record
        response = answer(self._shown(portal, kind, record, list(record["properties"])), 201)
        response.headers["Location"] = f"/crm/v3/objects/{kind}/{record_id}"
        response.headers.update(limits)
        return response

    async def read(self, request: web.Request) -> web.Response:
        """Read a record by its id, or by a unique property (`idProperty`)."""
        kind, portal, _, limits = self._enter(request, "read")
        record = self._record(request, portal, kind)
        response = answer(self._shown(portal, kind, record, _wanted(request, kind)))
        response.headers.update(limits)
        return response

    async def update(self, request: web.Request) -> web.Response:
        """Change properties of a record; an empty string clears one."""
        kind, portal, _, limits = self._enter(request, "write")
        record = self._record(request, portal, kind)
        values = _values(await _json(request))
        self._check_email(portal, kind, values, record["id"])
        now = self._stamp()
        modified = "lastmodifieddate" if kind == "contacts" else "hs_lastmodifieddate"
        record["properties"].update({**values, modified: now})
        record["updatedAt"] = now
        response = answer(self._shown(portal, kind, record, list(record["properties"])))
        response.headers.update(limits)
        return response

    async def archive(self, request: web.Request) -> web.Response:
        """Archive a record; a repeat answers the same."""
        kind, portal, _, limits = self._enter(request, "write")
        record = portal.records.get(kind, {}).get(request.match_info["id"])
        if record is not None:
            record["archived"] = True
        return web.Response(status=204, headers=limits)

    async def index(self, request: web.Request) -> web.Response:
        """List records, oldest first, by pages."""
        kind, portal, _, limits = self._enter(request, "read")
        limit = _number(request.query.get("limit", "10"), 100)
        after = _number(request.query.get("after", "0"), 2**53)
        found = [
            record
            for record in portal.records.get(kind, {}).values()
            if int(record["id"]) > after and not record["archived"]
        ]
        page = found[:limit]
        body: dict[str, Any] = {
            "results": [self._shown(portal, kind, each, _wanted(request, kind)) for each in page]
        }
        if len(found) > limit:
            link = f"https://api.hubapi.com{request.path}?limit={limit}&after={page[-1]['id']}"
            body["paging"] = {"next": {"after": page[-1]["id"], "link": link}}
        response = answer(body)
        response.headers.update(limits)
        return response

    async def search(self, request: web.Request) -> web.Response:
        """Search records; five a second for the whole portal, and no rate-limit headers."""
        access = authorized(self._sandbox, request)
        kind, portal = self._kind(request), self._sandbox.portals[access.refresh.hub_id]
        require_scope(access, f"crm.objects.{kind}.read")
        count_search(self._sandbox, access)
        asked = await _json(request)
        records = [each for each in portal.records.get(kind, {}).values() if not each["archived"]]
        total, page, after = find(records, asked)
        wanted = [*DEFAULTS.get(kind, []), *(asked.get("properties") or [])]
        body: dict[str, Any] = {
            "total": total,
            "results": [self._shown(portal, kind, record, wanted) for record in page],
        }
        if after is not None:
            body["paging"] = {"next": {"after": after}}
        return answer(body)

    def _enter(
        self, request: web.Request, right: str
    ) -> tuple[str, Portal, AccessToken, dict[str, str]]:
        access = authorized(self._sandbox, request)
        kind = self._kind(request)
        require_scope(access, f"crm.objects.{kind}.{right}")
        limits = count(self._sandbox, access)
        return kind, self._sandbox.portals[access.refresh.hub_id], access, limits

    def _kind(self, request: web.Request) -> str:
        name = request.match_info["kind"]
        kind = TYPES.get(name, name)
        if kind not in DEFAULTS:
            raise Refused(400, f"Unable to infer object type from: {name}")
        return kind

    def _record(self, request: web.Request, portal: Portal, kind: str) -> dict[str, Any]:
        wanted, by = request.match_info["id"], request.query.get("idProperty")
        records = portal.records.get(kind, {})
        if by is not None:
            found = [each for each in records.values() if each["properties"].get(by) == wanted]
        elif wanted.isdecimal():
            found = [records[wanted]] if wanted in records else []
        else:
            raise Refused(
                404,
                "Object not found.  objectId are usually numeric.",
                "OBJECT_NOT_FOUND",
                context={"id": [wanted]},
            )
        archived = request.query.get("archived") == "true"
        if not found or found[0]["archived"] != archived:
            raise Refused(404, "resource not found")
        return found[0]

    def _shown(
        self, portal: Portal, kind: str, record: dict[str, Any], wanted: list[str]
    ) -> dict[str, Any]:
        url = f"https://app.hubspot.com/contacts/{portal.hub_id}/record/{NUMBERS[kind]}/{record['id']}"
        properties = {name: record["properties"].get(name) for name in sorted(set(wanted))}
        return {**record, "properties": properties, "url": url}

    def _check_email(
        self, portal: Portal, kind: str, values: dict[str, str | None], own_id: str | None
    ) -> None:
        email = values.get("email")
        if kind != "contacts" or not email:
            return
        for record in portal.records.get(kind, {}).values():
            same = (record["properties"].get("email") or "").lower() == email.lower()
            if same and record["id"] != own_id and not record["archived"]:
                raise Refused(
                    409, f"Contact already exists. Existing ID: {record['id']}", "CONFLICT"
                )

    def _stamp(self) -> str:
        moment = datetime.fromtimestamp(self._sandbox.now(), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError as error:
        raise Refused(400, "Invalid input JSON on line 1, column 1: not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, "Invalid input JSON on line 1, column 1: not an object")
    return body


def _values(body: dict[str, Any]) -> dict[str, str | None]:
    properties = body.get("properties")
    if not isinstance(properties, dict):
        raise Refused(400, "Invalid input JSON: properties is missing", "VALIDATION_ERROR")
    return {
        name: None if value in {None, ""} else str(value).lower() if name == "email" else str(value)
        for name, value in properties.items()
    }


def _wanted(request: web.Request, kind: str) -> list[str]:
    named = [part for value in request.query.getall("properties", []) for part in value.split(",")]
    return [*DEFAULTS[kind], *named] if not named else [*named, "hs_object_id", *DEFAULTS[kind][:1]]


def _number(text: str, at_most: int) -> int:
    if not text.isdecimal() or int(text) > at_most:
        raise Refused(400, f"Invalid number: {text[:20]}", "VALIDATION_ERROR")
    return int(text)

"""Records one at a time: describe, create, read, update, upsert, delete."""

from email.utils import parsedate_to_datetime

from aiohttp import web

from broker.sandbox.salesforce.endpoints.access import Call, authenticated
from broker.sandbox.salesforce.endpoints.general import DATA
from broker.sandbox.salesforce.endpoints.shown import attributes, described, saved, shown, summary
from broker.sandbox.salesforce.errors import (
    ApiError,
    MultipleChoicesError,
    json_response,
    not_found,
)
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.records import writes
from broker.sandbox.salesforce.records.rules import matches
from broker.sandbox.salesforce.schema.fields import Field, SObject
from broker.sandbox.salesforce.world import Salesforce

OBJECT = f"{DATA}/sobjects/{{sobject}}"


class SObjectEndpoints:
    """`/sobjects/{type}` and below."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table = [
            ("GET", f"{OBJECT}/describe", self.describe),
            ("GET", OBJECT, self.summary),
            ("POST", OBJECT, self.create),
            ("GET", f"{OBJECT}/{{id}}", self.read),
            ("PATCH", f"{OBJECT}/{{id}}", self.update),
            ("DELETE", f"{OBJECT}/{{id}}", self.delete),
            ("GET", f"{OBJECT}/{{field}}/{{value}}", self.read_by_key),
            ("PATCH", f"{OBJECT}/{{field}}/{{value}}", self.upsert),
            ("DELETE", f"{OBJECT}/{{field}}/{{value}}", self.delete_by_key),
        ]
        return [
            web.route(method, each, authenticated(self._world, operation))
            for method, path, operation in table
            for each in ((path, f"{path}/") if path == OBJECT else (path,))
        ]

    async def describe(self, call: Call) -> web.Response:
        """Describe an object with its fields."""
        return json_response(described(call.org, call.base, _kind(call)))

    async def summary(self, call: Call) -> web.Response:
        """Describe an object, and list what was written last."""
        kind = _kind(call)
        last = sorted(
            (each for each in call.org.tables[kind.name].values() if not each["IsDeleted"]),
            key=lambda record: record["LastModifiedDate"],
        )[-5:]
        recent = [
            {"attributes": attributes(call.base, kind, each), "Id": each["Id"],
             "Name": each.get("Name")}
            for each in last
        ]  # fmt: skip
        described_ = summary(call.base, kind)
        return json_response({"objectDescribe": described_, "recentItems": recent})

    async def create(self, call: Call) -> web.Response:
        """Create a record."""
        body = await call.body()
        record = writes.create(call.org, call.caller, _kind(call), body)
        return json_response(saved(record["Id"]), 201)

    async def read(self, call: Call) -> web.Response:
        """Read a record by its id."""
        kind = _kind(call)
        return self._shown(call, kind, writes.find_record(call.org, kind, _part(call, "id")))

    async def update(self, call: Call) -> web.Response:
        """Change a record."""
        kind, body = _kind(call), await call.body()
        record = writes.find_record(call.org, kind, _part(call, "id"))
        if _is_modified(call, record):
            return web.Response(status=412)
        writes.update(call.org, call.caller, kind, record, body)
        return web.Response(status=204)

    async def delete(self, call: Call) -> web.Response:
        """Delete a record."""
        kind = _kind(call)
        record = writes.find_record(call.org, kind, _part(call, "id"))
        writes.delete(call.org, call.caller, kind, record)
        return web.Response(status=204)

    async def read_by_key(self, call: Call) -> web.Response:
        """Read a record by an external id."""
        kind = _kind(call)
        return self._shown(call, kind, _keyed(call, kind))

    async def delete_by_key(self, call: Call) -> web.Response:
        """Delete a record by an external id."""
        kind = _kind(call)
        writes.delete(call.org, call.caller, kind, _keyed(call, kind))
        return web.Response(status=204)

    async def upsert(self, call: Call) -> web.Response:
        """Update the record with an external id, or create it."""
        kind, body = _kind(call), await call.body()
        field = writes.find_key(call.org, kind, _part(call, "field"))
        record, created = writes.upsert(
            call.org,
            call.caller,
            kind,
            (field, _part(call, "value")),
            body,
            update_only=call.request.query.get("updateOnly") == "true",
        )
        return json_response(saved(record["Id"], created=created), 201 if created else 200)

    def _shown(self, call: Call, kind: SObject, record: Record) -> web.Response:
        fields = call.org.visible_fields(kind)
        names = call.request.query.get("fields")
        if names is not None:
            fields = named_fields(call.org, kind, names.split(","))
        return json_response(shown(call.base, kind, record, fields))


def named_fields(org: Org, kind: SObject, names: list[str]) -> list[Field]:
    """Fields by their names; raises INVALID_FIELD for one that is missing or hidden."""
    fields = []
    for name in names:
        field = org.find_field(kind, name.strip())
        if field is None:
            problem = f"No such column '{name.strip()}' on sobject of type {kind.name}"
            raise ApiError(400, "INVALID_FIELD", problem)
        fields.append(field)
    return fields


def _kind(call: Call) -> SObject:
    return writes.find_type(call.org, _part(call, "sobject"))


def _part(call: Call, name: str) -> str:
    return call.request.match_info[name]


def _is_modified(call: Call, record: Record) -> bool:
    """Whether a record was modified since the time that a conditional request names; raises 400 for
    one that is none
    (https://developer.salesforce.com/docs/platform/api-rest/guide/intro-rest-conditional-requests.html).
    """
    since = call.request.headers.get("If-Unmodified-Since")
    if since is None:
        return False
    try:
        return bool(record["LastModifiedDate"] > parsedate_to_datetime(since))
    except (TypeError, ValueError) as wrong:
        problem = f"Invalid value for header If-Unmodified-Since: {since}"
        raise ApiError(400, "INVALID_HEADER", problem) from wrong


def _keyed(call: Call, kind: SObject) -> Record:
    field = writes.find_key(call.org, kind, _part(call, "field"))
    found = matches(call.org, kind, field, _part(call, "value"))
    if not found:
        raise not_found()
    if len(found) > 1:
        raise MultipleChoicesError([attributes(call.base, kind, each)["url"] for each in found])
    return found[0]

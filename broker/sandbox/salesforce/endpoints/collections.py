"""Up to 200 records at a time: `/composite/sobjects`."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.endpoints.access import Call, authenticated
from broker.sandbox.salesforce.endpoints.general import DATA
from broker.sandbox.salesforce.endpoints.shown import saved, shown
from broker.sandbox.salesforce.endpoints.sobjects import named_fields
from broker.sandbox.salesforce.errors import ApiError, MultipleChoicesError, json_response
from broker.sandbox.salesforce.ids import parse_id
from broker.sandbox.salesforce.org import Org
from broker.sandbox.salesforce.records import writes
from broker.sandbox.salesforce.schema.fields import SObject
from broker.sandbox.salesforce.world import Salesforce

LIMIT = 200
COLLECTION = f"{DATA}/composite/sobjects"
Result = dict[str, Any]
ROLLED_BACK = (
    "Record rolled back because not all records were valid and the request was using AllOrNone"
    " header"
)


class CollectionEndpoints:
    """Create, update, upsert, delete and read many records in one call."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        table = [
            ("POST", COLLECTION, self.create),
            ("PATCH", COLLECTION, self.update),
            ("DELETE", COLLECTION, self.delete),
            ("POST", f"{COLLECTION}/{{sobject}}", self.read),
            ("GET", f"{COLLECTION}/{{sobject}}", self.read),
            ("PATCH", f"{COLLECTION}/{{sobject}}/{{field}}", self.upsert),
        ]
        return [
            web.route(method, path, authenticated(self._world, operation))
            for method, path, operation in table
        ]

    async def create(self, call: Call) -> web.Response:
        """Create records, of several types if need be."""

        def one(record: Result) -> Result:
            kind = self._kind(call, record)
            return saved(writes.create(call.org, call.caller, kind, record)["Id"])

        return await self._all(call, one)

    async def update(self, call: Call) -> web.Response:
        """Change records by their ids."""

        def one(record: Result) -> Result:
            kind = self._kind(call, record)
            named = {name.lower(): name for name in record}
            found = writes.find_record(call.org, kind, str(record.get(named.get("id", ""), "")))
            body = {name: value for name, value in record.items() if name.lower() != "id"}
            writes.update(call.org, call.caller, kind, found, body)
            return saved(found["Id"])

        return await self._all(call, one)

    async def upsert(self, call: Call) -> web.Response:
        """Update or create records by an external id, which each carries in its body."""
        kind = writes.find_type(call.org, call.request.match_info["sobject"])
        field = writes.find_key(call.org, kind, call.request.match_info["field"])

        def one(record: Result) -> Result:
            body = {
                name: each for name, each in record.items() if name.lower() != field.name.lower()
            }
            value = record.get(field.name)
            if not isinstance(value, str) or not value:
                problem = f"{field.name} not specified"
                raise ApiError(400, "MISSING_ARGUMENT", problem, [])
            done, created = writes.upsert(call.org, call.caller, kind, (field, value), body)
            return saved(done["Id"], created=created)

        return await self._all(call, one)

    async def delete(self, call: Call) -> web.Response:
        """Delete the records of `ids`."""
        ids = call.request.query.get("ids", "").split(",")
        together = call.request.query.get("allOrNone") == "true"

        def one(text: str) -> Result:
            full = parse_id(text)
            found = call.org.find(full) if full else None
            if found is None:
                raise ApiError(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
            writes.delete(call.org, call.caller, *found)
            return saved(found[1]["Id"])

        return _each(call.org, ids, one, together=together)

    async def read(self, call: Call) -> web.Response:
        """Read records by their ids; null for one that does not exist."""
        kind = writes.find_type(call.org, call.request.match_info["sobject"])
        if call.request.method == "GET":
            params = call.request.query
            ids, names = params.get("ids", "").split(","), params.get("fields", "").split(",")
        else:
            body = await call.body()
            ids, names = _texts(body, "ids"), _texts(body, "fields")
        _check_number(ids)
        fields = named_fields(call.org, kind, names)
        table = call.org.tables[kind.name]
        found = [table.get(parse_id(each) or "") for each in ids]
        return json_response(
            [
                None if each is None or each["IsDeleted"] else shown(call.base, kind, each, fields)
                for each in found
            ]
        )

    def _kind(self, call: Call, record: Result) -> SObject:
        named = record.get("attributes")
        name = named.get("type") if isinstance(named, dict) else None
        kind = call.org.objects.get(str(name).lower())
        if kind is None:
            raise ApiError(400, "INVALID_TYPE", f"sObject type '{name}' is not supported.", [])
        return kind

    async def _all(self, call: Call, one: Callable[[Result], Result]) -> web.Response:
        body = await call.body()
        records = body.get("records")
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            raise ApiError(400, "JSON_PARSER_ERROR", "records must be a list of objects")
        return _each(call.org, records, one, together=body.get("allOrNone") is True)


def _texts(body: Result, name: str) -> list[str]:
    texts = body.get(name)
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise ApiError(400, "JSON_PARSER_ERROR", f"{name} must be a list of strings")
    return texts


def _check_number(records: list[Any]) -> None:
    if len(records) > LIMIT:
        problem = f"record limit reached. cannot submit more than {LIMIT} records into this call"
        raise ApiError(400, "EXCEEDED_ID_LIMIT", problem)


def _each(
    org: Org, inputs: list[Any], one: Callable[[Any], Result], *, together: bool
) -> web.Response:
    _check_number(inputs)
    results: list[Result] = []
    restore = _snapshot(org) if together else None
    for each in inputs:
        try:
            results.append(one(each))
        except ApiError as refused:
            results.append({"success": False, "errors": [refused.saved()]})
        except MultipleChoicesError as several:
            error = ApiError(300, "MULTIPLE_CHOICES", ", ".join(several.urls), [])
            results.append({"success": False, "errors": [error.saved()]})
    if restore is not None and not all(each["success"] for each in results):
        restore()
        rolled_back = ApiError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", ROLLED_BACK, []).saved()
        results = [
            {"success": False, "errors": [rolled_back]} if each["success"] else each
            for each in results
        ]
    return json_response(results)


def _snapshot(org: Org) -> Callable[[], None]:
    """Copy an org's records; the function restores them."""
    tables = {
        name: {key: dict(row) for key, row in table.items()} for name, table in org.tables.items()
    }
    gone = dict(org.deleted_at)

    def restore() -> None:
        org.tables, org.deleted_at = tables, gone

    return restore

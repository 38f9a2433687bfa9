"""`/admin/api/{version}/graphql.json`: from a request to an answer, refusals of the shop first,
then of the token, then of the query, then of the bucket.
"""

import json
import re
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    OperationDefinitionNode,
    build_schema,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from broker.sandbox.shopify.addressing import paths, shop_of
from broker.sandbox.shopify.admin.access import Call
from broker.sandbox.shopify.admin.cost import Buckets, Meter
from broker.sandbox.shopify.admin.mutations import Mutations
from broker.sandbox.shopify.admin.queries import Queries
from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.world import Shopify

SCHEMA = build_schema((Path(__file__).parent / "schema.graphql").read_text())
UNKNOWN_TOKEN = "[API] Invalid API key or access token (unrecognized login or wrong password)"  # noqa: S105
NON_EXPIRING = "Non-expiring access tokens are no longer accepted for the Admin API"
FROZEN = {
    402: "Unavailable Shop",
    423: "This shop is unavailable",
    430: "Shopify Security Rejection",
    540: "Temporarily Disabled",
}
_UNDEFINED = re.compile(r"Cannot query field '(\w+)' on type '(\w+)'")
_LIMITS_PAGE = "https://shopify.dev/docs/api/usage/limits"


class AdminEndpoint:
    """The GraphQL Admin API."""

    def __init__(self, world: Shopify) -> None:
        self._world = world
        self._buckets = Buckets(world.buckets)

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.post(path, self.answer) for path in paths("/admin/api/{version}/graphql.json")
        ] + [web.post(path, self.answer) for path in paths("/admin/api/graphql.json")]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        shop = shop_of(self._world, request)
        if shop is None:
            return web.json_response({"errors": "Not Found"}, status=404)
        frozen = self._world.levers.frozen
        if frozen:
            return web.json_response({"errors": FROZEN[frozen]}, status=frozen)
        call = self._enter(request, shop)
        if isinstance(call, web.Response):
            return call
        body = await _query(request)
        if isinstance(body, str):
            return web.json_response({"errors": {"query": body}}, status=400)
        status, answered = self._run(call, body)
        response = web.json_response(answered, status=status)
        response.headers["X-Shopify-API-Version"] = call.version
        response.headers["X-Request-Id"] = str(uuid.uuid4())
        return response

    def _enter(self, request: web.Request, shop: Shop) -> Call | web.Response:
        world = self._world
        access = world.grants.valid(request.headers.get("X-Shopify-Access-Token", ""))
        app = None if access is None else world.apps.get(access.client_id)
        if access is None or app is None or access.shop != shop.domain:
            return web.json_response({"errors": UNKNOWN_TOKEN}, status=401)
        if access.expires_at is None and app.public and world.levers.expiring_required:
            return web.json_response({"errors": f"[API] {NON_EXPIRING}"}, status=403)
        version = self._version(request.match_info.get("version"))
        if version is None:
            return web.json_response({"errors": "Not Found"}, status=404)
        access.calls += 1
        return Call(world, shop, app, access, version)

    def _version(self, named: str | None) -> str | None:
        levers = self._world.levers
        if named in levers.versions:
            return named
        return levers.versions[0] if levers.version_fall_forward else None

    def _run(self, call: Call, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            document = parse(str(body["query"]))
        except GraphQLError as error:
            return 200, {"errors": [_shown(error)]}
        problems = validate(SCHEMA, document)
        if problems:
            return 200, {"errors": [_shown(each) for each in problems]}
        operation = get_operation_ast(document, body.get("operationName"))
        if operation is None:
            return 200, {"errors": [{"message": "An operation name is required"}]}
        meter = Meter(SCHEMA, operation, _fragments(document), body.get("variables") or {})
        return self._charged(call, body, document, operation, meter)

    def _charged(
        self,
        call: Call,
        body: dict[str, Any],
        document: DocumentNode,
        operation: OperationDefinitionNode,
        meter: Meter,
    ) -> tuple[int, dict[str, Any]]:
        levers, now = self._world.levers, self._world.now()
        key, requested = (call.app.client_id, call.shop.domain), meter.requested()
        level = self._buckets.level(key, now, levers.bucket, levers.restore_rate)
        if requested > levers.max_query_cost:
            return 200, {"errors": [_too_big(requested, levers.max_query_cost)]}
        if requested > level:
            self._buckets.put(key, level, now)
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            cost = {"cost": self._cost(requested, None, level)}
            return levers.throttled_status, {"errors": [throttled], "extensions": cost}
        is_mutation = operation.operation.value == "mutation"
        done = execute_sync(
            SCHEMA,
            document,
            root_value=Mutations(call).root() if is_mutation else Queries(call).root(),
            variable_values=body.get("variables") or {},
            operation_name=body.get("operationName"),
        )
        actual = meter.actual(done.data or {})
        left = level - actual
        self._buckets.put(key, left, now)
        answered: dict[str, Any] = {}
        if done.errors:
            answered["errors"] = [_shown(each) for each in done.errors]
        if done.data is not None or not _of_variables(done.errors):
            answered["data"] = done.data
        answered["extensions"] = {"cost": self._cost(requested, actual, left)}
        if call.searches:
            answered["extensions"]["search"] = call.searches
        return 200, answered

    def _cost(self, requested: int, actual: int | None, left: float) -> dict[str, Any]:
        levers = self._world.levers
        return {
            "requestedQueryCost": requested,
            "actualQueryCost": actual,
            "throttleStatus": {
                "maximumAvailable": levers.bucket,
                "currentlyAvailable": int(left),
                "restoreRate": levers.restore_rate,
            },
        }


async def _query(request: web.Request) -> dict[str, Any] | str:
    """The query with its variables, or what is wrong with the body."""
    raw = await request.read()
    if request.content_type == "application/graphql":
        return {"query": raw.decode(errors="replace")}
    try:
        body = json.loads(raw)
    except ValueError:
        return "Required parameter missing or invalid"
    if not isinstance(body, dict) or not isinstance(body.get("query"), str):
        return "Required parameter missing or invalid"
    if not isinstance(body.get("variables") or {}, dict):
        return "Required parameter missing or invalid"
    return body


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {
        each.name.value: each
        for each in document.definitions
        if isinstance(each, FragmentDefinitionNode)
    }


def _of_variables(errors: list[GraphQLError] | None) -> bool:
    """Whether nothing was executed: such errors have no path."""
    return all(each.path is None for each in errors or [])


def _shown(error: GraphQLError) -> dict[str, Any]:
    """An error as Shopify writes it."""
    shown: dict[str, Any] = {"message": error.message}
    if error.locations:
        shown["locations"] = [{"line": at.line, "column": at.column} for at in error.locations]
    if error.path:
        shown["path"] = error.path
    if error.extensions:
        shown["extensions"] = error.extensions
    unknown = _UNDEFINED.match(error.message)
    if unknown is not None:
        field, kind = unknown.groups()
        shown["message"] = f"Field '{field}' doesn't exist on type '{kind}'"
        shown["extensions"] = {"code": "undefinedField", "typeName": kind, "fieldName": field}
    elif "ariable '$" in error.message and "extensions" not in shown:
        shown["extensions"] = {"code": "INVALID_VARIABLE"}
    return shown


def _too_big(cost: int, most: int) -> dict[str, Any]:
    return {
        "message": f"Query cost is {cost}, which exceeds the single query max cost limit ({most}).",
        "extensions": {
            "code": "MAX_COST_EXCEEDED",
            "cost": cost,
            "maxCost": most,
            "documentation": _LIMITS_PAGE,
        },
    }

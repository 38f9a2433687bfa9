"""Search with parameters in place of a query's text: `/parameterizedSearch`.

Words are compared, not values: letters and digits without case, everything else only separates. A
record is found some time after it was written, as its index lags (`search_lag`)
(https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_search_parameterized_post.htm).
"""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aiohttp import web

from broker.sandbox.salesforce.endpoints.access import Call, authenticated
from broker.sandbox.salesforce.endpoints.general import DATA
from broker.sandbox.salesforce.endpoints.shown import shown
from broker.sandbox.salesforce.endpoints.sobjects import named_fields
from broker.sandbox.salesforce.errors import ApiError, json_response
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.records.writes import find_type
from broker.sandbox.salesforce.schema.fields import TEXTS, SObject
from broker.sandbox.salesforce.stamps import moment
from broker.sandbox.salesforce.world import Salesforce

MOST = 2000
SHORTEST = 2
NAMES = frozenset({"FirstName", "LastName", "Name", "Username"})
GLOBAL = frozenset({"q", "in", "fields", "sobjects", "defaultLimit", "overallLimit"})
OF_OBJECT = frozenset({"name", "fields", "limit", "where"})


class SearchEndpoints:
    """Search by GET, with one value for each parameter, and by POST."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        path = f"{DATA}/parameterizedSearch"
        table = [("GET", self.by_parameters), ("POST", self.by_body)]
        return [
            web.route(method, each, authenticated(self._world, operation))
            for method, operation in table
            for each in (path, f"{path}/")
        ]

    async def by_parameters(self, call: Call) -> web.Response:
        """Search for `q` in the objects of `sobject`."""
        query = call.request.query
        objects = [
            {
                "name": name,
                "fields": query.get(f"{name}.fields", query.get("fields", "")).split(","),
                "limit": query.get(f"{name}.limit"),
            }
            for name in query.getall("sobject", [])
        ]
        return self._search(call, {**query, "sobjects": objects, "fields": []})

    async def by_body(self, call: Call) -> web.Response:
        """Search for `q` in the objects of `sobjects`."""
        body = await call.body()
        objects = body.get("sobjects", [])
        _known(body, GLOBAL)
        if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
            raise ApiError(400, "JSON_PARSER_ERROR", "sobjects must be a list of objects")
        for each in objects:
            _known(each, OF_OBJECT)
            if "where" in each:
                raise ApiError(400, "UNSUPPORTED_BY_SANDBOX", "The sandbox searches without where")
        return self._search(call, body)

    def _search(self, call: Call, body: dict[str, Any]) -> web.Response:
        words = _words(str(body.get("q", "")), wild=True)
        if sum(map(len, words)) < SHORTEST:
            problem = f"search term must be longer than one character: {body.get('q', '')}"
            raise ApiError(400, "MALFORMED_SEARCH", problem)
        scope = str(body.get("in", "ALL")).removesuffix(" FIELDS").upper()
        if scope not in {"ALL", "NAME", "EMAIL", "PHONE", "SIDEBAR"}:
            raise ApiError(400, "INVALID_SEARCH_SCOPE", f"Invalid search scope: {scope}")
        usual = body.get("defaultLimit") or MOST
        found: list[dict[str, Any]] = []
        for each in body.get("sobjects") or [{"name": name} for name in ("Lead", "Contact")]:
            kind = find_type(call.org, str(each.get("name")))
            names = [name for name in each.get("fields") or body.get("fields") or () if name]
            fields = named_fields(call.org, kind, names or ["Id"])
            limit = _number(each.get("limit") or usual)
            rows = self._indexed(call.org, kind)
            hits = [row for row in rows if _is_hit(call.org, kind, row, scope, words)]
            found += [shown(call.base, kind, row, fields) for row in hits[:limit]]
        return json_response({"searchRecords": found[: _number(body.get("overallLimit") or MOST)]})

    def _indexed(self, org: Org, kind: SObject) -> list[Record]:
        until = moment(self._world.now()) - timedelta(seconds=org.levers.search_lag)
        rows = org.tables[kind.name].values()
        return [each for each in rows if not each["IsDeleted"] and each["SystemModstamp"] <= until]


def _known(body: dict[str, Any], names: frozenset[str]) -> None:
    for name in body:
        if name not in names:
            raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{name}"')


def _number(value: Any) -> int:
    text = str(value)
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"limit must be from 1 to {MOST}")
    return int(text)


def _words(text: str, *, wild: bool = False) -> list[str]:
    """Words of a text in lower case; of what is searched for, with its wildcards."""
    if wild:
        text = re.sub(r"\\.", " ", text)  # a character that is escaped is punctuation
    return re.findall(r"[\w*?]+" if wild else r"\w+", text.lower())


def _is_hit(org: Org, kind: SObject, record: Record, scope: str, words: Sequence[str]) -> bool:
    wanted = [
        re.compile(re.escape(each).replace(r"\*", ".*").replace(r"\?", ".")) for each in words
    ]
    for field in org.visible_fields(kind):
        of_scope = {
            "EMAIL": field.type == "email",
            "PHONE": field.type == "phone",
            "NAME": field.name in NAMES,
        }
        if not of_scope.get(scope, field.type in TEXTS):
            continue
        has = _words(str(record.get(field.name) or ""))
        for start in range(len(has) - len(wanted) + 1):
            if all(
                each.fullmatch(word)
                for each, word in zip(wanted, has[start : start + len(wanted)], strict=True)
            ):
                return True
    return False

"""CRM search: groups are OR, filters in a group are AND
(https://developers.hubspot.com/docs/api-reference/latest/crm/search-the-crm).
"""

import contextlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from broker.sandbox.hubspot.answers import Refused
from broker.sandbox.hubspot.crm.records import Record

Definitions = dict[str, dict[str, Any]]
Indexed = tuple[Record, dict[str, str]]
MOST_GROUPS, MOST_FILTERS, MOST_IN_ALL, MOST_SORTS = 5, 6, 18, 1
MOST_BYTES, MOST_RESULTS, MOST_PAGE = 3000, 10_000, 200
OPPOSITES = {"NEQ": "EQ", "NOT_IN": "IN", "NOT_CONTAINS_TOKEN": "CONTAINS_TOKEN"}
OPERATORS = {
    "EQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY",
    "CONTAINS_TOKEN", *OPPOSITES,
}  # fmt: skip


def find(
    records: Iterable[Record],
    definitions: Definitions,
    payload: dict[str, Any],
    now: float,
    lag: float,
) -> tuple[int, list[Record], str | None]:
    """How many records match, one page of them, and where the next begins."""
    groups, limit, after = _checked(definitions, payload)
    query = str(payload.get("query") or "").lower()
    found: list[Indexed] = []
    for record in records:
        record.catch_up(now, lag)
        values_of_record = record.indexed
        if (
            values_of_record is not None
            and (not groups or any(_fits(values_of_record, group, definitions) for group in groups))
            and (not query or any(query in value.lower() for value in values_of_record.values()))
        ):
            found.append((record, values_of_record))
    for sort in payload.get("sorts") or []:
        name, down = _sort(sort)
        kind = definitions.get(name, {}).get("type", "string")
        found.sort(key=lambda each: _key(each[1].get(name), kind), reverse=down)
    page = [record for record, _ in found[after : after + limit]]
    more = str(after + limit) if after + limit < len(found) else None
    return len(found), page, more


def _checked(definitions: Definitions, payload: dict[str, Any]) -> tuple[list[Any], int, int]:
    groups = payload.get("filterGroups") or []
    filters = [each for group in groups for each in group.get("filters") or []]
    if len(json.dumps(payload)) > MOST_BYTES:
        raise _invalid("The request body is longer than 3000 characters.")
    if len(groups) > MOST_GROUPS or len(filters) > MOST_IN_ALL:
        raise _invalid("Too many filter groups or filters.")
    if any(len(group.get("filters") or []) > MOST_FILTERS for group in groups):
        raise _invalid("Too many filters in a group.")
    if len(payload.get("sorts") or []) > MOST_SORTS:
        raise _invalid("Only one sort is allowed.")
    for each in filters:
        if each.get("propertyName") not in definitions:
            raise _invalid(f"There is no property named {str(each.get('propertyName'))[:60]}")
        if each.get("operator") not in OPERATORS:
            raise _invalid(f"Invalid operator: {str(each.get('operator'))[:30]}")
    try:
        limit, after = int(payload.get("limit") or 10), int(payload.get("after") or 0)
    except (TypeError, ValueError):
        raise _invalid("limit and after are numbers.") from None
    if not 0 < limit <= MOST_PAGE or after < 0 or after + limit > MOST_RESULTS:
        raise _invalid("The limit or after is out of range.")
    return groups, limit, after


def _invalid(message: str) -> Refused:
    return Refused(400, message, "VALIDATION_ERROR")


def _sort(sort: Any) -> tuple[str, bool]:
    if isinstance(sort, dict):
        return str(sort.get("propertyName", "")), sort.get("direction") == "DESCENDING"
    name = str(sort)
    return name.removeprefix("-"), name.startswith("-")


def _fits(
    values_of_record: dict[str, str], group: dict[str, Any], definitions: Definitions
) -> bool:
    return all(_holds(values_of_record, each, definitions) for each in group.get("filters") or [])


def _holds(
    values_of_record: dict[str, str], condition: dict[str, Any], definitions: Definitions
) -> bool:
    name, operator = condition["propertyName"], condition["operator"]
    has, value = values_of_record.get(name), condition.get("value")
    if operator == "HAS_PROPERTY":
        return has is not None
    if operator == "NOT_HAS_PROPERTY":
        return has is None
    if operator in OPPOSITES:
        return not _holds(
            values_of_record, {**condition, "operator": OPPOSITES[operator]}, definitions
        )
    if has is None:
        return False
    kind = definitions[name]["type"]
    exact = kind == "enumeration"
    if operator == "EQ":
        return has == str(value) if exact else _key(has.lower(), kind) == _lowered(value, kind)
    if operator == "IN":
        # HubSpot compares in lower case and does not lower the caller's values.
        values = {str(each) for each in condition.get("values") or []}
        return (has if exact else has.lower()) in values
    if operator == "CONTAINS_TOKEN":
        return str(value).lower().strip("*") in has.lower()
    if operator == "BETWEEN":
        return _key(value, kind) <= _key(has, kind) <= _key(condition.get("highValue"), kind)
    return _compared(operator, _key(has, kind), _key(value, kind))


def _lowered(value: Any, kind: str) -> tuple[int, float, str]:
    return _key(str(value).lower(), kind)


def _compared(operator: str, has: tuple[Any, ...], value: tuple[Any, ...]) -> bool:
    if operator == "LT":
        return has < value
    if operator == "LTE":
        return has <= value
    return has > value if operator == "GT" else has >= value


def _key(value: Any, kind: str) -> tuple[int, float, str]:
    """A sort key: missing values first, numbers before words; a time may be ISO or epoch
    milliseconds.
    """
    if value is None:
        return 0, 0.0, ""
    try:
        return 1, float(value), ""
    except (TypeError, ValueError):
        pass
    if kind in {"date", "datetime"}:
        with contextlib.suppress(ValueError):
            at = datetime.fromisoformat(str(value).upper())
            return 1, (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000, ""
    return 2, 0.0, str(value)

"""CRM search over plain records: groups are OR, filters in a group are AND."""

from typing import Any

from broker.sandbox.answers import Refused


def find(
    records: list[dict[str, Any]], asked: dict[str, Any]
) -> tuple[int, list[dict[str, Any]], str | None]:
    """How many records match, one page of them, and where the next begins."""
    groups = asked.get("filterGroups") or []
    if len(groups) > 5 or any(len(group.get("filters") or []) > 6 for group in groups):
        raise Refused(400, "Too many filter groups or filters.", "VALIDATION_ERROR")
    limit, after = int(asked.get("limit") or 10), int(asked.get("after") or 0)
    if not 0 < limit <= 200 or after + limit > 10_000:
        raise Refused(400, "The limit or after is out of range.", "VALIDATION_ERROR")
    query = str(asked.get("query") or "").lower()
    found = [
        record
        for record in records
        if (not groups or any(_fits(record["properties"], group) for group in groups))
        and (not query or any(query in str(v or "").lower() for v in record["properties"].values()))
    ]
    for sort in asked.get("sorts") or []:
        name = sort if isinstance(sort, str) else sort.get("propertyName", "")
        down = isinstance(sort, dict) and sort.get("direction") == "DESCENDING"
        found.sort(key=lambda record: str(record["properties"].get(name) or ""), reverse=down)
    page = found[after : after + limit]
    more = str(after + limit) if after + limit < len(found) else None
    return len(found), page, more


def _fits(properties: dict[str, Any], group: dict[str, Any]) -> bool:
    return all(_holds(properties, each) for each in group.get("filters") or [])


def _holds(properties: dict[str, Any], wanted: dict[str, Any]) -> bool:
    has = properties.get(wanted.get("propertyName", ""))
    operator = wanted.get("operator")
    value, values = wanted.get("value"), wanted.get("values") or []
    if operator == "HAS_PROPERTY":
        return has is not None
    if operator == "NOT_HAS_PROPERTY":
        return has is None
    if operator in {"NEQ", "NOT_IN", "NOT_CONTAINS_TOKEN"}:
        opposite = {"NEQ": "EQ", "NOT_IN": "IN", "NOT_CONTAINS_TOKEN": "CONTAINS_TOKEN"}[operator]
        return not _holds(properties, {**wanted, "operator": opposite})
    if has is None:
        return False
    text = str(has).lower()
    if operator == "EQ":
        return text == str(value).lower()
    if operator == "IN":
        return text in {str(each) for each in values}
    if operator == "CONTAINS_TOKEN":
        return str(value).lower().strip("*") in text
    if operator == "BETWEEN":
        return _key(value) <= _key(has) <= _key(wanted.get("highValue"))
    compare = {
        "LT": lambda: _key(has) < _key(value),
        "LTE": lambda: _key(has) <= _key(value),
        "GT": lambda: _key(has) > _key(value),
        "GTE": lambda: _key(has) >= _key(value),
    }
    if operator not in compare:
        raise Refused(400, f"Invalid operator: {str(operator)[:30]}", "VALIDATION_ERROR")
    return compare[operator]()


def _key(value: Any) -> tuple[int, float, str]:
    try:
        return 0, float(value), ""
    except (TypeError, ValueError):
        return 1, 0.0, str(value)

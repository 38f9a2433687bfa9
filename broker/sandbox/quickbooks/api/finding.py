"""The results of a query: filters, order, pages, and inactive records only on request."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import amount
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.api.query import MOST_ROWS, Condition, Statement
from broker.sandbox.quickbooks.books.company import Company, Record
from broker.sandbox.quickbooks.books.entities import BY_LOWER_NAME, Entity


def find(company: Company, statement: Statement) -> dict[str, Any]:
    """The `QueryResponse` of a statement. Raises a 4001 for what cannot be filtered by."""
    entity = BY_LOWER_NAME.get(statement.entity.lower())
    if entity is None:
        raise problems.query_invalid(f"Invalid entity name {statement.entity}")
    if statement.rows > MOST_ROWS:
        raise problems.query_invalid(f"maxresults must not be above {MOST_ROWS}")
    conditions = [_checked(entity, each) for each in statement.conditions]
    for name, _ in statement.order:
        _check_field(entity, name)
    if entity.is_list and not any(each.field == "Active" for each in conditions):
        conditions.append(Condition("Active", "=", ("true",)))
    found = [
        record
        for record in (company.shown(entity.name, each) for each in company.all(entity.name))
        if all(_meets(record, each) for each in conditions)
    ]
    if statement.counts:
        return {"totalCount": len(found)}
    # The last column matters least, so it is sorted by first.
    for name, falling in reversed(statement.order or [("Id", False)]):
        found.sort(key=lambda record, by=name: _sort_key(_value(record, by)), reverse=falling)  # type: ignore[misc]
    page = found[statement.start - 1 : statement.start - 1 + statement.rows]
    if not page:
        return {}
    return {
        entity.name: [_selected(record, statement.fields) for record in page],
        "startPosition": statement.start,
        "maxResults": len(page),
    }


def _checked(entity: Entity, condition: Condition) -> Condition:
    name = _check_field(entity, condition.field)
    return Condition(name, condition.operator, condition.values)


def _check_field(entity: Entity, name: str) -> str:
    for filterable in entity.filters:
        if filterable.lower() == name.lower():
            return filterable
    raise problems.query_invalid(f"Property {name} not found for Entity {entity.name}")


def _selected(record: Record, fields: list[str]) -> Record:
    if not fields:
        return record
    requested = {each.split(".")[0] for each in fields} | {"Id", "domain", "sparse"}
    return {**{name: record[name] for name in record if name in requested}, "sparse": True}


def _value(record: Record, path: str) -> Any:
    value: Any = record
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, dict):
        return value.get("value", value.get("Address"))
    return value


def _meets(record: Record, condition: Condition) -> bool:
    value = _value(record, condition.field)
    if value is None:
        return False
    if condition.operator == "like":
        pattern = re.escape(condition.values[0]).replace("%", ".*")
        return re.fullmatch(pattern, str(value), re.IGNORECASE | re.DOTALL) is not None
    if condition.operator == "in":
        return any(_compared(value, each) == 0 for each in condition.values)
    order = _compared(value, condition.values[0])
    return (
        order is not None
        and {
            "=": order == 0,
            "<": order < 0,
            ">": order > 0,
            "<=": order <= 0,
            ">=": order >= 0,
        }[condition.operator]
    )


def _compared(value: Any, literal: str) -> int | None:
    """-1, 0 or 1; None when a value and a literal cannot be compared."""
    own, other = _pair(value, literal)
    if own is None or other is None:
        return None
    return int(own > other) - int(own < other)


def _pair(value: Any, literal: str) -> tuple[Any, Any]:
    if isinstance(value, bool):
        return str(value).lower(), literal.lower()
    if isinstance(value, Decimal | int):
        return Decimal(value), amount(literal)
    text = str(value)
    if text.isdecimal() and literal.isdecimal():
        return int(text), int(literal)
    if "T" in text and re.match(r"\d{4}-\d\d-\d\dT", text):
        return datetime.fromisoformat(text), _moment(literal, text)
    return text.lower(), literal.lower()


def _moment(literal: str, like: str) -> datetime | None:
    try:
        read = datetime.fromisoformat(literal)
    except ValueError as wrong:
        raise problems.query_invalid(f"value {literal} is not a date and time") from wrong
    return read if read.tzinfo else read.replace(tzinfo=datetime.fromisoformat(like).tzinfo)


def _sort_key(value: Any) -> tuple[int, Any]:
    if value is None:
        return 0, ""
    if isinstance(value, bool):
        return 1, str(value)
    if isinstance(value, Decimal | int):
        return 1, Decimal(value)
    text = str(value)
    return (1, Decimal(text)) if text.isdecimal() else (2, text.lower())

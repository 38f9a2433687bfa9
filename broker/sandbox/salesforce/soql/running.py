"""Parsed queries, run over an org's records: names are resolved, literals are checked against the
types of their fields.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from broker.sandbox.salesforce.errors import ApiError
from broker.sandbox.salesforce.ids import parse_id
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.records.rules import comparable
from broker.sandbox.salesforce.schema.fields import TEXTS, Field, SObject
from broker.sandbox.salesforce.soql.lexing import located
from broker.sandbox.salesforce.soql.tree import Comparison, Condition, Literal, Logical, Name, Query

Predicate = Callable[[Record], bool]
QUOTED = TEXTS | {"id", "reference"}


@dataclass(frozen=True, slots=True)
class Column:
    """A field, reached over `parents`: fields that refer to the next record."""

    parents: list[tuple[str, Field]]
    field: Field


class Run:
    """One query over one org."""

    def __init__(self, org: Org, text: str, query: Query) -> None:
        self._org = org
        self._text = text
        self._query = query
        found = org.objects.get(query.sobject.path.lower())
        if found is None:
            problem = (
                f"sObject type '{query.sobject.path}' is not supported. If you are attempting to"
                " use a custom object, be sure to append the '__c' after the entity name. Please"
                " reference your WSDL or the describe call for the appropriate names."
            )
            raise located("INVALID_TYPE", text, query.sobject.at, problem)
        self.kind: SObject = found
        self.columns = [self._column(each) for each in query.fields]
        self._check_columns()

    def _check_columns(self) -> None:
        seen: set[str] = set()
        for name in self._query.fields:
            if name.path.lower() in seen:
                problem = f"duplicate field selected: {name.path}"
                raise located("INVALID_FIELD", self._text, name.at, problem)
            seen.add(name.path.lower())

    def rows(self, *, deleted: bool) -> list[Record]:
        """The records that the query finds, in its order, without OFFSET and LIMIT's rest."""
        where = self._query.where
        holds = self._predicate(where) if where is not None else lambda _record: True
        found = [
            each
            for each in self._org.tables[self.kind.name].values()
            if (deleted or not each["IsDeleted"]) and holds(each)
        ]
        for name, descending, nulls_first in reversed(self._query.order):
            column = self._column(name)
            self._filterable(column, name, "sorted")
            found.sort(key=partial(self._sort_key, column), reverse=descending)
            found.sort(key=partial(self._null_key, column, nulls_first))
        end = None if self._query.limit is None else self._query.offset + self._query.limit
        return found[self._query.offset : end]

    def value(self, column: Column, record: Record) -> Any:
        """The value of a column in a row; None when a parent is missing."""
        holder: Record | None = record
        for _, parent in column.parents:
            reference = None if holder is None else holder[parent.name]
            found = self._org.find(reference) if reference else None
            holder = found[1] if found else None
        return None if holder is None else holder.get(column.field.name)

    def _sort_key(self, column: Column, record: Record) -> Any:
        value = self.value(column, record)
        return value is not None, value.lower() if isinstance(value, str) else value

    def _null_key(self, column: Column, nulls_first: bool, record: Record) -> bool:
        return (self.value(column, record) is None) != nulls_first

    def _column(self, name: Name) -> Column:
        kind, parents = self.kind, []
        parts = name.path.split(".")
        if len(parts) > 1 and parts[0].lower() == kind.name.lower():
            parts = parts[1:]
        for part in parts[:-1]:
            parent = next(
                (each for each in self._org.visible_fields(kind)
                 if each.relationship and each.relationship.lower() == part.lower()),
                None,
            )  # fmt: skip
            if parent is None:
                problem = (
                    f"Didn't understand relationship '{part}' in field path. If you are"
                    " attempting to use a custom relationship, be sure to append the '__r' after"
                    " the custom relationship name."
                )
                raise located("INVALID_FIELD", self._text, name.at, problem)
            parents.append((str(parent.relationship), parent))
            kind = self._org.objects[parent.reference_to[0].lower()]
        field = self._org.find_field(kind, parts[-1])
        if field is None:
            problem = (
                f"No such column '{parts[-1]}' on entity '{kind.name}'. If you are attempting to"
                " use a custom field, be sure to append the '__c' after the custom field name."
                " Please reference your WSDL or the describe call for the appropriate names."
            )
            raise located("INVALID_FIELD", self._text, name.at, problem)
        return Column(parents, field)

    def _filterable(self, column: Column, name: Name, how: str) -> None:
        if not column.field.filterable:
            problem = f"field '{name.path}' can not be {how} in a query call"
            raise located("INVALID_FIELD", self._text, name.at, problem)

    def _predicate(self, condition: Condition) -> Predicate:
        if isinstance(condition, Logical):
            parts = [self._predicate(each) for each in condition.parts]
            if condition.operator == "not":
                return lambda record: not parts[0](record)
            join = all if condition.operator == "and" else any
            return lambda record: join(part(record) for part in parts)
        return self._comparison(condition)

    def _comparison(self, condition: Comparison) -> Predicate:
        column = self._column(condition.name)
        self._filterable(column, condition.name, "filtered")
        operator = condition.operator
        if operator == "like":
            return self._like(column, condition)
        values = [self._read(column.field, condition.name, each) for each in condition.values]
        if operator in {"in", "not in"}:
            return lambda record: (self._plain(column, record) in values) == (operator == "in")
        value = values[0]
        if operator == "=":
            return lambda record: self._plain(column, record) == value
        if operator in {"!=", "<>"}:
            return lambda record: self._plain(column, record) != value
        order = _ORDERS[operator]

        def holds(record: Record) -> bool:
            stored = self._plain(column, record)
            return stored is not None and value is not None and order(stored, value)

        return holds

    def _plain(self, column: Column, record: Record) -> Any:
        return comparable(column.field, self.value(column, record))

    def _like(self, column: Column, condition: Comparison) -> Predicate:
        literal = condition.values[0]
        if column.field.type not in TEXTS or literal.kind != "string":
            problem = f"invalid operator on {column.field.type} field"
            raise located("INVALID_QUERY_FILTER_OPERATOR", self._text, condition.name.at, problem)
        parts = re.findall(r"\\[%_\\]|%|_|[^%_\\]+", literal.value)
        wild = {"%": ".*", "_": "."}
        pattern = "".join(wild.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
        found = re.compile(pattern, re.IGNORECASE | re.DOTALL)
        return lambda record: bool(found.fullmatch(self.value(column, record) or ""))

    def _read(self, field: Field, name: Name, literal: Literal) -> Any:
        if literal.kind == "null":
            return None
        kind, value = field.type, literal.value
        if kind in QUOTED and literal.kind != "string":
            raise self._wrong(name, literal, "string and should be enclosed in quotes")
        if kind in {"id", "reference"}:
            full = parse_id(value)
            if full is None and value:
                problem = f"invalid ID field: {value}"
                raise located("INVALID_QUERY_FILTER_OPERATOR", self._text, literal.at, problem)
            return comparable(field, full)
        if kind in QUOTED:
            return comparable(field, value or None)
        if literal.kind != (kind if kind in {"boolean", "datetime", "date"} else "number"):
            shown = {"datetime": "dateTime", "int": "integer"}.get(kind, kind)
            raise self._wrong(name, literal, f"{shown} and should not be enclosed in quotes")
        return value

    def _wrong(self, name: Name, literal: Literal, how: str) -> ApiError:
        problem = f"value of filter criterion for field '{name.path}' must be of type {how}"
        return located("INVALID_FIELD", self._text, literal.at, problem)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda stored, value: stored < value,
    "<=": lambda stored, value: stored <= value,
    ">": lambda stored, value: stored > value,
    ">=": lambda stored, value: stored >= value,
}

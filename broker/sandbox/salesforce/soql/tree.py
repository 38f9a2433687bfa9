"""The nodes of a parsed query."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Name:
    """A field's path, as written, and where."""

    path: str
    at: int


@dataclass(frozen=True, slots=True)
class Literal:
    """A value; `kind` is string, number, boolean, null, datetime or date."""

    kind: str
    value: Any
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`name operator values`; the operators are COMPARISONS, "like", "in" and "not in"."""

    name: Name
    operator: str
    values: list[Literal]


@dataclass(frozen=True, slots=True)
class Logical:
    """Conditions joined by "and" or "or", or one under "not"."""

    operator: str
    parts: list["Condition"]


Condition = Comparison | Logical


@dataclass(slots=True)
class Query:
    """A parsed query; `fields` is empty for COUNT()."""

    sobject: Name
    fields: list[Name] = field(default_factory=list)
    where: Condition | None = None
    order: list[tuple[Name, bool, bool]] = field(default_factory=list)
    limit: int | None = None
    offset: int = 0

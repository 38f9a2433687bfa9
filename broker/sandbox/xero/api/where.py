"""`where` and `order` of lists: comparisons with AND, OR and parentheses, and a few methods."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import amount
from broker.sandbox.xero.api.problems import XeroProblem, query_problem

_TOKEN = re.compile(
    r'\s*(?:(?P<string>"[^"]*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w.]*)'
    r"|(?P<sign>==|!=|<>|>=|<=|&&|\|\||[<>=(),]))"
)
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
METHODS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda own, other: other in own,
    "startswith": lambda own, other: own.startswith(other),
    "endswith": lambda own, other: own.endswith(other),
}

Test = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Fields:
    """The names that may be filtered by, and the type they belong to."""

    kind: str
    names: frozenset[str]

    def path(self, text: str) -> list[str]:
        """A dotted name's parts as they are spelled in records. Raises a 400 for unknown ones."""
        first, *rest = text.split(".")
        for name in self.names:
            if name.casefold() == first.casefold():
                return [name, *rest]
        raise query_problem(f"No property or field '{first}' exists in type '{self.kind}'")


def where(text: str, fields: Fields) -> Test:
    """A test for records. Raises a 400 for a text that cannot be parsed."""
    return _Parser(text, fields).test()


def ordered(records: list[dict[str, Any]], text: str, fields: Fields) -> list[dict[str, Any]]:
    """Records in the order of `Name ASC, Date DESC`."""
    for part in reversed(text.split(",")):
        name, _, direction = part.strip().partition(" ")
        if direction.strip().upper() not in {"", "ASC", "DESC"}:
            raise query_problem("Expression expected")
        path, falls = fields.path(name), direction.strip().upper() == "DESC"
        key = _sort_key(path)
        records = sorted(records, key=key, reverse=falls)
    return records


def _sort_key(path: list[str]) -> Callable[[dict[str, Any]], tuple[int, Any]]:
    def key(record: dict[str, Any]) -> tuple[int, Any]:
        value = _plain(_value(record, path))
        if value is None:
            return 0, ""
        return (1, value) if isinstance(value, Decimal | float | int) else (2, value)

    return key


class _Parser:
    def __init__(self, text: str, fields: Fields) -> None:
        self._fields = fields
        self._tokens: list[str] = []
        position = 0
        while position < len(text.rstrip()):
            found = _TOKEN.match(text, position)
            if found is None:
                raise query_problem(f"Syntax error '{text[position:].lstrip()[:1]}'")
            self._tokens.append(found[0].strip())
            position = found.end()

    def test(self) -> Test:
        made = self._either()
        if self._tokens:
            raise _wrong()
        return made

    def _either(self) -> Test:
        tests = [self._both()]
        while self._is("OR", "||"):
            tests.append(self._both())
        return lambda record: any(each(record) for each in tests)

    def _both(self) -> Test:
        tests = [self._term()]
        while self._is("AND", "&&"):
            tests.append(self._term())
        return lambda record: all(each(record) for each in tests)

    def _term(self) -> Test:
        if self._is("("):
            inner = self._either()
            self._must(")")
            return inner
        name = self._next()
        stem, _, method = name.rpartition(".")
        if stem and method.lower() in METHODS and self._is("("):
            literal = str(_plain(self._literal()))
            self._must(")")
            path, call = self._fields.path(stem), METHODS[method.lower()]
            return lambda record: call(str(_plain(_value(record, path)) or ""), literal)
        path, sign = self._fields.path(name), self._next()
        if sign not in COMPARISONS:
            raise _wrong()
        compare, literal_value = COMPARISONS[sign], _plain(self._literal())
        return lambda record: _compared(compare, _plain(_value(record, path)), literal_value)

    def _literal(self) -> Any:
        token = self._next()
        if token.startswith('"'):
            return token[1:-1]
        lower = token.lower()
        if lower in {"true", "false", "null"}:
            return {"true": True, "false": False, "null": None}[lower]
        if lower in {"datetime", "guid"} and self._is("("):
            parts = [self._next()]
            while self._is(","):
                parts.append(self._next())
            self._must(")")
            return parts[0].strip('"') if lower == "guid" else _moment(parts)
        read = amount(token)
        if read is None:
            raise _wrong()
        return read

    def _is(self, *texts: str) -> bool:
        if self._tokens and self._tokens[0].upper() in texts:
            self._tokens.pop(0)
            return True
        return False

    def _must(self, text: str) -> None:
        if not self._is(text):
            raise _wrong()

    def _next(self) -> str:
        if not self._tokens:
            raise _wrong()
        return self._tokens.pop(0)


def _value(record: dict[str, Any], path: list[str]) -> Any:
    value: Any = record
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _plain(value: Any) -> Any:
    """A value as it is compared: text without case, days as moments."""
    if isinstance(value, str):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp()
        return value.casefold()
    return value


def _moment(parts: list[str]) -> float:
    try:
        numbers = [*(int(each) for each in parts), 0, 0, 0]
        year, month, day, hour, minute, second = numbers[:6]
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except (ValueError, TypeError) as wrong:
        raise _wrong() from wrong


def _compared(compare: Callable[[Any, Any], bool], own: Any, other: Any) -> bool:
    if compare in {operator.eq, operator.ne}:
        return compare(own, other)
    try:
        return own is not None and compare(own, other)
    except TypeError:
        return False


def _wrong() -> XeroProblem:
    return query_problem("Expression expected")

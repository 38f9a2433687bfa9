"""The query language: one entity, conditions joined by AND, an order and a page; nothing more."""

import re
from dataclasses import dataclass, field
from typing import Any

from broker.sandbox.quickbooks.api import problems

DEFAULT_ROWS, MOST_ROWS = 100, 1000
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^'\\]|\\.)*')|(?P<name>[A-Za-z_][\w.]*)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<sign><=|>=|=|<|>|\(|\)|,|\*))"
)
OPERATORS = frozenset({"=", "<", ">", "<=", ">=", "in", "like"})


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a statement; `column` counts from 1."""

    kind: str
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Condition:
    """`field operator values`; only IN has several values."""

    field: str
    operator: str
    values: tuple[str, ...]


@dataclass(slots=True)
class Statement:
    """A parsed statement. `fields` is empty for all; `start` counts from 1."""

    entity: str = ""
    fields: list[str] = field(default_factory=list)
    counts: bool = False
    conditions: list[Condition] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    start: int = 1
    rows: int = DEFAULT_ROWS


def parse(text: str) -> Statement:
    """Parse a statement. Raises a 4000 with the place where it stops making sense."""
    return _Parser(_tokens(text), len(text) + 1).statement()


def unescaped(literal: str) -> str:
    r"""What a quoted literal stands for: \' and \\ are a quote and a backslash."""
    return re.sub(r"\\(.)", r"\1", literal[1:-1])


def _tokens(text: str) -> list[Token]:
    tokens, position = [], 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            rest = text[position:].lstrip()
            raise problems.query_syntax(rest[:1], len(text) - len(rest) + 1)
        kind = found.lastgroup
        tokens.append(Token(kind, found[kind], found.start(kind) + 1))
        position = found.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[Token], end: int) -> None:
        self._tokens = tokens
        self._end = Token("end", "<EOF>", end)
        self._position = 0

    def statement(self) -> Statement:
        made = Statement()
        self._word("select")
        self._selected(made)
        self._word("from")
        made.entity = self._expect("name").text
        if self._is("where"):
            made.conditions.append(self._condition())
            while self._is("and"):
                made.conditions.append(self._condition())
        if self._is("orderby") or (self._is("order") and self._word("by")):
            made.order.append(self._ordering())
            while self._is(","):
                made.order.append(self._ordering())
        if self._is("startposition"):
            made.start = self._positive()
        if self._is("maxresults"):
            made.rows = self._positive()
        if self._next.kind != "end":
            raise self._wrong()
        return made

    def _selected(self, made: Statement) -> None:
        while True:
            if self._is("*"):
                # A star together with names: the names are fields that * leaves out.
                made.fields.append("*")
            else:
                name = self._expect("name").text
                if name.lower() == "count" and self._is("("):
                    self._word("*")
                    self._word(")")
                    made.counts = True
                else:
                    made.fields.append(name)
            if not self._is(","):
                break
        if "*" in made.fields:
            made.fields = []

    def _condition(self) -> Condition:
        name = self._expect("name").text
        operator = self._next.text.lower()
        if operator not in OPERATORS:
            raise self._wrong()
        self._position += 1
        if operator != "in":
            return Condition(name, operator, (self._literal(),))
        self._word("(")
        values = [self._literal()]
        while self._is(","):
            values.append(self._literal())
        self._word(")")
        return Condition(name, operator, tuple(values))

    def _literal(self) -> str:
        token = self._next
        if token.kind == "string":
            self._position += 1
            return unescaped(token.text)
        if token.kind == "number" or token.text.lower() in {"true", "false"}:
            self._position += 1
            return token.text.lower()
        raise self._wrong()

    def _ordering(self) -> tuple[str, bool]:
        name = self._expect("name").text
        if self._is("desc"):
            return name, True
        self._is("asc")
        return name, False

    def _positive(self) -> int:
        token = self._expect("number")
        if not token.text.isdecimal() or int(token.text) < 1:
            raise problems.query_syntax(token.text, token.column)
        return int(token.text)

    @property
    def _next(self) -> Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else self._end

    def _is(self, text: str) -> bool:
        if self._next.kind != "string" and self._next.text.lower() == text:
            self._position += 1
            return True
        return False

    def _word(self, text: str) -> bool:
        if not self._is(text):
            raise self._wrong()
        return True

    def _expect(self, kind: str) -> Token:
        token = self._next
        if token.kind != kind:
            raise self._wrong()
        self._position += 1
        return token

    def _wrong(self) -> Any:
        return problems.query_syntax(self._next.text, self._next.column)

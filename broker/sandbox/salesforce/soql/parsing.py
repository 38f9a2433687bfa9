"""The part of SOQL that the sandbox speaks: one object, its fields and those of its parents, WHERE,
ORDER BY, LIMIT, OFFSET and COUNT().
"""

from typing import Any

from broker.sandbox.salesforce.errors import ApiError
from broker.sandbox.salesforce.soql.lexing import Token, malformed, tokens, unescape
from broker.sandbox.salesforce.soql.tree import Comparison, Condition, Literal, Logical, Name, Query
from broker.sandbox.salesforce.stamps import parse_day, parse_moment

MAX_CHARACTERS = 100_000
MAX_OFFSET = 2000
COMPARISONS = ("=", "!=", "<>", "<", "<=", ">", ">=")
KEYWORDS = frozenset(
    {
        "select", "from", "where", "and", "or", "not", "order", "by", "limit", "offset", "in",
        "like", "null", "true", "false", "asc", "desc", "nulls", "first", "last",
    }
)  # fmt: skip
DATE_LITERALS = frozenset({"today", "yesterday", "tomorrow"})
UNSUPPORTED = frozenset(
    {"group", "having", "with", "using", "for", "tracking", "includes", "excludes", "typeof"}
)


def parse(text: str) -> Query:
    """Read a query. Raises MALFORMED_QUERY as Salesforce does; what Salesforce takes and the
    sandbox does not gets UNSUPPORTED_BY_SANDBOX, which is not a code of Salesforce.
    """
    if len(text) > MAX_CHARACTERS:
        problem = f"SOQL statements cannot be longer than {MAX_CHARACTERS} characters."
        raise ApiError(400, "MALFORMED_QUERY", problem)
    return _Parser(text).query()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._position = 0

    def query(self) -> Query:
        self._keyword("select")
        fields = self._fields()
        self._keyword("from")
        query = Query(self._name(), fields)
        if self._may("where"):
            query.where = self._conditions()
        if self._may("order"):
            self._keyword("by")
            query.order = [self._ordering()]
            while self._symbol(","):
                query.order.append(self._ordering())
        if self._may("limit"):
            query.limit = self._whole()
        if self._may("offset"):
            query.offset = self._whole()
            if query.offset > MAX_OFFSET:
                problem = f"Maximum SOQL offset allowed is {MAX_OFFSET}"
                raise ApiError(400, "NUMBER_OUTSIDE_VALID_RANGE", problem)
        if self._token.kind != "end":
            raise self._unexpected()
        return query

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    def _next(self) -> Token:
        token = self._token
        if token.kind in {"end", "open", "illegal"}:
            raise self._unexpected()
        self._position += 1
        return token

    def _is(self, word: str) -> bool:
        return self._token.kind == "word" and self._token.text.lower() == word

    def _may(self, word: str) -> bool:
        found = self._is(word)
        self._position += found
        return found

    def _keyword(self, word: str) -> None:
        if not self._may(word):
            raise self._unexpected()

    def _symbol(self, symbol: str) -> bool:
        found = self._token.kind == "symbol" and self._token.text == symbol
        self._position += found
        return found

    def _close(self) -> None:
        if not self._symbol(")"):
            raise self._unexpected()

    def _unexpected(self) -> ApiError:
        token = self._token
        if token.kind == "word" and token.text.lower() in UNSUPPORTED:
            problem = f"The sandbox does not know {token.text.upper()}."
            return ApiError(400, "UNSUPPORTED_BY_SANDBOX", problem)
        if token.kind == "open":
            problem = "mismatched character '<EOF>' expecting '"
            return malformed(self._text, token.at, problem)
        shown = "<EOF>" if token.kind == "end" else token.text.strip("'")
        return malformed(self._text, token.at, f"unexpected token: '{shown}'")

    def _fields(self) -> list[Name]:
        if self._token.kind == "symbol" and self._token.text == "(":
            raise ApiError(400, "UNSUPPORTED_BY_SANDBOX", "The sandbox does not know subqueries.")
        first = self._name()
        if self._symbol("("):
            if first.path.lower() != "count" or not self._symbol(")"):
                problem = f"The sandbox does not know {first.path}() with a field."
                raise ApiError(400, "UNSUPPORTED_BY_SANDBOX", problem)
            return []
        names = [first]
        while self._symbol(","):
            names.append(self._name())
            if self._token.text == "(":
                problem = f"The sandbox does not know {names[-1].path}()."
                raise ApiError(400, "UNSUPPORTED_BY_SANDBOX", problem)
        return names

    def _name(self) -> Name:
        token = self._token
        if token.kind != "word" or token.text.lower() in KEYWORDS:
            raise self._unexpected()
        self._position += 1
        return Name(token.text, token.at)

    def _conditions(self) -> Condition:
        first = self._condition()
        for word in ("and", "or"):
            if self._is(word):
                parts = [first]
                while self._may(word):
                    parts.append(self._condition())
                # AND and OR do not mix without parentheses: the other one is unexpected.
                return Logical(word, parts)
        return first

    def _condition(self) -> Condition:
        if self._symbol("("):
            inner = self._conditions()
            self._close()
            return inner
        if self._may("not"):
            return Logical("not", [self._condition()])
        name = self._name()
        token = self._next()
        if token.kind == "symbol" and token.text in COMPARISONS:
            return Comparison(name, token.text, [self._literal()])
        word = token.text.lower() if token.kind == "word" else ""
        if word == "like":
            return Comparison(name, "like", [self._literal(like=True)])
        if word == "in":
            return Comparison(name, "in", self._list())
        if word == "not" and self._may("in"):
            return Comparison(name, "not in", self._list())
        self._position -= 1
        raise self._unexpected()

    def _list(self) -> list[Literal]:
        if not self._symbol("("):
            raise self._unexpected()
        if self._is("select"):
            raise ApiError(400, "UNSUPPORTED_BY_SANDBOX", "The sandbox does not know subqueries.")
        values = [self._literal()]
        while self._symbol(","):
            values.append(self._literal())
        self._close()
        return values

    def _literal(self, *, like: bool = False) -> Literal:
        token = self._token
        value: Any = None
        kind = token.kind
        if kind == "string":
            value = unescape(self._text, token, like=like)
        elif kind == "number":
            value = float(token.text) if "." in token.text else int(token.text)
        elif kind in {"datetime", "date"}:
            value = (parse_moment if kind == "datetime" else parse_day)(token.text)
            if value is None:
                raise self._unexpected()
        elif kind == "word":
            kind, value = self._word(token)
        else:
            raise self._unexpected()
        self._position += 1
        return Literal(kind, value, token.at)

    def _word(self, token: Token) -> tuple[str, Any]:
        word = token.text.lower()
        if word in {"true", "false"}:
            return "boolean", word == "true"
        if word == "null":
            return "null", None
        if word in DATE_LITERALS or word.startswith(("last_", "next_", "this_")):
            problem = f"The sandbox does not know {token.text}."
            raise ApiError(400, "UNSUPPORTED_BY_SANDBOX", problem)
        raise self._unexpected()

    def _ordering(self) -> tuple[Name, bool, bool]:
        name = self._name()
        descending = self._may("desc")
        if not descending:
            self._may("asc")
        nulls_first = True
        if self._may("nulls"):
            nulls_first = self._may("first")
            if not nulls_first:
                self._keyword("last")
        return name, descending, nulls_first

    def _whole(self) -> int:
        token = self._token
        if token.kind != "number" or not token.text.isdecimal():
            raise self._unexpected()
        self._position += 1
        return int(token.text)

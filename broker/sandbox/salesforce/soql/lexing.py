"""SOQL in tokens, and the errors that point into a query
(https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/).
"""

import re
from dataclasses import dataclass

from broker.sandbox.salesforce.errors import ApiError

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'(?:[^'\\\n]|\\.)*')
      | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
      | (?P<date>\d{4}-\d\d-\d\d)
      | (?P<number>[+-]?\d+(?:\.\d+)?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)
      | (?P<symbol><=|>=|!=|<>|[=<>(),:])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
AROUND = 20


@dataclass(frozen=True, slots=True)
class Token:
    """A token; `at` is its offset in the query."""

    kind: str
    text: str
    at: int


def tokens(query: str) -> list[Token]:
    """The tokens of a query. The last is of kind "end"; or "open" or "illegal", where a string does
    not end or a character has no place.
    """
    found: list[Token] = []
    at = 0
    while True:
        match = _TOKEN.match(query, at)
        if match is None:
            begin = len(query) - len(query[at:].lstrip())
            kind = "open" if query[begin] == "'" else "illegal"
            return [*found, Token(kind, query[begin], begin)]
        kind = str(match.lastgroup)
        found.append(Token(kind, match[kind], match.start(kind)))
        if kind == "end":
            return found
        at = match.end()


def unescape(query: str, token: Token, *, like: bool) -> str:
    r"""The text of a string literal. In LIKE, `\%` and `\_` stay, for the pattern to read."""

    def replaced(match: re.Match[str]) -> str:
        escape = match[1]
        if escape.startswith("u") and len(escape) == 5:
            return chr(int(escape[1:], 16))
        if like and escape in "%_\\":
            return match[0]
        if escape not in _ESCAPES:
            problem = f"Illegal escape sequence '\\{escape}' in string literal"
            raise malformed(query, token.at, problem)
        return _ESCAPES[escape]

    return _ESCAPE.sub(replaced, token.text[1:-1])


def malformed(query: str, at: int, problem: str) -> ApiError:
    """The error of a query that cannot be parsed, with the place marked."""
    return located("MALFORMED_QUERY", query, at, problem)


def located(code: str, query: str, at: int, problem: str) -> ApiError:
    """An error that shows where in the query it is."""
    begin = max(0, at - AROUND)
    shown = query[begin : at + AROUND].replace("\n", " ")
    row = query.count("\n", 0, at) + 1
    column = at - (query.rfind("\n", 0, at) + 1) + 1
    marker = " " * (at - begin) + "^"
    text = f"\n{shown}\n{marker}\nERROR at Row:{row}:Column:{column}\n{problem}"
    return ApiError(400, code, text)

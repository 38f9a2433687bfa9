"""Shopify's search syntax, as far as the sandbox speaks it: `field:op value` terms that must all
hold, values bare or in quotes with backslash escapes, `-` before a term turns it round.

A term on a field that does not exist is left out with a warning, as Shopify leaves it out.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_TERM = re.compile(
    r"\s*(?P<minus>-?)(?:(?P<field>\w+):)?(?P<op>>=|<=|>|<|=)?"
    r"(?P<value>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^\s()'\"]+)\s*"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "": operator.eq,
}


@dataclass(frozen=True, slots=True)
class Term:
    """One condition."""

    field: str
    op: str
    value: str
    negated: bool


def parse(text: str) -> list[Term]:
    """The terms of a search. Raises ValueError on `OR`, brackets and unfinished quotes."""
    terms, at = [], 0
    while text[at:].strip():
        found = _TERM.match(text, at)
        if found is None or found["value"] == "OR":
            raise ValueError(f"the sandbox does not understand this search from {text[at:]!r} on")
        at = found.end()
        value = found["value"]
        if value[0] in "'\"":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        elif value == "AND" and found["field"] is None:
            continue
        terms.append(Term(found["field"] or "", found["op"] or "", value, bool(found["minus"])))
    return terms


Readers = dict[str, Callable[[Any], Any]]


def matches(row: Any, terms: list[Term], readers: Readers, text: Callable[[Any], str]) -> bool:
    """Whether a row meets every term. `readers` has the searchable fields; `text` is searched by
    terms without a field.
    """
    for term in terms:
        if not term.field:
            meets = term.value.lower() in text(row).lower()
        elif term.field in readers:
            meets = _meets(readers[term.field](row), term)
        else:
            continue
        if meets == term.negated:
            return False
    return True


def unknown_fields(terms: list[Term], readers: Readers) -> list[str]:
    """The fields of a search that cannot be searched."""
    return [term.field for term in terms if term.field and term.field not in readers]


def _meets(value: Any, term: Term) -> bool:
    if isinstance(value, list):
        return term.value.lower() in [str(each).lower() for each in value]
    if isinstance(value, float):
        named = _seconds(term.value)
        return COMPARE[term.op](int(value), named)
    if isinstance(value, int) and not isinstance(value, bool):
        if not re.fullmatch(r"-?\d+", term.value):
            return False
        return COMPARE[term.op](value, int(term.value))
    return str(value).lower() == term.value.lower()


def _seconds(text: str) -> int:
    """A date or a time, in UTC unless it has an offset. Raises ValueError."""
    read = datetime.fromisoformat(text)
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())

"""What a dry run answered, as a page shows it: labels and values in words, nested as they are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

VALUE_KEYS = frozenset({"value", "Address", "FreeFormNumber", "ContactID"})
"""How QuickBooks and Xero wrap a value that stands alone: `{"value": "2"}` is a 2."""

CHANGE_KEYS = frozenset({"before", "after", "side"})
OUTSIDE_NAMES = CHANGE_KEYS | {"overwritten"}
"""What a change of a pair of records has besides both sides' names of the field."""


@dataclass(frozen=True, slots=True)
class Line:
    """A label with a text, or with lines of its own."""

    label: str
    text: str = ""
    lines: Sequence["Line"] = ()


def preview_lines(would: Mapping[str, Any], words: Mapping[str, str]) -> list[Line]:
    """A dry run's fields with their labels from `words`; one whose word is empty is left out, and
    so is what has no value.
    """
    return [
        line
        for name, value in would.items()
        if words.get(name) != ""
        for line in _lines(words.get(name) or label_of(name), value, words)
    ]


def label_of(name: str) -> str:
    """A field's name as words: `DisplayName` and `display_name` are "Display name"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_-]", " ", name).capitalize()


def _lines(label: str, value: Any, words: Mapping[str, str]) -> list[Line]:
    if isinstance(value, Mapping) and len(value) == 1 and VALUE_KEYS.issuperset(value):
        (value,) = value.values()
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, Mapping):
        change = _change_in(value)
        if change is not None:
            return [Line(change[0] or label, change[1])]
        return [Line(label, lines=preview_lines(value, words))]
    if isinstance(value, list | tuple):
        return _listed(label, value, words)
    return [Line(label, _text(value))]


def _listed(label: str, values: Sequence[Any], words: Mapping[str, str]) -> list[Line]:
    """Single values in one line, changes by their fields, anything else numbered."""
    if not any(isinstance(each, Mapping) for each in values):
        return [Line(label, "; ".join(_text(each) for each in values))]
    if all(isinstance(each, Mapping) and _change_in(each) for each in values):
        return [Line(label, lines=[line for each in values for line in _lines("", each, words)])]
    return [
        line
        for number, each in enumerate(values, 1)
        for line in _lines(f"{label} {number}", each, words)
    ]


def _change_in(value: Mapping[str, Any]) -> tuple[str, str] | None:
    """The label, where it has one, and the words of a field's change: of a contact, by `from` and
    `to`, or of a pair of records, by both sides' names of the field.
    """
    if value.keys() == {"from", "to"}:
        return "", f"{_text(value['from'])} becomes {_text(value['to'])}"
    if CHANGE_KEYS.issubset(value):
        names = [str(each) for name, each in value.items() if name not in OUTSIDE_NAMES]
        change = f"{_text(value['before'])} becomes {_text(value['after'])} at {value['side']}"
        return ", ".join(names), change
    return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None or value == "":
        return "(empty)"
    return f"{value:f}" if isinstance(value, Decimal) else str(value)

"""What is wrong with a field, in words that a person understands and no library's."""

from collections.abc import Callable, Mapping
from typing import Any


def _at_least(unit: str) -> Callable[[Mapping[str, Any]], str]:
    def message(context: Mapping[str, Any]) -> str:
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} {unit}"

    return message


MESSAGES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "unknown field",
    "string_type": lambda _: "must be text",
    "string_too_short": _at_least("characters"),
    "string_too_long": lambda context: f"must have at most {context['max_length']} characters",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
    "string_unicode": lambda _: "must be valid Unicode",
    "too_short": _at_least("entries"),
    "too_long": lambda context: f"must have at most {context['max_length']} entries",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "less_than": lambda context: f"must be less than {context['lt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "is too large",
    "int_from_float": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "list_type": lambda _: "must be a list",
    "dict_type": lambda _: "must be an object",
    "model_type": lambda _: "must be an object",
    "model_attributes_type": lambda _: "must be an object",
    "literal_error": lambda context: f"must be {context['expected']}",
    "enum": lambda context: f"must be {context['expected']}",
    "uuid_parsing": lambda _: "must be a UUID",
    "uuid_type": lambda _: "must be a UUID",
    "datetime_parsing": lambda _: "must be a time such as 2026-11-28T09:00:00Z",
    "datetime_from_date_parsing": lambda _: "must be a time such as 2026-11-28T09:00:00Z",
    "datetime_type": lambda _: "must be a time such as 2026-11-28T09:00:00Z",
}
"""Pydantic's kinds of errors that the broker's models can raise, but for those that a validator
words itself.
"""


def message_of(problem: Mapping[str, Any]) -> str:
    """The message for one of `ValidationError.errors()`, with its context."""
    found = MESSAGES.get(problem["type"])
    if found is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    return found(problem.get("ctx", {}))

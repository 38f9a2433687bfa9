"""Values of a request's JSON, checked field by field and turned into stored ones."""

import re
from typing import Any

from broker.sandbox.salesforce.errors import ApiError
from broker.sandbox.salesforce.ids import PREFIXES, parse_id
from broker.sandbox.salesforce.org import Org
from broker.sandbox.salesforce.schema.fields import NUMBERS, TEXTS, Field
from broker.sandbox.salesforce.stamps import parse_day, parse_moment

_EMAIL = re.compile(r"[^@\s,;:<>()\[\]\\\"]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_JSON_NAMES = {bool: "VALUE_TRUE", int: "VALUE_NUMBER_INT", float: "VALUE_NUMBER_FLOAT"}


def to_stored(org: Org, field: Field, value: Any) -> Any:
    """The stored form of a value. Text loses white space at its ends; empty text is null.

    Raises ApiError with the code that Salesforce gives for such a value.
    """
    if value is None:
        return False if field.type == "boolean" else None
    if field.type == "reference":
        return _reference(org, field, value)
    if field.type in TEXTS:
        return _text(field, value)
    wrong: Any = None
    if field.type == "boolean":
        wrong = not isinstance(value, bool)
    elif field.type in NUMBERS:
        wrong = isinstance(value, bool) or not isinstance(value, int | float)
        wrong = wrong or (field.type == "int" and not isinstance(value, int))
    elif isinstance(value, str):
        value, raw = (parse_day if field.type == "date" else parse_moment)(value), value
        if value is None:
            raise _not_of_type(field.type, raw)
    else:
        wrong = True
    if wrong:
        raise _not_of_type(field.type, value)
    return value


def _text(field: Field, value: Any) -> str | None:
    if not isinstance(value, str):
        raise _not_of_type("string", value)
    text = value.strip()
    if not text:
        return None
    if field.length and len(text) > field.length:
        problem = f"{field.label}: data value too large: {text} (max length={field.length})"
        raise ApiError(400, "STRING_TOO_LONG", problem, [field.name])
    if field.type == "email" and not _EMAIL.fullmatch(text):
        problem = f"{field.label}: invalid email address: {text}"
        raise ApiError(400, "INVALID_EMAIL_ADDRESS", problem, [field.name])
    if field.type == "picklist" and field.restricted and text not in field.active_values():
        problem = f"{field.label}: bad value for restricted picklist field: {text}"
        code = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
        raise ApiError(400, code, problem, [field.name])
    return text


def _reference(org: Org, field: Field, value: Any) -> str | None:
    if value == "":
        return None
    full = parse_id(value) if isinstance(value, str) else None
    prefixes = tuple(PREFIXES[each] for each in field.reference_to)
    if full is None or not full.startswith(prefixes):
        problem = f"{field.label}: id value of incorrect type: {value}"
        raise ApiError(400, "MALFORMED_ID", problem, [field.name])
    found = org.find(full)
    if found is None or found[1]["IsDeleted"]:
        raise ApiError(400, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
    if field.name == "OwnerId" and found[0].name == "User" and not found[1]["IsActive"]:
        problem = f"operation performed with inactive user [{full[:15]}] as owner of lead"
        raise ApiError(400, "INACTIVE_OWNER_OR_USER", problem, [])
    return full


def _not_of_type(kind: str, value: Any) -> ApiError:
    shown = f"VALUE_STRING value {value}"
    if isinstance(value, dict | list):
        shown = "START_OBJECT" if isinstance(value, dict) else "START_ARRAY"
    elif not isinstance(value, str):
        shown = f"{_JSON_NAMES[type(value)]} value {str(value).lower()}"
    problem = f"Cannot deserialize instance of {kind} from {shown} or request may be missing"
    return ApiError(400, "JSON_PARSER_ERROR", f"{problem} a required field at [line:1, column:1]")

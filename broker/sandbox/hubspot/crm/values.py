"""Which values a property accepts, and HubSpot's error for the others."""

import json
import re
from datetime import UTC, date, datetime
from typing import Any

from broker.sandbox.hubspot.answers import Refused

Definitions = dict[str, dict[str, Any]]
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
MIDNIGHT_MS = 86_400_000


class _Wrong(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def moment(seconds: float) -> str:
    """A moment as HubSpot writes it: UTC, milliseconds only when there are some."""
    at = datetime.fromtimestamp(round(seconds, 3), UTC)
    text = at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def accepted(
    properties: Any, definitions: Definitions, hub_id: int, choices: dict[str, list[str]]
) -> dict[str, str | None]:
    """Values as they are stored; None clears one. `choices` are options that live elsewhere.

    Refuses with every value that is wrong, at once, as HubSpot does.
    """
    if not isinstance(properties, dict):
        raise Refused(400, "Invalid input JSON on line 1, column 1: properties is missing")
    taken: dict[str, str | None] = {}
    wrong: list[tuple[str, _Wrong]] = []
    for name, value in properties.items():
        try:
            taken[name] = _stored(name, value, definitions, choices)
        except _Wrong as problem:
            wrong.append((name, problem))
    if wrong:
        raise _refusal(wrong, hub_id)
    return taken


def _stored(
    name: str, value: Any, definitions: Definitions, choices: dict[str, list[str]]
) -> str | None:
    defined = definitions.get(name)
    if defined is None:
        raise _Wrong("PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist')
    if defined["modificationMetadata"]["readOnlyValue"]:
        message = f'"{name}" is a read only property; its value cannot be set.'
        raise _Wrong("READ_ONLY_VALUE", message)
    if value is None or value == "":
        return None
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if name == "email":
        if not EMAIL.fullmatch(text.strip()):
            raise _Wrong("INVALID_EMAIL", f"Email address {text} is invalid")
        return text.strip().lower()
    if defined["type"] in {"enumeration", "bool"}:
        allowed = choices.get(name) or [option["value"] for option in defined["options"]]
        return _chosen(text, allowed, several=defined["fieldType"] == "checkbox")
    return _KINDS[defined["type"]](text) if defined["type"] in _KINDS else text


def _chosen(text: str, allowed: list[str], *, several: bool) -> str:
    parts = [part for part in text.split(";") if part] if several else [text]
    for part in parts:
        if part not in allowed:
            listed = ", ".join(allowed)
            raise _Wrong("INVALID_OPTION", f"{part} was not one of the allowed options: [{listed}]")
    return ";".join(parts)


def _number(text: str) -> str:
    try:
        float(text)
    except ValueError:
        raise _Wrong("INVALID_LONG", f"{text} was not a valid number.") from None
    return text


def _datetime(text: str) -> str:
    try:
        if re.fullmatch(r"-?\d+", text):
            return moment(int(text) / 1000)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise _Wrong("INVALID_LONG", f"{text} was not a valid long.") from None
    return moment((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _date(text: str) -> str:
    if re.fullmatch(r"-?\d+", text):
        if int(text) % MIDNIGHT_MS:
            raise _Wrong("INVALID_DATE", f"{text} is not midnight!")
        return _datetime(text)[:10]
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        raise _Wrong("INVALID_DATE", f"{text} was not a valid date.") from None


_KINDS = {"number": _number, "datetime": _datetime, "date": _date}


def _refusal(wrong: list[tuple[str, _Wrong]], hub_id: int) -> Refused:
    details = [
        {
            "isValid": False,
            "message": problem.message,
            "error": problem.code,
            "name": name,
            "localizedErrorMessage": problem.message,
            "portalId": hub_id,
        }
        for name, problem in wrong
    ]
    return Refused(
        400,
        f"Property values were not valid: {json.dumps(details, separators=(',', ':'))}",
        "VALIDATION_ERROR",
        errors=[
            {
                "message": problem.message,
                "code": problem.code,
                "context": {"propertyName": [name]},
            }
            for name, problem in wrong
        ],
    )

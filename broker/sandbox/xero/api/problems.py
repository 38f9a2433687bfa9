"""Xero's refusals: validation exceptions, authentication problems, limits.

The envelopes are those of Xero's OpenAPI document (XeroAPI/Xero-OpenAPI 16.1.0) and its SDKs.
"""

import uuid
from typing import Any


class Invalid(Exception):
    """Why an element is not saved, in Xero's sentences."""

    def __init__(self, *messages: str) -> None:
        super().__init__(messages[0])
        self.messages = messages


class XeroProblem(Exception):
    """A refusal or an error. A text `body` is sent as HTML."""

    def __init__(
        self, status: int, body: dict[str, Any] | str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def unauthorized(detail: str, headers: dict[str, str] | None = None) -> XeroProblem:
    return XeroProblem(401, _problem("Unauthorized", 401, detail), headers)


def forbidden() -> XeroProblem:
    return XeroProblem(403, _problem("Forbidden", 403, "AuthenticationUnsuccessful"))


def insufficient_scope() -> XeroProblem:
    challenge = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
    return unauthorized("AuthorizationUnsuccessful", challenge)


def limited(which: str, retry_after: int) -> XeroProblem:
    headers = {"Retry-After": str(retry_after), "X-Rate-Limit-Problem": which}
    return XeroProblem(429, "", headers)


def not_found() -> XeroProblem:
    return XeroProblem(404, "The resource you're looking for cannot be found")


def query_problem(message: str) -> XeroProblem:
    return _exception(16, "QueryParseException", message)


def post_data(message: str) -> XeroProblem:
    return _exception(17, "PostDataInvalidException", message)


def idempotency(message: str) -> XeroProblem:
    return _exception(10, "ValidationException", message)


def validation(elements: list[dict[str, Any]]) -> XeroProblem:
    body = {
        "ErrorNumber": 10,
        "Type": "ValidationException",
        "Message": "A validation exception occurred",
        "Elements": elements,
    }
    return XeroProblem(400, body)


def errors(invalid: Invalid) -> list[dict[str, str]]:
    """The `ValidationErrors` of an element."""
    return [{"Message": each} for each in invalid.messages]


def _exception(number: int, kind: str, message: str) -> XeroProblem:
    return XeroProblem(400, {"ErrorNumber": number, "Type": kind, "Message": message})


def _problem(title: str, status: int, detail: str) -> dict[str, Any]:
    return {
        "Type": None,
        "Title": title,
        "Status": status,
        "Detail": detail,
        "Instance": str(uuid.uuid4()),
        "Extensions": {},
    }

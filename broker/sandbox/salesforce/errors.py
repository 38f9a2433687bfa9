"""Salesforce's error bodies: an array for the REST API, an object for OAuth
(https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm).
"""

import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web


class ApiError(Exception):
    """A call of the REST API that is refused; `element` is the one element of its body."""

    def __init__(
        self, status: int, code: str, message: str, fields: Sequence[str] | None = None, **rest: Any
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.element: dict[str, Any] = {"message": message, "errorCode": code, **rest}
        if fields is not None:
            self.element["fields"] = list(fields)

    def saved(self) -> dict[str, Any]:
        """The error as a collection's result holds it: `statusCode`, and always `fields`."""
        rest = {name: value for name, value in self.element.items() if name != "errorCode"}
        return {"statusCode": self.code, "fields": [], **rest}


class MultipleChoicesError(Exception):
    """An external id that several records have; `urls` are theirs."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__("several records have this external id")
        self.urls = urls


class OAuthError(Exception):
    """A request that the OAuth endpoints refuse."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


def json_response(body: Any, status: int = 200) -> web.Response:
    """A JSON answer in Salesforce's content type."""
    return web.Response(
        body=json.dumps(body, separators=(",", ":")).encode(),
        status=status,
        headers={"Content-Type": "application/json;charset=UTF-8"},
    )


def error_response(error: ApiError | MultipleChoicesError | OAuthError) -> web.Response:
    """The answer for a refusal."""
    if isinstance(error, OAuthError):
        body = {"error": error.error, "error_description": error.description}
        return json_response(body, error.status)
    if isinstance(error, MultipleChoicesError):
        return json_response(error.urls, 300)
    return json_response([error.element], error.status)


def not_found(message: str = "The requested resource does not exist") -> ApiError:
    """What an unknown path, version, object or record gets."""
    return ApiError(404, "NOT_FOUND", message)

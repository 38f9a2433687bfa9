"""HubSpot's error bodies, word for word (https://developers.hubspot.com/docs/api-reference/error-handling)."""

import json
import uuid
from typing import Any

from aiohttp import web


class Refused(Exception):
    """A request that HubSpot answers with an error body."""

    def __init__(self, status: int, message: str, category: str | None = None, **rest: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers: dict[str, str] = {}
        self.body: dict[str, Any] = {"status": "error", "message": message, **rest}
        if category is not None:
            self.body["category"] = category


def error(refused: Refused) -> web.Response:
    """The answer for a refusal, with HubSpot's correlation headers."""
    correlation = str(uuid.uuid4())
    body = {**refused.body, "correlationId": correlation}
    response = answer(body, refused.status)
    response.headers["x-hubspot-correlation-id"] = correlation
    response.headers["x-request-id"] = correlation
    response.headers.update(refused.headers)
    return response


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer in HubSpot's content type."""
    return web.Response(
        body=json.dumps(body, separators=(",", ":")).encode(),
        status=status,
        headers={"Content-Type": "application/json;charset=utf-8"},
    )


def oauth_error(error_word: str, status_word: str, message: str) -> web.Response:
    """The token endpoint's error body: RFC 6749's fields with HubSpot's older ones."""
    body = {
        "error": error_word,
        "error_description": message,
        "status": status_word,
        "message": message,
    }
    return answer(body, 400)

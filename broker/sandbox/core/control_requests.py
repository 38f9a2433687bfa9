"""What a request to the control API carries, and how a wrong one is answered."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from broker.sandbox.hubspot.answers import Refused

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object that a control request carries."""
    try:
        read = json.loads(await request.read())
    except ValueError as error:
        raise Refused(400, "The body is not JSON") from error
    if not isinstance(read, dict):
        raise Refused(400, "The body is not an object")
    return read


def guarded(handler: Handler) -> Handler:
    """Answer 400 when a field is missing or wrong, instead of failing."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise Refused(400, f"A field is missing or wrong: {wrong}") from wrong

    return handle

"""Requests to the control API under `/_sandbox`, and the answers to wrong ones."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def read_object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body. Raises ValueError when it holds anything else."""
    try:
        payload = json.loads(await request.read())
    except ValueError as error:
        raise ValueError("the body is not JSON") from error
    if not isinstance(payload, dict):
        raise TypeError("the body is not an object")
    return payload


def guarded(handler: Handler) -> Handler:
    """Answer 400 when a field is missing or wrong, instead of failing."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            problem = f"A field is missing or wrong: {wrong}"
            return web.json_response({"error": problem}, status=400)

    return handle


def set_levers(payload: Mapping[str, Any], *targets: Any, actions: Collection[str] = ()) -> None:
    """Set fields of the dataclasses `targets` by their names.

    Raises ValueError, and sets nothing, when a name is neither a field nor one of `actions`.
    """
    target_of = {each.name: target for target in targets for each in fields(target)}
    unknown = set(payload) - set(target_of) - set(actions)
    if unknown:
        raise ValueError(f"no such lever: {', '.join(sorted(unknown))}")
    for name in set(payload) & set(target_of):
        setattr(target_of[name], name, payload[name])


def refuse_other_origins(request: web.Request) -> None:
    """Let only the sandbox's own pages post its forms. Raises HTTPForbidden."""
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden

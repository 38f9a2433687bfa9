"""Operations: what each takes and gives, checked on the way in; `openapi_document` describes them.

A handler is one of three kinds: `operation` checks an API key and its scopes before the handler
runs; `self_authenticating` marks one that proves by itself who calls; `public` one that anybody may
call.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel

from broker.domain.audit import SOURCE, Source
from broker.domain.model import Caller
from broker.domain.tenancy import WORKSPACE
from broker.services.access.callers import Callers, require
from broker.web.core.cookies import check_not_cross_site
from broker.web.core.middleware import LOG_FIELDS
from broker.web.core.origins import address_of
from broker.web.core.requests import parse_body, parse_query

CALLERS = web.AppKey("callers", Callers)


class ProblemField(BaseModel):
    """One wrong field."""

    field: str
    message: str


class Problem(BaseModel):
    """A refusal of the broker's own (RFC 9457)."""

    type: str
    title: str
    status: int
    code: str
    detail: str | None = None
    requestId: str
    errors: list[ProblemField] | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """What a handler takes and gives; `scopes` is None where no API key is needed."""

    summary: str
    description: str
    scopes: tuple[str, ...] | None
    body: type[BaseModel] | None
    query: type[BaseModel] | None
    answers: dict[int, type[BaseModel] | None]
    tags: tuple[str, ...] = field(default=())


F = TypeVar("F", bound=Callable[..., Any])


def operation(
    *scopes: str,
    body: type[BaseModel] | None = None,
    query: type[BaseModel] | None = None,
    answers: dict[int, type[BaseModel] | None] | None = None,
    tags: tuple[str, ...] = (),
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[web.StreamResponse]]]:
    """Guard a handler `async def name(self, request, caller[, body=][, query=])`.

    The caller needs one of `scopes`. What the handler returns is a response, a model, or a status
    with a model.
    """

    def decorate(
        function: Callable[..., Awaitable[Any]],
    ) -> Callable[..., Awaitable[web.StreamResponse]]:
        @functools.wraps(function)
        async def handler(owner: Any, request: web.Request) -> web.StreamResponse:
            caller = await _authenticate(request, scopes)
            parsed: dict[str, Any] = {}
            if query is not None:
                parsed["query"] = parse_query(request, query)
            if body is not None:
                parsed["body"] = await parse_body(request, body)
            return _respond(await function(owner, request, caller, **parsed))

        return _describe_as(handler, scopes, body, query, answers, tags)

    return decorate


def self_authenticating(
    *,
    enforces: tuple[str, ...] | None = None,
    body: type[BaseModel] | None = None,
    answers: dict[int, type[BaseModel] | None] | None = None,
    tags: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Describe a handler that checks by itself who calls. This checks nothing.

    `enforces`: the scopes of which the handler demands one; None where callers have no API key but
    a signature or a client secret.
    """
    return lambda function: _describe_as(function, enforces, body, None, answers, tags)


def public(
    *,
    answers: dict[int, type[BaseModel] | None] | None = None,
    tags: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Describe a handler that anybody may call."""
    return lambda function: _describe_as(function, None, None, None, answers, tags)


def operation_of(handler: Callable[..., Any]) -> Operation:
    """What a handler takes and gives."""
    described: Operation = handler.operation  # type: ignore[attr-defined]
    return described


def _describe_as(
    handler: F,
    scopes: tuple[str, ...] | None,
    body: type[BaseModel] | None,
    query: type[BaseModel] | None,
    answers: dict[int, type[BaseModel] | None] | None,
    tags: tuple[str, ...],
) -> F:
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n")
    handler.operation = Operation(  # type: ignore[attr-defined]
        summary.rstrip("."),
        description.strip(),
        scopes,
        body,
        query,
        answers or {200: None},
        tags,
    )
    return handler


async def _authenticate(request: web.Request, scopes: tuple[str, ...]) -> Caller:
    check_not_cross_site(request.headers)
    caller = await request.app[CALLERS].authenticate(request.headers.get("Authorization"))
    request[LOG_FIELDS]["key"] = str(caller.key_id)
    SOURCE.set(Source("api", address_of(request)))
    WORKSPACE.set(caller.workspace_id)
    require(caller, *scopes)
    return caller


def _respond(result: Any) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    status, model = result if isinstance(result, tuple) else (200, result)
    return web.Response(
        text=model.model_dump_json(by_alias=True), status=status, content_type="application/json"
    )

"""Operations: what each takes and gives, checked on the way in and described as OpenAPI 3.1.

A handler is one of three kinds: `operation` checks an API key and its scopes before the handler
runs; `self_authenticating` marks one that proves by itself who calls; `public` one that anybody may
call.
"""

import functools
import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broker.domain.audit import SOURCE, Source
from broker.domain.model import Caller
from broker.domain.tenancy import WORKSPACE
from broker.services.access.callers import Callers, require
from broker.web.core.cookies import check_not_cross_site
from broker.web.core.middleware import LOG_FIELDS
from broker.web.core.requests import parse_body, parse_query

CALLERS = web.AppKey("callers", Callers)

VERSION = "0.1.0"


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
    SOURCE.set(Source("api", request.remote))
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


def document(
    table: Iterable[tuple[str, str, Callable[..., Any]]], public_url: str
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a table of method, path and operation."""
    rows = [(method, path, operation_of(function)) for method, path, function in table]
    models: set[tuple[type[BaseModel], Any]] = {(Problem, "serialization")}
    for _, _, each in rows:
        models |= {(model, "validation") for model in (each.body, each.query) if model}
        models |= {(model, "serialization") for model in each.answers.values() if model}
    ordered = sorted(models, key=lambda pair: (pair[0].__name__, pair[1]))
    references, definitions = models_json_schema(
        ordered, ref_template="#/components/schemas/{model}"
    )
    schemas = definitions["$defs"]
    paths: dict[str, dict[str, Any]] = {}
    for method, template, each in rows:
        path = re.sub(r"\{(\w+)(:[^{}]*(\{\d+\}[^{}]*)?)?\}", r"{\1}", template)
        paths.setdefault(path, {})[method.lower()] = _describe(
            path, method.lower(), each, references, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The broker",
            "version": VERSION,
            "description": "Connect a product to HubSpot. HubSpot's own answers pass through the "
            "proxy untouched and are described by HubSpot.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _describe(
    path: str, method: str, each: Operation, references: Any, schemas: dict[str, Any]
) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    if each.query is not None:
        model = schemas[references[(each.query, "validation")]["$ref"].rsplit("/", 1)[1]]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in model.get("required", ()),
                "schema": schema,
            }
            for name, schema in model["properties"].items()
        ]
    words = re.sub(r"[^a-z0-9]+", "-", f"{method}-{path}".lower()).strip("-")
    described: dict[str, Any] = {
        "operationId": words,
        "summary": each.summary,
        "tags": list(each.tags),
        "parameters": parameters,
        "responses": {
            str(status): _answer(status, references[(model, "serialization")] if model else None)
            for status, model in each.answers.items()
        },
    }
    described["responses"]["default"] = {
        "description": "A refusal",
        "content": {"application/problem+json": {"schema": references[(Problem, "serialization")]}},
    }
    if each.description:
        described["description"] = each.description
    if each.body is not None:
        schema = references[(each.body, "validation")]
        described["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema}},
        }
    if each.scopes is not None:
        described["security"] = [{"bearer": []}, {"basic": []}]
        described["x-broker-scopes"] = list(each.scopes)
    return described


def _answer(status: int, schema: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if schema is not None:
        answer["content"] = {"application/json": {"schema": schema}}
    return answer

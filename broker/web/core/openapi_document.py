"""The OpenAPI 3.1 document: every operation, each field described, each body with an example."""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from broker.web.core.openapi import Operation, Problem, operation_of
from broker.web.core.reference import Reference

VERSION = "0.1.0"


def document(
    table: Iterable[tuple[str, str, Callable[..., Any]]], reference: Reference
) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a table of method, path and operation, without its servers."""
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
    reference.describe(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for method, template, each in rows:
        path = re.sub(r"\{(\w+)(:[^{}]*(\{\d+\}[^{}]*)?)?\}", r"{\1}", template)
        paths.setdefault(path, {})[method.lower()] = _describe(
            path, method.lower(), each, references, schemas, reference
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
    path: str,
    method: str,
    each: Operation,
    references: Any,
    schemas: dict[str, Any],
    reference: Reference,
) -> dict[str, Any]:
    words = re.sub(r"[^a-z0-9]+", "-", f"{method}-{path}".lower()).strip("-")
    described: dict[str, Any] = {
        "operationId": words,
        "summary": each.summary,
        "tags": list(each.tags),
        "parameters": _parameters(path, each, references, schemas, reference),
        "responses": {
            str(status): _answer(status, references[(model, "serialization")] if model else None)
            for status, model in each.answers.items()
        },
    }
    described["responses"]["default"] = {
        "description": "A refusal, see [errors](/docs/errors)",
        "content": {"application/problem+json": {"schema": references[(Problem, "serialization")]}},
    }
    if each.description:
        described["description"] = each.description
    if each.body is not None:
        schema = references[(each.body, "validation")]
        described["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schema,
                    "example": reference.examples.get(each.body.__name__, {}),
                }
            },
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


def _parameters(
    path: str, each: Operation, references: Any, schemas: dict[str, Any], reference: Reference
) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": reference.paths.get(name, ""),
            "schema": {"type": "string"},
            "example": reference.values.get(name, "1"),
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]
    if each.query is not None:
        model = schemas[references[(each.query, "validation")]["$ref"].rsplit("/", 1)[1]]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in model.get("required", ()),
                "description": schema.get("description", ""),
                "schema": schema,
                **({"example": reference.values[name]} if name in reference.values else {}),
            }
            for name, schema in model["properties"].items()
        ]
    return parameters

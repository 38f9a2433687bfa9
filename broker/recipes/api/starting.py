"""`/api/recipes/{recipe}/{slug}`: start a recipe, prepare a HubSpot account for it, check both."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from broker.domain.model import App, Caller
from broker.recipes.api.summaries import TAGS, summary
from broker.recipes.base import AnyRecipe, AnySpec, Finding
from broker.recipes.checks import Checks
from broker.recipes.preparing import ForUser, SetupResponse
from broker.recipes.starts.starting import StartedRun, Starter
from broker.stores.connections.apps import Apps
from broker.web.core.openapi import operation
from broker.web.core.requests import path_slug

WAIT_S = 15.0
"""How long a start may take before it is answered with 202."""


class CheckResponse(BaseModel):
    """Everything that would make a run fail now; `ok` when there is nothing."""

    ok: bool
    findings: list[Finding]


def starting_handlers(spec: AnySpec) -> type:
    """The handlers of one recipe's starts, made with `(apps, recipe, starter, checks)`."""
    answers: dict[int, type[BaseModel] | None] = dict.fromkeys((200, 201, 202), spec.response)

    class StartingHandlers:
        def __init__(self, apps: Apps, recipe: AnyRecipe, starter: Starter, checks: Checks) -> None:
            self._apps = apps
            self._recipe = recipe
            self._starter = starter
            self._checks = checks

        @operation("recipes", body=spec.start, answers=answers, tags=TAGS)
        @summary(
            f"Start the {spec.title} recipe: one run for one subject, however often it is started.",
            "201 when the run created something, 200 when it was there, 202 when it goes on (look "
            "at the run, or wait for the event `recipe.run.finished`). A refusal carries `runId` "
            "when a run was begun, and the vendor's error as `vendorError`. `dryRun` changes "
            "nothing anywhere and returns what would be sent and written.",
        )
        async def start(self, request: web.Request, caller: Caller, body: Any) -> web.Response:
            app = await self._app(request, caller)
            if body.dryRun:
                fields = await self._recipe.dry_run(app, caller, body)
                return to_response(spec, 200, {"ok": True, "dryRun": True, **fields})
            run_request = await self._recipe.run_request(app, caller, body)
            return run_response(spec, await self._starter.start(run_request, WAIT_S))

        @operation("recipes", body=ForUser, answers={200: SetupResponse}, tags=TAGS)
        @summary("Create the HubSpot properties that a user's account lacks.")
        async def setup(self, request: web.Request, caller: Caller, body: ForUser) -> SetupResponse:
            app = await self._app(request, caller)
            user_ref = body.userForeignIdentifier
            return await self._checks.create_properties(self._recipe, app, caller, user_ref)

        @operation("recipes", body=ForUser, answers={200: CheckResponse}, tags=TAGS)
        @summary(
            "List everything that would make a run of a user fail.",
            "Connection, scopes, properties, and whatever else the recipe needs; each finding with "
            "its remedy.",
        )
        async def check(self, request: web.Request, caller: Caller, body: ForUser) -> CheckResponse:
            app = await self._app(request, caller)
            user_ref = body.userForeignIdentifier
            findings = await self._checks.findings(self._recipe, app, caller, user_ref)
            return CheckResponse(ok=not findings, findings=findings)

        async def _app(self, request: web.Request, caller: Caller) -> App:
            return await self._apps.get(caller.workspace_id, path_slug(request, caller))

    return StartingHandlers


def run_response(spec: AnySpec, started: StartedRun) -> web.Response:
    """A started run as the API answers it. Raises the refusal of one that failed."""
    run_id = started.run.id
    if started.run.state == "running":
        return to_response(spec, 202, {"ok": None, "runId": run_id, "state": "running"})
    result = started.result
    status = 201 if result.get("created") else 200
    return to_response(spec, status, {"ok": True, "runId": run_id, **result})


def to_response(spec: AnySpec, status: int, fields: Mapping[str, Any]) -> web.Response:
    """Fields of the recipe's response; what is not set is left out."""
    text = spec.response.model_validate(fields).model_dump_json(exclude_unset=True)
    return web.Response(text=text, status=status, content_type="application/json")

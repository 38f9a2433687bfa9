"""Runs of recipes: `/api/recipes/runs` for any of them, and the list of each recipe."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from broker.domain.model import Caller
from broker.domain.runs import RunRecord, StepRecord
from broker.errors import RunNotFound
from broker.recipes.api.summaries import TAGS, summary
from broker.recipes.base import AnySpec
from broker.services.runs.engine import Runs
from broker.stores.connections.apps import Apps
from broker.stores.recipes.run_records import RunRecords
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, path_id, path_slug


class StepShown(BaseModel):
    """A step of a run. `error` is why it waits or failed; `progress` how far a step of many records
    is.
    """

    name: str
    state: str
    attempts: int
    failures: int
    error: str | None
    progress: dict[str, int | None] | None
    beganAt: datetime
    endedAt: datetime | None


class RunShown(BaseModel):
    """A run: running, done with a result, failed with a problem that says what to do, or
    dismissed.
    """

    runId: UUID
    app: str
    recipe: str
    subject: str
    userForeignIdentifier: str | None
    hubId: int | None
    state: str
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    dueAt: datetime | None
    createdAt: datetime
    endedAt: datetime | None


class RunWithSteps(RunShown):
    """A run with its steps."""

    steps: list[StepShown]


class RunQuery(RequestModel):
    """Which runs to list: in a state; `before` is the `before` of the previous page."""

    state: Literal["running", "done", "failed", "dismissed"] | None = None
    before: UUID | None = None
    limit: int = Field(default=50, ge=1, le=200)


class RunList(BaseModel):
    """Runs, newest first; ask again with `before` for more."""

    runs: list[RunShown]
    before: UUID | None


class RunHandlers:
    """`/api/recipes/runs`."""

    def __init__(self, records: RunRecords, runs: Runs) -> None:
        self._records = records
        self._runs = runs

    @operation("recipes", answers={200: RunWithSteps}, tags=TAGS)
    async def show(self, request: web.Request, caller: Caller) -> RunWithSteps:
        """Show a run with its steps, attempts and errors."""
        record = await self._run(request, caller)
        steps = await self._records.steps(caller.workspace_id, record.id)
        return RunWithSteps(**_fields(record), steps=[_step(step) for step in steps])

    @operation("recipes", answers={202: RunShown}, tags=TAGS)
    async def retry(self, request: web.Request, caller: Caller) -> tuple[int, RunShown]:
        """Resume a failed run from the step that failed; any other stays as it is.

        While nothing was changed outside, the record is read again: what was corrected counts.
        """
        record = await self._run(request, caller)
        await self._runs.retry(caller.workspace_id, record.id)
        return 202, RunShown(**_fields(await self._records.get(caller.workspace_id, record.id)))

    @operation("recipes", answers={200: RunShown}, tags=TAGS)
    async def dismiss(self, request: web.Request, caller: Caller) -> RunShown:
        """Dismiss a failed run that will not be mended; any other stays as it is.

        It leaves the list of failed runs. A new start of its subject begins it again.
        """
        record = await self._run(request, caller)
        await self._runs.dismiss(caller.workspace_id, record.id)
        return RunShown(**_fields(await self._records.get(caller.workspace_id, record.id)))

    async def _run(self, request: web.Request, caller: Caller) -> RunRecord:
        record = await self._records.get(caller.workspace_id, path_id(request, RunNotFound))
        if not caller.can_access_app(record.app_slug):
            raise RunNotFound
        return record


def run_list_handlers(spec: AnySpec) -> type:
    """The handler of one recipe's list of runs, made with `(apps, records)`."""

    class RunListHandlers:
        def __init__(self, apps: Apps, records: RunRecords) -> None:
            self._apps = apps
            self._records = records

        @operation("recipes", query=RunQuery, answers={200: RunList}, tags=TAGS)
        @summary(f"List an app's runs of the {spec.title} recipe, newest first.")
        async def index(self, request: web.Request, caller: Caller, query: RunQuery) -> RunList:
            app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
            records, before = await self._records.page(
                app.workspace_id,
                app.id,
                spec.name,
                state=query.state,
                before=query.before,
                limit=query.limit,
            )
            return RunList(runs=[RunShown(**_fields(each)) for each in records], before=before)

    return RunListHandlers


def _fields(record: RunRecord) -> dict[str, Any]:
    return {
        "runId": record.id,
        "app": record.app_slug,
        "recipe": record.recipe,
        "subject": record.subject,
        "userForeignIdentifier": record.user_ref,
        "hubId": record.hub_id,
        "state": record.state,
        "result": record.result,
        "problem": record.problem,
        "dueAt": record.due_at,
        "createdAt": record.created_at,
        "endedAt": record.ended_at,
    }


def _step(step: StepRecord) -> StepShown:
    return StepShown(
        name=step.name,
        state=step.state,
        attempts=step.attempts,
        failures=step.failures,
        error=step.error,
        progress=step.checkpoint.get("progress"),
        beganAt=step.began_at,
        endedAt=step.ended_at,
    )

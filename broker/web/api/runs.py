"""Runs of recipes as people and programs look at them: `/api/recipes`."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, Field

from broker.domain.model import Caller
from broker.domain.runs import RunRecord, StepRecord
from broker.errors import RunNotFound
from broker.recipes.kyb.settings import KYB
from broker.services.runs.engine import Runs
from broker.stores.connections.apps import Apps
from broker.stores.recipes.kyb_cases import Cases
from broker.stores.recipes.run_records import RunRecords
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, path_id, path_slug

TAGS = ("Recipes",)


class StepShown(BaseModel):
    """A step of a run. `error` is why it waits or failed."""

    name: str
    state: str
    attempts: int
    failures: int
    error: str | None
    beganAt: datetime
    endedAt: datetime | None


class RunShown(BaseModel):
    """A run: running, done with a result, or failed with a problem that says what to do."""

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
    """Which runs to list: in a state, before a run's number."""

    state: Literal["running", "done", "failed"] | None = None
    before: int | None = None
    limit: int = Field(default=50, ge=1, le=200)


class RunList(BaseModel):
    """Runs, newest first; ask again with `before` for more."""

    runs: list[RunShown]
    before: int | None


class ParkedShown(BaseModel):
    """An event of First Mile Labs' that fits no run."""

    eventId: str
    event: str
    caseId: str | None
    crmRecordId: str | None
    receivedAt: datetime


class ParkedList(BaseModel):
    """Parked events, newest first."""

    events: list[ParkedShown]


class RunHandlers:
    """`/api/recipes/runs` and the lists of an app."""

    def __init__(self, apps: Apps, records: RunRecords, runs: Runs, cases: Cases) -> None:
        self._apps = apps
        self._records = records
        self._runs = runs
        self._cases = cases

    @operation("recipes", answers={200: RunWithSteps}, tags=TAGS)
    async def show(self, request: web.Request, caller: Caller) -> RunWithSteps:
        """Show a run with its steps, attempts and errors."""
        record = await self._run(request, caller)
        steps = await self._records.steps(caller.workspace_id, record.id)
        return RunWithSteps(**_facts(record), steps=[_step(step) for step in steps])

    @operation("recipes", answers={202: RunShown}, tags=TAGS)
    async def retry(self, request: web.Request, caller: Caller) -> tuple[int, RunShown]:
        """Let a failed run go on where it stopped; any other stays as it is.

        While nothing was changed outside, the Company is read anew: what was corrected counts.
        """
        record = await self._run(request, caller)
        await self._runs.retry(caller.workspace_id, record.id)
        return 202, RunShown(**_facts(await self._records.get(caller.workspace_id, record.id)))

    @operation("recipes", query=RunQuery, answers={200: RunList}, tags=TAGS)
    async def index(self, request: web.Request, caller: Caller, query: RunQuery) -> RunList:
        """List an app's runs of the KYB recipe, newest first."""
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        records, before = await self._records.page(
            app.workspace_id,
            app.id,
            KYB,
            state=query.state,
            before=query.before,
            limit=query.limit,
        )
        return RunList(runs=[RunShown(**_facts(each)) for each in records], before=before)

    @operation("recipes", answers={200: ParkedList}, tags=TAGS)
    async def parked(self, request: web.Request, caller: Caller) -> ParkedList:
        """List events of First Mile Labs' that fit no run, newest first."""
        app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
        found = await self._cases.parked(app.workspace_id, app.id, 200)
        return ParkedList(
            events=[
                ParkedShown(
                    eventId=each.event_id,
                    event=each.name,
                    caseId=each.case_id,
                    crmRecordId=each.record_id,
                    receivedAt=each.received_at,
                )
                for each in found
            ]
        )

    async def _run(self, request: web.Request, caller: Caller) -> RunRecord:
        record = await self._records.get(caller.workspace_id, path_id(request, RunNotFound))
        if not caller.can_access_app(record.app_slug):
            raise RunNotFound
        return record


def _facts(record: RunRecord) -> dict[str, Any]:
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
        beganAt=step.began_at,
        endedAt=step.ended_at,
    )

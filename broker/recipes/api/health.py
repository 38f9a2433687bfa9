"""`/api/apps/{slug}/recipes/{recipe}/health`: how the runs of a recipe have gone."""

from datetime import UTC, datetime, timedelta

from aiohttp import web
from pydantic import BaseModel

from broker.domain.model import Caller
from broker.domain.recipe_health import JudgedHealth, RunHealth
from broker.recipes.api.summaries import TAGS, summary
from broker.recipes.base import AnyRecipe, AnySpec
from broker.stores.connections.apps import Apps
from broker.stores.recipes.recipe_health import RecipeHealth
from broker.stores.recipes.run_records import RunRecords
from broker.web.core.moments import Moment
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, path_slug

DEFAULT_SPAN = timedelta(days=7)


class HealthQuery(RequestModel):
    """Since when runs count; a week where it is left out."""

    since: Moment | None = None


class LatencyResponse(BaseModel):
    """Seconds from what triggered a run to its last effect, of runs that are done and needed
    nobody.
    """

    p50: float | None
    p95: float | None


class ErrorCountResponse(BaseModel):
    """How often runs failed with a code, and when last."""

    code: str
    count: int
    lastAt: datetime


class ConsistencyResponse(BaseModel):
    """The recipe's last comparison of the records on both sides."""

    compared: int
    equal: int
    checkedAt: datetime


class CrossedResponse(BaseModel):
    """A threshold of the settings, by its name there, and what the runs of the window have."""

    threshold: str
    limit: float
    value: float


class HealthResponse(BaseModel):
    """How runs have gone. Rates are parts of the runs that have ended; null where none has. Manual
    interventions are runs that failed or were started again. `consistency` is null for a recipe
    that compares nothing. `unhealthySince` is when a threshold of the settings was crossed, null
    while none is; `crossed` names them.
    """

    runs: int
    succeeded: int
    failed: int
    waiting: int
    successRate: float | None
    errorRate: float | None
    latency: LatencyResponse
    manualInterventionRate: float | None
    byError: list[ErrorCountResponse]
    consistency: ConsistencyResponse | None
    unhealthySince: datetime | None
    crossed: list[CrossedResponse]


def health_handlers(spec: AnySpec) -> type:
    """The handler of one recipe's health, made with `(apps, recipe, records, health)`."""

    class HealthHandlers:
        def __init__(
            self, apps: Apps, recipe: AnyRecipe, records: RunRecords, judged: RecipeHealth
        ) -> None:
            self._apps = apps
            self._recipe = recipe
            self._records = records
            self._judged = judged

        @operation("recipes", query=HealthQuery, answers={200: HealthResponse}, tags=TAGS)
        @summary(
            f"Show how the runs of the {spec.title} recipe have gone.",
            "Success, latency, what needed a person, and errors by code, of the newest runs since "
            "a moment.",
        )
        async def show(
            self, request: web.Request, caller: Caller, query: HealthQuery
        ) -> HealthResponse:
            app = await self._apps.get(caller.workspace_id, path_slug(request, caller))
            await self._recipe.setup.get(app)
            since = query.since or datetime.now(UTC) - DEFAULT_SPAN
            health = await self._records.health(app.workspace_id, app.id, spec.name, since)
            found = await self._recipe.consistency(app)
            consistency = None
            if found is not None:
                consistency = ConsistencyResponse(
                    compared=found.compared, equal=found.equal, checkedAt=found.checked_at
                )
            judged = await self._judged.find(app.workspace_id, app.id, spec.name)
            return _response(health, consistency, judged or JudgedHealth(None, ()))

    return HealthHandlers


def _response(
    health: RunHealth, consistency: ConsistencyResponse | None, judged: JudgedHealth
) -> HealthResponse:
    ended = health.succeeded + health.failed
    return HealthResponse(
        runs=health.runs,
        succeeded=health.succeeded,
        failed=health.failed,
        waiting=health.waiting,
        successRate=_rate(health.succeeded, ended),
        errorRate=_rate(health.failed, ended),
        latency=LatencyResponse(p50=health.p50, p95=health.p95),
        manualInterventionRate=_rate(health.manual, health.runs),
        byError=[
            ErrorCountResponse(code=each.code, count=each.count, lastAt=each.last_at)
            for each in health.errors
        ],
        consistency=consistency,
        unhealthySince=judged.unhealthy_at,
        crossed=[
            CrossedResponse(threshold=each.threshold, limit=each.limit, value=each.value)
            for each in judged.crossed
        ],
    )


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None

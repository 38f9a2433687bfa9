"""`/api/apps/{slug}/recipes/{recipe}/health`: how the runs of a recipe have gone."""

from datetime import UTC, datetime, timedelta

from aiohttp import web
from pydantic import BaseModel

from broker.domain.model import Caller
from broker.domain.recipe_health import JudgedHealth, RunHealth
from broker.domain.runs import Consistency, SettingsCheck
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


class DifferentResponse(BaseModel):
    """Two records that belong together and were not equal. No values are kept."""

    userForeignIdentifier: str
    recordId: str
    recordUrl: str
    partnerRecordId: str
    partnerRecordUrl: str
    fields: list[str]
    missing: list[str]


class ConsistencyResponse(BaseModel):
    """The recipe's last comparison of the records on both sides."""

    compared: int
    equal: int
    checkedAt: datetime
    different: list[DifferentResponse]


class SettingsProblemResponse(BaseModel):
    """A setting that does not fit a user's accounts, and what to do about it."""

    userForeignIdentifier: str
    about: str
    message: str
    remedy: str


class SettingsCheckResponse(BaseModel):
    """What the recipe found when it last held its settings against users' accounts by itself."""

    checkedAt: datetime
    findings: list[SettingsProblemResponse]


class CrossedResponse(BaseModel):
    """A threshold of the settings, by its name there, and what the runs of the window have."""

    threshold: str
    limit: float
    value: float


class HealthResponse(BaseModel):
    """How runs have gone. Rates are parts of the runs that have ended; null where none has. Manual
    interventions are runs that failed or were started again. `consistency` and `settingsCheck` are
    null for a recipe that compares or checks nothing by itself. `unhealthySince` is when a
    threshold of the settings was crossed, null while none is; `crossed` names them.
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
    settingsCheck: SettingsCheckResponse | None
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
            consistency = _consistency(await self._recipe.consistency(app))
            check = _check(await self._recipe.settings_check(app))
            judged = await self._judged.find(app.workspace_id, app.id, spec.name)
            return _response(health, consistency, check, judged or JudgedHealth(None, ()))

    return HealthHandlers


def _consistency(found: Consistency | None) -> ConsistencyResponse | None:
    if found is None:
        return None
    return ConsistencyResponse(
        compared=found.compared,
        equal=found.equal,
        checkedAt=found.checked_at,
        different=[
            DifferentResponse(
                userForeignIdentifier=each.user_ref,
                recordId=each.record_id,
                recordUrl=each.record_url,
                partnerRecordId=each.partner_id,
                partnerRecordUrl=each.partner_url,
                fields=list(each.fields),
                missing=list(each.missing),
            )
            for each in found.different
        ],
    )


def _check(found: SettingsCheck | None) -> SettingsCheckResponse | None:
    if found is None:
        return None
    return SettingsCheckResponse(
        checkedAt=found.checked_at,
        findings=[
            SettingsProblemResponse(
                userForeignIdentifier=each.user_ref,
                about=each.about,
                message=each.message,
                remedy=each.remedy,
            )
            for each in found.problems
        ],
    )


def _response(
    health: RunHealth,
    consistency: ConsistencyResponse | None,
    check: SettingsCheckResponse | None,
    judged: JudgedHealth,
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
        settingsCheck=check,
        unhealthySince=judged.unhealthy_at,
        crossed=[
            CrossedResponse(threshold=each.threshold, limit=each.limit, value=each.value)
            for each in judged.crossed
        ],
    )


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None

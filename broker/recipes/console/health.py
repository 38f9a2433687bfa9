"""How an app's recipes are doing, in the console: success and latency over time, errors with what
to do, what waits for a person, and the limits of the settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.recipe_health import JudgedHealth, RunHealth, RunsInSpan
from broker.errors import RecipeNotFound
from broker.providers.catalog import DEFAULT
from broker.recipes.base import AnySpec
from broker.recipes.building import Recipes
from broker.web.console.base import ConsoleBase, for_operators
from broker.web.console.charts import Chart, Charts, percentage

SECTION = "health"
SPANS = {
    "day": (timedelta(days=1), timedelta(hours=1)),
    "week": (timedelta(days=7), timedelta(hours=6)),
    "month": (timedelta(days=30), timedelta(days=1)),
}
"""How far back the page looks, and in which steps."""

SHOWN = 10
"""How many runs that wait are listed."""

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """A recipe that an app has settings for, in one row."""

    spec: AnySpec
    health: RunHealth
    judged: JudgedHealth | None


class RecipeHealthViews:
    """`/console/health`."""

    def __init__(self, console: ConsoleBase, recipes: Recipes) -> None:
        self.console = console
        self._recipes = recipes

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The recipes of an app, and one of them in full."""
        (apps, slug), query = await self.console.choose(request, operator, DEFAULT), request.query
        span = query.get("span", "week")
        span = span if span in SPANS else "week"
        shown: dict[str, Any] = {"summaries": [], "chosen": None}
        if slug:
            app = await self.console.app(operator, slug)
            since = datetime.now(UTC) - SPANS[span][0]
            summaries = [each async for each in self._summaries(app, since)]
            named = [each for each in summaries if each.spec.name == query.get("recipe")]
            chosen = next(iter([*named, *summaries]), None)
            shown = {"summaries": summaries, "chosen": chosen}
            if chosen is not None:
                shown |= await self._details(app, chosen.spec, span)
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "recipe/health.part.html" if part else "recipe/health.html",
            SECTION,
            apps=apps,
            slug=slug,
            span=span,
            spans=list(SPANS),
            **shown,
        )

    async def _summaries(self, app: App, since: datetime) -> Any:
        for spec in self._recipes.specs:
            try:
                await self._recipes.built[spec.name].setup.get(app)
            except RecipeNotFound:
                continue
            key = app.workspace_id, app.id, spec.name
            health = await self._recipes.records.health(*key, since)
            yield RecipeSummary(spec, health, await self._recipes.health.find(*key))

    async def _details(self, app: App, spec: AnySpec, span: str) -> dict[str, Any]:
        key, (back, step) = (app.workspace_id, app.id, spec.name), SPANS[span]
        now = datetime.now(UTC)
        first = MIDNIGHT + ((now - back) - MIDNIGHT) // step * step
        spans = await self._recipes.records.over_time(*key, first, step)
        records = self._recipes.records
        failed, _ = await records.page(*key, state="failed", before=None, limit=SHOWN)
        waiting, _ = await records.page(*key, state="running", before=None, limit=SHOWN)
        return {
            "charts": charts_of(spans, first, now, step),
            "failed": failed,
            "waiting": waiting,
            "consistency": await self._recipes.built[spec.name].consistency(app),
            "check": await self._recipes.built[spec.name].settings_check(app),
        }


def charts_of(
    spans: Sequence[RunsInSpan], first: datetime, now: datetime, step: timedelta
) -> Charts:
    """Spans as charts, with empty ones where no run began."""
    by_time = {each.begins_at: each for each in spans}
    moments = [first + number * step for number in range((now - first) // step + 1)]
    found = [by_time.get(each) for each in moments]
    rate = [
        None if each is None else percentage(each.failed, each.succeeded + each.failed)
        for each in found
    ]
    latency = [None if each is None else each.p95 for each in found]
    runs = {
        "succeeded": [0 if each is None else each.succeeded for each in found],
        "failed": [0 if each is None else each.failed for each in found],
        "under way": [0 if each is None else each.waiting for each in found],
    }
    return Charts(
        [int(each.timestamp()) for each in moments],
        [
            Chart("runs", "Runs by when they began", "", runs),
            Chart("rate", "Error rate, % of runs that ended", " %", {"failed": rate}),
            Chart(
                "latency",
                "From the trigger to the last effect, s",
                " s",
                {"95 of 100 within": latency},
            ),
        ],
    )

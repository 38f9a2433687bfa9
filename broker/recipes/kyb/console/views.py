"""KYB in the console: start it, see each run's steps, its settings, and events that fit no run."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.runs import RunRecord
from broker.errors import NotFound, RunNotFound
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.kyb.console.settings_views import KybSettingsViews
from broker.recipes.kyb.models import NAME, READ, KickoffRequest
from broker.recipes.kyb.recipe import KybRecipe
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value, page_id
from broker.web.core.requests import validate

PAGE_SIZE = 50
MAX_PARKED = 200
STATES = ("running", "done", "failed", "dismissed")

STEP_TITLES = {
    "read-company": "Read the Company",
    "check-input": "Check what will be sent",
    "create-case": "Make the case at First Mile Labs",
    "write-back": "Show the case on the Company",
}
"""The recipe's steps in plain words."""

FORM_FIELDS = ("crmRecordId", "crmSource", *READ)


class KybViews:
    """`/console/kyb`, but for its settings."""

    def __init__(self, console: ConsoleBase, recipe: KybRecipe, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes

    @for_operators("recipes")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """An app's runs; htmx gets the rows alone."""
        apps, slug = await self.console.choose(request, operator)
        query = request.query
        state, before = query.get("state", ""), page_id(request)
        records: list[RunRecord] = []
        more = None
        if slug:
            app = await self.console.app(operator, slug)
            records, last = await self._recipes.records.page(
                app.workspace_id,
                app.id,
                NAME,
                state=state if state in STATES else None,
                before=before,
                limit=PAGE_SIZE,
            )
            if last is not None:
                more = urlencode({"app": slug, "state": state, "before": str(last)})
        read = await self._recipes.records.outcomes(
            operator.caller.workspace_id, [run.id for run in records], "read-company"
        )
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "kyb/runs.part.html" if part else "kyb/runs.html",
            NAME,
            apps=apps,
            slug=slug,
            state=state,
            states=STATES,
            records=records,
            companies={run: found["values"].get("companyName") for run, found in read.items()},
            more=more,
            live=before is None,
            user=query.get("user", ""),
        )

    @for_operators("recipes")
    async def start(self, request: web.Request, operator: Operator) -> web.Response:
        """Start a kickoff and show its run; or show what it would do, and do nothing."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        fields: dict[str, Any] = {name: form_value(form, name) or None for name in FORM_FIELDS}
        fields["companyId"] = form_value(form, "companyId") or None
        fields["userForeignIdentifier"] = form.get("user", [""])[0] or None
        body = validate(KickoffRequest, {**fields, "dryRun": "dryRun" in form})
        if body.dryRun:
            would = await self._recipe.dry_run(app, operator.caller, body)
            return self.console.render(operator, "kyb/dry_run.part.html", would=would)
        run_request = await self._recipe.run_request(app, operator.caller, body)
        started = await self._recipes.starter.start(run_request, within_s=0)
        return self._to(request, started.run.id)

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """A run with its steps; htmx gets them alone, again and again while it goes on."""
        app, record = await self._run(operator, request.query.get("id", ""))
        state = await self._recipe.cases.of_run(app.workspace_id, record.id)
        steps = await self._recipes.records.steps(app.workspace_id, record.id)
        begun = {step.name for step in steps}
        part = "HX-Request" in request.headers
        return self.console.render(
            operator,
            "kyb/run.part.html" if part else "kyb/run.html",
            NAME,
            app=app,
            run=record,
            case=state,
            steps=steps,
            titles=STEP_TITLES,
            pending=[title for name, title in STEP_TITLES.items() if name not in begun],
        )

    @for_operators("recipes")
    async def retry(self, request: web.Request, operator: Operator) -> web.Response:
        """Let a failed run go on."""
        app, record = await self._run(operator, form_value(await form_of(request), "id"))
        await self._recipes.runs.retry(app.workspace_id, record.id)
        return self._to(request, record.id)

    @for_operators("recipes")
    async def dismiss(self, request: web.Request, operator: Operator) -> web.Response:
        """Dismiss a failed run that will not be mended."""
        app, record = await self._run(operator, form_value(await form_of(request), "id"))
        await self._recipes.runs.dismiss(app.workspace_id, record.id)
        return self._to(request, record.id)

    @for_operators("recipes")
    async def parked(self, request: web.Request, operator: Operator) -> web.Response:
        """Events of First Mile Labs' that fit no run."""
        apps, slug = await self.console.choose(request, operator)
        events = []
        if slug:
            app = await self.console.app(operator, slug)
            events = await self._recipe.cases.parked(app.workspace_id, app.id, MAX_PARKED)
        return self.console.render(
            operator, "kyb/parked.html", NAME, apps=apps, slug=slug, events=events
        )

    async def _run(self, operator: Operator, text: str) -> tuple[App, RunRecord]:
        """A run of an app that the operator reaches. Raises RunNotFound, as if others were not."""
        try:
            record = await self._recipes.records.get(operator.caller.workspace_id, UUID(text))
            if record.recipe != NAME:
                raise RunNotFound
            return await self.console.app(operator, record.app_slug), record
        except (ValueError, NotFound):
            raise RunNotFound from None

    def _to(self, request: web.Request, run_id: UUID) -> web.Response:
        return self.console.redirect(request, f"/kyb/run?id={run_id}")


ROUTES = (
    Route("GET", "", KybViews, "index"),
    Route("POST", "", KybViews, "start"),
    Route("GET", "/run", KybViews, "show"),
    Route("POST", "/retry", KybViews, "retry"),
    Route("POST", "/dismiss", KybViews, "dismiss"),
    Route("GET", "/parked", KybViews, "parked"),
    Route("GET", "/settings", KybSettingsViews, "show"),
    Route("POST", "/settings", KybSettingsViews, "put"),
    Route("POST", "/remove", KybSettingsViews, "remove"),
    Route("POST", "/prepare", KybSettingsViews, "setup"),
    Route("POST", "/check", KybSettingsViews, "check"),
)


def views(console: ConsoleBase, recipe: KybRecipe, recipes: Recipes) -> Sequence[object]:
    """The panel's pages."""
    return (KybViews(console, recipe, recipes), KybSettingsViews(console, recipe, recipes))

"""A recipe's runs in the console: start one, see its steps, retry or dismiss it. A recipe's own
pages are these with its words and its part of the form.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.runs import RunRecord
from broker.errors import NotFound, RunNotFound
from broker.providers.catalog import DEFAULT
from broker.recipes.base import AnyRecipe, StartRequest
from broker.recipes.building import Recipes
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value, page_id
from broker.web.core.requests import validate

TEMPLATES = Path(__file__).parent / "templates"
"""`console/recipe/...`, for the panels of all recipes."""

PAGE_SIZE = 50
STATES = ("running", "done", "failed", "dismissed")


@dataclass(frozen=True, slots=True)
class PanelWords:
    """What a recipe's pages say: titles of steps and of a dry run's fields by their names. Its
    folder `console/{recipe}/` has `start.html` (the fields of a start), `outcome.html` (a result in
    one line) and `result.html` (all of it).
    """

    recipe: str
    title: str
    start_button: str
    steps: Mapping[str, str]
    words: Mapping[str, str]


class RunPages:
    """`/console/{recipe}`, but for its settings."""

    words: ClassVar[PanelWords]
    start_model: ClassVar[type[StartRequest]]

    def __init__(self, console: ConsoleBase, recipe: AnyRecipe, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes

    def start_body(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        """A form's fields as a start's body; what is empty is left out."""
        names = set(self.start_model.model_fields) - {"dryRun"}
        return {name: form[name][0].strip() for name in names if form.get(name, [""])[0].strip()}

    def subject(self, run: RunRecord) -> str:
        """What a run is for, as people call it."""
        return run.subject

    @for_operators("recipes")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """An app's runs; htmx gets the rows alone."""
        apps, slug = await self.console.choose(request, operator, DEFAULT)
        query = request.query
        state, before = query.get("state", ""), page_id(request)
        records: list[RunRecord] = []
        more = None
        if slug:
            app = await self.console.app(operator, slug)
            records, last = await self._recipes.records.page(
                app.workspace_id,
                app.id,
                self.words.recipe,
                state=state if state in STATES else None,
                before=before,
                limit=PAGE_SIZE,
            )
            if last is not None:
                more = urlencode({"app": slug, "state": state, "before": str(last)})
        part = "HX-Request" in request.headers
        return self._render(
            operator,
            "runs.part.html" if part else "runs.html",
            apps=apps,
            slug=slug,
            state=state,
            states=STATES,
            records=records,
            more=more,
            live=before is None,
            user=query.get("user", ""),
        )

    @for_operators("recipes")
    async def start(self, request: web.Request, operator: Operator) -> web.Response:
        """Start a run and show it; or show what it would do, and do nothing."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        fields = {**self.start_body(form), "dryRun": "dryRun" in form}
        body = validate(self.start_model, fields)
        if body.dryRun:
            would = await self._recipe.dry_run(app, operator.caller, body)
            return self._render(operator, "dry_run.part.html", would=would)
        run_request = await self._recipe.run_request(app, operator.caller, body)
        started = await self._recipes.starter.start(run_request, within_s=0)
        return self._to(request, started.run.id)

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """A run with its steps; htmx gets them alone, again and again while it goes on."""
        app, record = await self._run(operator, request.query.get("id", ""))
        steps = await self._recipes.records.steps(app.workspace_id, record.id)
        begun = {step.name for step in steps}
        part = "HX-Request" in request.headers
        return self._render(
            operator,
            "run.part.html" if part else "run.html",
            app=app,
            run=record,
            steps=steps,
            ahead=[title for name, title in self.words.steps.items() if name not in begun],
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

    async def _run(self, operator: Operator, text: str) -> tuple[App, RunRecord]:
        """A run of an app that the operator reaches. Raises RunNotFound, as if others were not."""
        try:
            record = await self._recipes.records.get(operator.caller.workspace_id, UUID(text))
            if record.recipe != self.words.recipe:
                raise RunNotFound
            return await self.console.app(operator, record.app_slug), record
        except (ValueError, NotFound):
            raise RunNotFound from None

    def _render(self, operator: Operator, template: str, **values: Any) -> web.Response:
        name = self.words.recipe
        return self.console.render(
            operator,
            f"recipe/{template}",
            name,
            panel=self.words,
            subject=self.subject,
            here="runs",
            **values,
        )

    def _to(self, request: web.Request, run_id: UUID) -> web.Response:
        return self.console.redirect(request, f"/{self.words.recipe}/run?id={run_id}")

"""A recipe's runs in the console: start one, see its steps, retry or dismiss it. A recipe's own
pages are these with its words and its part of the form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.runs import RunRecord
from broker.errors import InvalidRequest, NotFound, RecipeNotFound, RunNotFound
from broker.providers.catalog import DEFAULT
from broker.recipes.base import AnyRecipe, StartRequest
from broker.recipes.building import Recipes
from broker.recipes.console.effects import DONE, UNENDED, Effect
from broker.recipes.console.gaps import SetupGaps
from broker.recipes.console.previews import preview_lines
from broker.recipes.settings import StoredSettings
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value, page_id
from broker.web.core.requests import validate

TEMPLATES = Path(__file__).parent / "templates"
"""`console/recipe/...`, for the panels of all recipes."""

PAGE_SIZE = 50
USERS = 50
"""How many connected users the form of a start offers."""

USER_HINT = (
    "The user is the id that your product uses, for example user-42; it stands in the list of "
    "connections."
)
STATES = ("running", "done", "failed", "dismissed")


@dataclass(frozen=True, slots=True)
class PanelWords:
    """What a recipe's pages say: titles of steps and of a dry run's fields by their names (an
    empty one leaves the field out), and `hints`: what to type into a field of a start. Its folder
    `console/{recipe}/` has `start.html` (the fields of a start), `outcome.html` (a result in one
    line) and `result.html` (all of it). `about` says in a sentence what the recipe does; `docs` is
    its page of the documentation; `reader` is the step that reads the record and knows its name.
    """

    recipe: str
    title: str
    about: str
    docs: str
    start_button: str
    reader: str
    steps: Mapping[str, str]
    words: Mapping[str, str]
    hints: Mapping[str, str]


class RunPages:
    """`/console/{recipe}`, but for its settings."""

    words: ClassVar[PanelWords]
    start_model: ClassVar[type[StartRequest]]

    def __init__(self, console: ConsoleBase, recipe: AnyRecipe, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes
        self._gaps = SetupGaps(console, recipes)

    def start_body(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        """A form's fields as a start's body; what is empty is left out."""
        names = set(self.start_model.model_fields) - {"dryRun"}
        return {name: form[name][0].strip() for name in names if form.get(name, [""])[0].strip()}

    def subject(self, run: RunRecord) -> str:
        """The record that a run is for, by its id."""
        return run.subject

    def name_in(self, outcome: Mapping[str, Any]) -> str | None:
        """What people call that record, from what the step `words.reader` has found."""
        return outcome.get("name")

    def effect_of(self, _result: Mapping[str, Any], _settings: Any | None) -> Effect:
        """What came of a run that is done; `settings` are those of now, None without any."""
        return DONE

    def preview_summary(self, _would: Mapping[str, Any]) -> Sequence[str]:
        """What a dry run's answer comes to, in sentences above its fields."""
        return ()

    async def states_of(self, _workspace_id: UUID, _run_ids: list[UUID]) -> Mapping[UUID, Any]:
        """What became of some runs' records since; `outcome.html` and `result.html` get a run's as
        `since`.
        """
        return {}

    @for_operators("recipes")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """An app's runs; htmx gets the rows alone."""
        typed = {"userForeignIdentifier": request.query.get("user", "")}
        return await self._index(request, operator, typed)

    @for_operators("recipes")
    async def start(self, request: web.Request, operator: Operator) -> web.Response:
        """Start a run and show it; or show what it would do, and do nothing."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        fields = {**self.start_body(form), "dryRun": "dryRun" in form}
        try:
            body = validate(self.start_model, fields)
            if body.dryRun:
                would = await self._recipe.dry_run(app, operator.caller, body)
                return self.render(
                    operator,
                    "recipe/dry_run.part.html",
                    run_id=would.get("runId"),
                    run_state=would.get("state"),
                    sentences=self.preview_summary(would),
                    lines=preview_lines(would, self.words.words),
                )
            run_request = await self._recipe.run_request(app, operator.caller, body)
        except InvalidRequest as refusal:
            wrong = self._in_words(refusal)
            if "HX-Request" in request.headers:  # htmx shows a response only when it succeeded
                response = self.render(operator, "recipe/start_refused.part.html", wrong=wrong)
            else:
                typed = {name: form_value(form, name) for name in form}
                response = await self._index(request, operator, typed, wrong, app.slug)
            response.headers["Broker-Error"] = refusal.code
            return response
        started = await self._recipes.starter.start(run_request, within_s=0)
        return self._to(request, started.run.id, existed=started.existed)

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """A run with its steps; htmx gets them alone, again and again while it goes on."""
        app, record = await self._run(operator, request.query.get("id", ""))
        steps = await self._recipes.records.steps(app.workspace_id, record.id)
        reached = {step.name for step in steps}
        record = await self._recipe.current(app.workspace_id, record)
        part = "HX-Request" in request.headers
        return self.render(
            operator,
            "recipe/run.part.html" if part else "recipe/run.html",
            app=app,
            run=record,
            **await self._known_of(app, [record], await self._stored(app)),
            existed="existed" in request.query,
            asks="dismiss" in request.query,
            steps=steps,
            ahead=[title for name, title in self.words.steps.items() if name not in reached],
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

    async def _index(
        self,
        request: web.Request,
        operator: Operator,
        typed: Mapping[str, str],
        wrong: Sequence[str] = (),
        slug: str = "",
    ) -> web.Response:
        """The list of runs, above it the form of a start with what was typed and was `wrong`."""
        apps, chosen = await self.console.choose(request, operator, DEFAULT)
        slug, query = slug or chosen, request.query
        state, before = query.get("state", ""), page_id(request)
        part = "HX-Request" in request.headers
        shown: dict[str, Any] = {"records": [], "older": None}
        if slug:
            app = await self.console.app(operator, slug)
            stored = await self._stored(app)
            records, last = await self._recipes.records.page(
                app.workspace_id,
                app.id,
                self.words.recipe,
                state=state if state in STATES else None,
                before=before,
                limit=PAGE_SIZE,
            )
            shown |= {"records": records, **await self._known_of(app, records, stored)}
            if last is not None:
                older = {"app": slug, "state": state, "before": str(last)}
                shown["older"] = urlencode(older)
            if not part:
                shown["users"] = await self._recipes.accounts.users(app, USERS)
                shown |= await self._gaps.shown(self.words.recipe, operator, app, stored)
        return self.render(
            operator,
            "recipe/runs.part.html" if part else "recipe/runs.html",
            400 if wrong else 200,
            apps=apps,
            slug=slug,
            state=state,
            states=STATES,
            live=before is None,
            typed=typed,
            wrong=wrong,
            **shown,
        )

    async def _known_of(
        self, app: App, records: Sequence[RunRecord], stored: StoredSettings[Any] | None
    ) -> dict[str, Any]:
        """What is known of some runs: what people call their records, and what came of them."""
        ids = [each.id for each in records]
        read = await self._recipes.records.outcomes(app.workspace_id, ids, self.words.reader)
        names = {run_id: self.name_in(outcome) for run_id, outcome in read.items()}
        settings = None if stored is None else stored.model
        return {
            "names": names,
            "since": await self.states_of(app.workspace_id, ids),
            "effects": {
                each.id: UNENDED.get(each.state) or self.effect_of(each.result or {}, settings)
                for each in records
            },
        }

    def _in_words(self, refusal: InvalidRequest) -> list[str]:
        """What to type instead of what was wrong."""
        errors = refusal.context.get("errors") or []
        found = [
            self.words.hints.get(each["field"]) or f"{each['field']}: {each['message']}"
            for each in errors
        ]
        return list(dict.fromkeys(found)) or [refusal.detail or refusal.title()]

    async def _stored(self, app: App) -> StoredSettings[Any] | None:
        try:
            return await self._recipe.setup.get(app)
        except RecipeNotFound:
            return None

    async def _run(self, operator: Operator, text: str) -> tuple[App, RunRecord]:
        """A run of an app that the operator reaches. Raises RunNotFound, as if others were not."""
        try:
            record = await self._recipes.records.get(operator.caller.workspace_id, UUID(text))
            if record.recipe != self.words.recipe:
                raise RunNotFound
            return await self.console.app(operator, record.app_slug), record
        except (ValueError, NotFound):
            raise RunNotFound from None

    def render(
        self, operator: Operator, template: str, status: int = 200, **values: Any
    ) -> web.Response:
        """A page of the recipe's section; `here` is which of its pages that is, else the runs."""
        name = self.words.recipe
        return self.console.render(
            operator,
            template,
            name,
            status,
            panel=self.words,
            subject=self.subject,
            needs_user=self.start_model.model_fields["userForeignIdentifier"].is_required(),
            **{"here": "runs", **values},
        )

    def _to(self, request: web.Request, run_id: UUID, *, existed: bool = False) -> web.Response:
        more = "&existed=yes" if existed else ""
        return self.console.redirect(request, f"/{self.words.recipe}/run?id={run_id}{more}")

"""KYB in the console: start it, see each run's steps, its settings, and events that fit no run."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.runs import RunRecord
from broker.errors import NotFound, RunNotFound
from broker.recipes.kyb.kickoffs import Kickoffs
from broker.recipes.kyb.settings import KYB, READ
from broker.services.runs.engine import Runs
from broker.stores.recipes.kyb_cases import Cases
from broker.stores.recipes.run_records import RunRecords
from broker.web.api.kyb import KickoffRequest
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

PAGE = 50
PARKED = 200
STATES = ("running", "done", "failed")

STEPS = {
    "read-company": "Read the Company",
    "check-input": "Check what will be sent",
    "create-case": "Make the case at First Mile Labs",
    "write-back": "Show the case on the Company",
}
"""The recipe's steps in plain words."""

TYPED = ("crmRecordId", "crmSource", *READ)


class KybViews:
    """`/console/kyb`, but for its settings."""

    def __init__(
        self, desk: ConsoleBase, kickoffs: Kickoffs, runs: Runs, records: RunRecords, cases: Cases
    ) -> None:
        self.desk = desk
        self._kickoffs = kickoffs
        self._runs = runs
        self._records = records
        self._cases = cases

    @for_operators("recipes")
    async def index(self, request: web.Request, operator: Operator) -> web.Response:
        """An app's runs; htmx gets the rows alone."""
        apps = await self.desk.apps(operator)
        asked = request.query
        slug = asked.get("app", apps[0].slug if apps else "")
        state, before = asked.get("state", ""), asked.get("before", "")
        records: list[RunRecord] = []
        more = None
        if slug:
            app = await self.desk.app(operator, slug)
            records, number = await self._records.page(
                app.workspace_id,
                app.id,
                KYB,
                state=state if state in STATES else None,
                before=int(before) if before.isdecimal() and len(before) < 18 else None,
                limit=PAGE,
            )
            if number is not None:
                more = urlencode({"app": slug, "state": state, "before": number})
        part = "HX-Request" in request.headers
        return self.desk.render(
            operator,
            "kyb/runs.part.html" if part else "kyb/runs.html",
            "kyb",
            apps=apps,
            slug=slug,
            state=state,
            states=STATES,
            records=records,
            more=more,
            live=not before,
            user=asked.get("user", ""),
        )

    @for_operators("recipes")
    async def start(self, request: web.Request, operator: Operator) -> web.Response:
        """Start a kickoff and show its run; or show what it would do, and do nothing."""
        form = await form_of(request)
        app = await self.desk.app(operator, form_value(form, "app"))
        asked: dict[str, Any] = {name: form_value(form, name) or None for name in TYPED}
        asked["companyId"] = form_value(form, "companyId") or None
        asked["userForeignIdentifier"] = form.get("user", [""])[0] or None
        said = validate(KickoffRequest, {**asked, "dryRun": "rehearse" in form})
        if said.dryRun:
            would = await self._kickoffs.dry_run(app, operator.caller, said.kickoff())
            return self.desk.render(operator, "kyb/rehearsed.part.html", would=would)
        came = await self._kickoffs.start(app, operator.caller, said.kickoff(), within_s=0)
        return self._to(request, came.run.id)

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """A run with its steps; htmx gets them alone, again and again while it goes on."""
        app, record = await self._run(operator, request.query.get("id", ""))
        state = await self._cases.of_run(app.workspace_id, record.id)
        steps = await self._records.steps(app.workspace_id, record.id)
        begun = {step.name for step in steps}
        part = "HX-Request" in request.headers
        return self.desk.render(
            operator,
            "kyb/run.part.html" if part else "kyb/run.html",
            "kyb",
            app=app,
            run=record,
            case=state,
            steps=steps,
            words=STEPS,
            ahead=[words for name, words in STEPS.items() if name not in begun],
        )

    @for_operators("recipes")
    async def retry(self, request: web.Request, operator: Operator) -> web.Response:
        """Let a failed run go on."""
        app, record = await self._run(operator, form_value(await form_of(request), "id"))
        await self._runs.retry(app.workspace_id, record.id)
        return self._to(request, record.id)

    @for_operators("recipes")
    async def parked(self, request: web.Request, operator: Operator) -> web.Response:
        """What First Mile Labs told that fits no run."""
        apps = await self.desk.apps(operator)
        slug = request.query.get("app", apps[0].slug if apps else "")
        events = []
        if slug:
            app = await self.desk.app(operator, slug)
            events = await self._cases.parked(app.workspace_id, app.id, PARKED)
        return self.desk.render(
            operator, "kyb/parked.html", "kyb", apps=apps, slug=slug, events=events
        )

    async def _run(self, operator: Operator, text: str) -> tuple[App, RunRecord]:
        """A run of an app that the operator reaches. Raises RunNotFound, as if others were not."""
        try:
            record = await self._records.get(operator.caller.workspace_id, UUID(text))
            return await self.desk.app(operator, record.app_slug), record
        except (ValueError, NotFound):
            raise RunNotFound from None

    def _to(self, request: web.Request, run_id: UUID) -> web.Response:
        return self.desk.redirect(request, f"/kyb/run?id={run_id}")

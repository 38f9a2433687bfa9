"""KYB in the console: start it, see each run's steps and case, and events that fit no run."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.runs import RunRecord
from broker.providers.catalog import DEFAULT
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.effects import Effect
from broker.recipes.console.runs import USER_HINT, PanelWords, RunPages
from broker.recipes.kyb.console.settings_views import KybSettingsViews
from broker.recipes.kyb.identity import company_of
from broker.recipes.kyb.models import HUBSPOT, NAME, KickoffRequest
from broker.recipes.kyb.recipe import KybRecipe
from broker.web.console.base import ConsoleBase, for_operators

MAX_PARKED = 200

STEP_TITLES = {
    "read-company": "Read the Company",
    "check-input": "Check what will be sent",
    "create-case": "Make the case at First Mile Labs",
    "write-back": "Show the case on the Company",
}
"""The recipe's steps in plain words."""

PREVIEW_WORDS = {
    "wouldSend": "First Mile Labs would receive",
    "wouldWrite": "The company would show",
    "missingProperties": "Missing properties of companies; create them in the settings",
    "sendInvite": "Invitation by e-mail",
    "customerEmail": "E-mail",
    "companyId": "Company",
    **dict.fromkeys(
        ("crmRecordId", "crmSource", "method", "url", "headers", "runId", "state", "ok"), ""
    ),
}
"""A dry run's fields in plain words."""

WHICH = (
    "Type the user and the company id; or, for a record that is not in HubSpot, its id and where "
    "it is."
)


class KybViews(RunPages):
    """`/console/kyb`, but for its settings."""

    words = PanelWords(
        NAME,
        "KYB",
        "Know your business: has First Mile Labs check a company before it becomes your customer, "
        "and shows the decision on its HubSpot record.",
        "recipes#kyb-know-your-business-kickoff",
        "Start onboarding",
        "read-company",
        STEP_TITLES,
        PREVIEW_WORDS,
        {
            "userForeignIdentifier": USER_HINT,
            "companyId": "A company id is a number, for example 227; it stands in the address of "
            "the company's page in HubSpot.",
            "crmRecordId": WHICH,
            "crmSource": WHICH,
        },
    )
    start_model = KickoffRequest

    def __init__(self, console: ConsoleBase, recipe: KybRecipe, recipes: Recipes) -> None:
        super().__init__(console, recipe, recipes)
        self._cases = recipe.cases

    def subject(self, run: RunRecord) -> str:
        """Such as "Company 227", or "Record lead-1 of pipedrive"."""
        source, _, record_id = run.subject.partition("-")
        if source == HUBSPOT:
            return f"Company {company_of(record_id)}"
        return f"Record {record_id} of {unquote(source)}"

    def name_in(self, outcome: Mapping[str, Any]) -> str | None:
        """The company's name."""
        name: str | None = outcome["values"].get("companyName")
        return name

    def effect_of(self, result: Mapping[str, Any], _settings: Any | None) -> Effect:
        is_company = result.get("crmSource") == HUBSPOT
        if is_company and result.get("writtenBack") is False:
            return Effect("case opened, not on the company")
        return Effect("case opened")  # what is decided of it stands beside it

    def preview_summary(self, would: Mapping[str, Any]) -> Sequence[str]:
        """Who is invited by e-mail."""
        if would["wouldSend"] is None:
            return ()
        body = would["wouldSend"]["body"]
        if not body["sendInvite"]:
            return ("Nobody is invited by e-mail.",)
        return (f"{body['customerEmail']} gets an invitation by e-mail.",)

    async def states_of(self, workspace_id: UUID, run_ids: list[UUID]) -> Mapping[UUID, Any]:
        """The cases."""
        return await self._cases.of_runs(workspace_id, run_ids)

    @for_operators("recipes")
    async def parked(self, request: web.Request, operator: Operator) -> web.Response:
        """Events of First Mile Labs' that fit no run."""
        apps, slug = await self.console.choose(request, operator, DEFAULT)
        events = []
        if slug:
            app = await self.console.app(operator, slug)
            events = await self._cases.parked(app.workspace_id, app.id, MAX_PARKED)
        return self.render(
            operator, "kyb/parked.html", here="parked", apps=apps, slug=slug, events=events
        )


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

"""An app's settings of the leads recipe in the console, with the fields that both sides have."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import InvalidRequest, RecipeNotFound
from broker.recipes.building import Recipes
from broker.recipes.leads.models import NAME, LeadsSettings, Side, Wins
from broker.recipes.leads.recipe import LeadsRecipe
from broker.recipes.leads.requests import PROVIDER
from broker.recipes.preparing import ForUser
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

USERS = 50
"""How many connected users the page offers."""

SPARE_ROWS = 3
EMPTY_ROW = {each.value: "" for each in Side} | {"wins": Wins.NEWEST.value}
TEXTS = ("salesforceApp", "direction", "pollSeconds", "maxWritesPerHour", "onConverted")
CHECKED = ("createLeads", "createContacts")


@dataclass(frozen=True, slots=True)
class Panel:
    """What the shared navigation shows."""

    recipe: str = NAME


class LeadsSettingsViews:
    """`/console/leads/settings`. What the form does not show stays as it is stored."""

    def __init__(self, console: ConsoleBase, recipe: LeadsRecipe, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The settings of an app, or an empty form."""
        apps = await self.console.apps(operator)
        slug = request.query.get("app", apps[0].slug if apps else "")
        if not slug:
            return self.console.render(
                operator, "leads/settings.html", NAME, apps=apps, slug="", panel=Panel()
            )
        app = await self.console.app(operator, slug)
        return await self._shown(operator, app, request.query.get("user", ""))

    @for_operators("recipes")
    async def put(self, request: web.Request, operator: Operator) -> web.Response:
        """Store the settings."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        user = form_value(form, "user")
        stored = await self._stored(app)
        typed = {**({} if stored is None else stored.model_dump(mode="json")), **_typed(form)}
        try:
            body = validate(LeadsSettings, typed)
            await self._recipe.setup.put(app, str(operator.caller.key_id), body)
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._shown(operator, app, user, typed, wrong, 400)
        query = {"app": app.slug, **({"user": user} if user else {})}
        return self.console.redirect(request, f"/leads/settings?{urlencode(query)}")

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Delete the settings; runs stay, and wait."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        await self._recipe.setup.delete(app, str(operator.caller.key_id))
        return self.console.redirect(request, f"/leads/settings?{urlencode({'app': app.slug})}")

    @for_operators("recipes")
    async def setup(self, request: web.Request, operator: Operator) -> web.Response:
        """Create the property that a user's HubSpot account lacks."""
        app, user_ref = await self._user(request, operator)
        done = await self._recipes.checks.create_properties(
            self._recipe, app, operator.caller, user_ref
        )
        return self.console.render(
            operator, "recipe/prepared.part.html", made=done.created, existing=done.existing
        )

    @for_operators("recipes")
    async def check(self, request: web.Request, operator: Operator) -> web.Response:
        """List everything that would make a run of a user fail."""
        app, user_ref = await self._user(request, operator)
        findings = await self._recipes.checks.findings(self._recipe, app, operator.caller, user_ref)
        return self.console.render(operator, "recipe/checked.part.html", findings=findings)

    async def _user(self, request: web.Request, operator: Operator) -> tuple[App, str]:
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        body = validate(ForUser, {"userForeignIdentifier": form.get("user", [""])[0]})
        return app, body.userForeignIdentifier

    async def _stored(self, app: App) -> LeadsSettings | None:
        try:
            return (await self._recipe.setup.get(app)).model
        except RecipeNotFound:
            return None

    async def _shown(
        self,
        operator: Operator,
        app: App,
        user_ref: str,
        typed: dict[str, Any] | None = None,
        wrong: dict[str, str] | None = None,
        status: int = 200,
    ) -> web.Response:
        stored = await self._stored(app)
        model = LeadsSettings(salesforceApp="none") if stored is None else stored
        empty = {"salesforceApp": ""} if stored is None else {}
        users = await self._recipes.accounts.users(app, USERS)
        named = [each for each in users if each.user_ref == user_ref]
        chosen = next(iter([*named, *users]), None)
        offered, trouble = await self._recipe.offered(chosen, stored)
        apps = await self.console.apps(operator)
        values = typed or {**model.model_dump(mode="json"), **empty}
        return self.console.render(
            operator,
            "leads/settings.html",
            NAME,
            status,
            panel=Panel(),
            here="settings",
            apps=apps,
            slug=app.slug,
            stored=stored,
            org_apps=[each.slug for each in apps if each.provider == PROVIDER],
            users=users,
            chosen="" if chosen is None else chosen.user_ref,
            trouble=trouble,
            offered=offered,
            typed=values,
            rows=[*values["fields"], *[EMPTY_ROW] * SPARE_ROWS],
            rules=list(Wins),
            wrong=wrong or {},
        )


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as a part of the API's body; a row whose two names are empty is left out."""
    rows = zip(
        form.get("hubspot", []), form.get("salesforce", []), form.get("wins", []), strict=False
    )
    return {
        **{name: form_value(form, name) for name in TEXTS},
        **{name: name in form for name in CHECKED},
        "fields": [
            {
                Side.HUBSPOT.value: ours.strip(),
                Side.SALESFORCE.value: theirs.strip(),
                "wins": wins,
            }
            for ours, theirs, wins in rows
            if ours.strip() or theirs.strip()
        ],
    }

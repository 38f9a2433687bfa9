"""An app's settings of the orders recipe in the console, with what a user's account offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from broker.crm.records import HubSpotUser
from broker.crm.related import Stage
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import InvalidRequest, RecipeNotFound
from broker.recipes.building import Recipes
from broker.recipes.orders.account import Account, own_names
from broker.recipes.orders.models import NAME, ContactMapping, DealMapping, OrdersSettings, Stages
from broker.recipes.orders.recipe import OrdersRecipe
from broker.recipes.orders.steps import SHOPS
from broker.recipes.preparing import ForUser
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

USERS = 50
"""How many connected users the page offers, and how many shops it shows."""

LABELS = {
    "deal": {
        "name": "Deal name (written once)",
        "amount": "Amount",
        "currency": "Currency",
        "closeDate": "When the order was placed",
        "orderName": "The order's name at the shop",
        "financialStatus": "The order's payment status",
    },
    "contact": {
        "firstName": "First name",
        "lastName": "Last name",
        "phone": "Phone number",
        "company": "Company",
    },
}


@dataclass(frozen=True, slots=True)
class Panel:
    """What the shared navigation shows."""

    recipe: str = NAME


@dataclass(frozen=True, slots=True)
class Named:
    """A pipeline: its id, and how people call it."""

    id: str
    label: str


class OrdersSettingsViews:
    """`/console/orders/settings`."""

    def __init__(self, console: ConsoleBase, recipe: OrdersRecipe, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The settings of an app, or an empty form."""
        apps, slug = await self.console.choose(request, operator)
        if not slug:
            return self.console.render(
                operator, "orders/settings.html", NAME, apps=apps, slug="", panel=Panel()
            )
        app = await self.console.app(operator, slug)
        return await self._shown(operator, app, request.query.get("user", ""))

    @for_operators("recipes")
    async def put(self, request: web.Request, operator: Operator) -> web.Response:
        """Store the settings."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        user = form_value(form, "user")
        typed = _typed(form)
        typed |= await self._recipe.setup.left_out(app, typed)
        try:
            body = validate(OrdersSettings, typed)
            await self._recipe.setup.put(app, str(operator.caller.key_id), body)
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._shown(operator, app, user, typed, wrong, 400)
        query = {"app": app.slug, **({"user": user} if user else {})}
        return self.console.redirect(request, f"/orders/settings?{urlencode(query)}")

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Delete the settings; runs stay, and wait."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        await self._recipe.setup.delete(app, str(operator.caller.key_id))
        return self.console.redirect(request, f"/orders/settings?{urlencode({'app': app.slug})}")

    @for_operators("recipes")
    async def setup(self, request: web.Request, operator: Operator) -> web.Response:
        """Create the properties that a user's HubSpot account lacks."""
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

    async def _shown(
        self,
        operator: Operator,
        app: App,
        user_ref: str,
        typed: dict[str, Any] | None = None,
        wrong: dict[str, str] | None = None,
        status: int = 200,
    ) -> web.Response:
        try:
            stored = await self._recipe.setup.get(app)
        except RecipeNotFound:
            stored = None
        model = OrdersSettings(shopApp="none") if stored is None else stored.model
        empty = {"shopApp": ""} if stored is None else {}
        users = await self._recipes.accounts.users(app, USERS)
        named = [each for each in users if each.user_ref == user_ref]
        chosen = next(iter([*named, *users]), None)
        account = await self._account(chosen)
        apps = await self.console.apps(operator)
        return self.console.render(
            operator,
            "orders/settings.html",
            NAME,
            status,
            panel=Panel(),
            here="settings",
            apps=apps,
            slug=app.slug,
            stored=stored,
            shop_apps=[each.slug for each in apps if each.provider in SHOPS],
            users=users,
            chosen="" if chosen is None else chosen.user_ref,
            trouble=account.trouble,
            pipelines=_pipelines(account.stages),
            pipeline_ids={each.pipeline_id for each in account.stages},
            stage_ids={each.id for each in account.stages},
            offered={"deal": account.offered("deal"), "contact": account.offered("contact")},
            own=own_names(),
            typed=typed or {**model.model_dump(), **empty},
            wrong=wrong or {},
            labels=LABELS,
            polls=await self._recipes.polls.of_app(app.workspace_id, app.id, NAME, USERS),
        )

    async def _account(self, user: HubSpotUser | None) -> Account:
        return Account((), {}, {}) if user is None else await self._recipe.account(user)


def _pipelines(stages: Sequence[Stage]) -> list[tuple[Named, list[Stage]]]:
    """Each pipeline with its stages, in the account's order."""
    return [
        (Named(*key), list(found))
        for key, found in groupby(stages, lambda each: (each.pipeline_id, each.pipeline_label))
    ]


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as the API's body: a property that is empty is null, and written nowhere."""

    def mapping(side: str, model: type[ContactMapping | DealMapping]) -> dict[str, str | None]:
        return {name: form_value(form, f"{side}.{name}") or None for name in model.model_fields}

    return {
        "shopApp": form_value(form, "shopApp"),
        "pipeline": form_value(form, "pipeline"),
        "stages": {name: form_value(form, f"stages.{name}") for name in Stages.model_fields},
        "amount": form_value(form, "amount"),
        "skipTest": "skipTest" in form,
        "reopen": "reopen" in form,
        "deal": mapping("deal", DealMapping),
        "contact": mapping("contact", ContactMapping),
    }

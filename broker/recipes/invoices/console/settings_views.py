"""An app's settings of the invoices recipe in the console, with what a user's accounts offer."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from broker.crm.object_types import COMPANIES, CONTACTS, DEALS
from broker.crm.related import Stage
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import InvalidRequest, RecipeNotFound
from broker.recipes.building import Recipes
from broker.recipes.invoices.models import (
    CUSTOMER_ID,
    ERROR,
    INVOICE_ID,
    NAME,
    NUMBER,
    STATUS,
    CustomerMapping,
    InvoicesSettings,
    InvoiceWriteBack,
)
from broker.recipes.invoices.offers import Offers
from broker.recipes.invoices.recipe import STAGE, InvoicesRecipe
from broker.recipes.invoices.steps import BOOKS
from broker.recipes.preparing import ForUser
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

USERS = 50
"""How many connected users the page offers, and how many companies it shows."""

LABELS = {
    "customer": {
        "email": "E-mail address",
        "firstName": "First name",
        "lastName": "Last name",
        "companyName": "Company's name",
        "phone": "Phone number",
        "street": "Street",
        "city": "City",
        "state": "State",
        "postalCode": "Postal code",
        "country": "Country",
        "customerId": "Customer id (written too)",
    },
    "writeBack": {
        "invoiceId": "Invoice id",
        "number": "Invoice number",
        "status": "Invoice status",
        "error": "Why there is no invoice",
    },
}
CHECKBOXES = ("approve", "sendEmail", "cards")
OWN = (INVOICE_ID, NUMBER, STATUS, ERROR, CUSTOMER_ID)
"""The properties that setup makes."""


class InvoicesSettingsViews:
    """`/console/invoices/settings`."""

    def __init__(self, console: ConsoleBase, recipe: InvoicesRecipe, recipes: Recipes) -> None:
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
                operator,
                "invoices/settings.html",
                NAME,
                apps=apps,
                slug="",
                panel={"recipe": NAME},
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
        try:
            body = validate(InvoicesSettings, typed)
            await self._recipe.setup.put(app, str(operator.caller.key_id), body)
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._shown(operator, app, user, typed, wrong, 400)
        query = {"app": app.slug, **({"user": user} if user else {})}
        return self.console.redirect(request, f"/invoices/settings?{urlencode(query)}")

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Delete the settings; runs stay, and wait."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        await self._recipe.setup.delete(app, str(operator.caller.key_id))
        return self.console.redirect(request, f"/invoices/settings?{urlencode({'app': app.slug})}")

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
        model = InvoicesSettings(accountingApp="none") if stored is None else stored.model
        empty = {"accountingApp": ""} if stored is None else {}
        users = await self._recipes.accounts.users(app, USERS)
        named = [each for each in users if each.user_ref == user_ref]
        chosen = next(iter([*named, *users]), None)
        accounting_app = "" if stored is None else stored.model.accountingApp
        offers = Offers()
        if chosen is not None:
            offers = await self._recipe.offers(chosen, accounting_app)
        apps = await self.console.apps(operator)
        properties = {
            "writeBack": offers.properties.get(DEALS, {}),
            "customer": {
                **offers.properties.get(COMPANIES, {}),
                **offers.properties.get(CONTACTS, {}),
            },
        }
        return self.console.render(
            operator,
            "invoices/settings.html",
            NAME,
            status,
            panel={"recipe": NAME},
            here="settings",
            apps=apps,
            slug=app.slug,
            stored=stored,
            accounting_apps=[each.slug for each in apps if each.provider in BOOKS],
            users=users,
            chosen="" if chosen is None else chosen.user_ref,
            offers=offers,
            pipelines=_pipelines(offers.stages),
            stage_ids={each.id for each in offers.stages},
            offered=properties,
            own=OWN,
            by_stage=STAGE,
            typed=typed or {**model.model_dump(), **empty},
            wrong=wrong or {},
            labels=LABELS,
            polls=await self._recipes.polls.of_app(app.workspace_id, app.id, NAME, USERS),
        )


def _pipelines(stages: Sequence[Stage]) -> list[tuple[str, list[Stage]]]:
    """Each pipeline's label with its stages, in the account's order."""
    return [
        (key[1], list(found))
        for key, found in groupby(stages, lambda each: (each.pipeline_id, each.pipeline_label))
    ]


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as the API's body: a property that is empty is null."""

    def mapping(side: str, model: type[CustomerMapping | InvoiceWriteBack]) -> dict[str, Any]:
        return {name: form_value(form, f"{side}.{name}") or None for name in model.model_fields}

    trigger = {
        "property": form_value(form, "trigger.property") or STAGE,
        "value": form_value(form, "trigger.value"),
    }
    texts = ("item", "account", "taxCode", "numberPrefix")
    return {
        "accountingApp": form_value(form, "accountingApp"),
        **{name: form_value(form, name) or None for name in texts},
        "dueDays": form_value(form, "dueDays"),
        "lines": form_value(form, "lines"),
        **{name: name in form for name in CHECKBOXES},
        "trigger": trigger if trigger["value"] else None,
        "customer": mapping("customer", CustomerMapping),
        "writeBack": mapping("writeBack", InvoiceWriteBack),
    }

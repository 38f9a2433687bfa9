"""An app's settings of the enrichment recipe in the console, with the account's own properties."""

from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlencode

from aiohttp import web

from broker.crm.records import HubSpotUser
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.runs import RetryLater
from broker.errors import BrokerError, InvalidRequest, RecipeNotFound
from broker.providers.enrichment.base import FIELDS
from broker.recipes.building import Recipes
from broker.recipes.enrichment.models import (
    NAME,
    NEVER_WRITTEN,
    EnrichmentSettings,
    VendorName,
    default_fields,
)
from broker.recipes.enrichment.recipe import EnrichmentRecipe
from broker.recipes.preparing import ForUser
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

USERS = 50
EMPTY_ROWS = 3
"""How many properties can be added at a time."""

VENDORS = get_args(VendorName)
POLICIES = {
    "fill": "only where it is empty",
    "overwrite": "whatever stands there",
    "never": "not at all",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """What the shared navigation shows."""

    recipe: str = NAME


class EnrichmentSettingsViews:
    """`/console/enrichment/settings`."""

    def __init__(self, console: ConsoleBase, recipe: EnrichmentRecipe, recipes: Recipes) -> None:
        self.console = console
        self._recipe = recipe
        self._recipes = recipes

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The settings of an app, or an empty form."""
        apps, slug = await self.console.choose(request, operator)
        if not slug:
            return self.console.render(
                operator, "enrichment/settings.html", NAME, apps=apps, slug="", panel=Panel()
            )
        app = await self.console.app(operator, slug)
        return await self._shown(operator, app, request.query.get("user", ""))

    @for_operators("recipes")
    async def put(self, request: web.Request, operator: Operator) -> web.Response:
        """Store the settings; an empty key keeps the stored one."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        user = form_value(form, "user")
        typed = _typed(form)
        typed |= await self._recipe.setup.left_out(app, typed)
        try:
            body = validate(EnrichmentSettings, typed)
            await self._recipe.setup.put(app, str(operator.caller.key_id), body)
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._shown(operator, app, user, typed, wrong, 400)
        query = {"app": app.slug, **({"user": user} if user else {})}
        return self.console.redirect(request, f"/enrichment/settings?{urlencode(query)}")

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Delete the settings; runs stay, and wait."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        await self._recipe.setup.delete(app, str(operator.caller.key_id))
        query = urlencode({"app": app.slug})
        return self.console.redirect(request, f"/enrichment/settings?{query}")

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
        users = await self._recipes.accounts.users(app, USERS)
        named = [each for each in users if each.user_ref == user_ref]
        chosen = next(iter([*named, *users]), None)
        offered, trouble = await self._properties(chosen)
        model = EnrichmentSettings(vendor=VENDORS[0]) if stored is None else stored.model
        values = typed or model.model_dump(by_alias=True)
        return self.console.render(
            operator,
            "enrichment/settings.html",
            NAME,
            status,
            panel=Panel(),
            here="settings",
            apps=await self.console.apps(operator),
            slug=app.slug,
            stored=stored,
            users=users,
            chosen="" if chosen is None else chosen.user_ref,
            trouble=trouble,
            offered=offered,
            typed=values,
            rows=[*values["fields"].items(), *[("", {})] * EMPTY_ROWS],
            wrong=wrong or {},
            vendors=VENDORS,
            sources=FIELDS,
            policies=POLICIES,
        )

    async def _properties(self, user: HubSpotUser | None) -> tuple[dict[str, str], str | None]:
        """The contact properties that can be written, by name; and why there are none."""
        if user is None:
            return {}, None
        try:
            defined = await self._recipe.properties_of(user)
        except RetryLater as later:
            return {}, later.reason
        except BrokerError as refusal:
            return {}, refusal.detail or refusal.title()
        return {
            name: str(each.get("label") or name)
            for name, each in sorted(defined.items())
            if name not in NEVER_WRITTEN
            and not each.get("hidden")
            and not (each.get("modificationMetadata") or {}).get("readOnlyValue")
        }, None


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as the API's body; an empty row of the table is none."""
    names, sources, policies = (form.get(name, []) for name in ("property", "source", "policy"))
    fields = {
        name.strip(): {"from": source, "policy": policy}
        for name, source, policy in zip(names, sources, policies, strict=False)
        if name.strip()
    }
    typed: dict[str, Any] = {
        "vendor": form_value(form, "vendor"),
        "fields": fields if names else {n: r.model_dump() for n, r in default_fields().items()},
        "minConfidence": form_value(form, "minConfidence"),
        "dailyBudget": form_value(form, "dailyBudget"),
        "skipFreeMail": "skipFreeMail" in form,
        "cards": "cards" in form,
        "trigger": _trigger(form),
    }
    if key := form_value(form, "apiKey"):
        typed["apiKey"] = key
    return typed


def _trigger(form: dict[str, list[str]]) -> dict[str, Any] | None:
    trigger = {
        "creation": "creation" in form,
        "emailChange": "emailChange" in form,
        "property": form_value(form, "trigger.property") or None,
        "value": form_value(form, "trigger.value") or None,
    }
    return trigger if any(trigger.values()) else None

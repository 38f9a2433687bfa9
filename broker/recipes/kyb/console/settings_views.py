"""An app's settings of KYB in the console."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import InvalidRequest, RecipeNotFound
from broker.recipes.api.settings import addresses
from broker.recipes.building import Recipes
from broker.recipes.kyb.models import NAME, READ, WRITTEN, KybSettings
from broker.recipes.kyb.properties import LABELS
from broker.recipes.kyb.recipe import KybRecipe
from broker.recipes.preparing import ForUser
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

SECRETS = ("clientSecret", "webhookSecret")


class KybSettingsViews:
    """`/console/kyb/settings`."""

    def __init__(self, console: ConsoleBase, recipe: KybRecipe, recipes: Recipes) -> None:
        self.console = console
        self._spec = next(each for each in recipes.specs if each.name == NAME)
        self._recipe = recipe
        self._checks = recipes.checks

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The settings of an app, or an empty form."""
        apps, slug = await self.console.choose(request, operator)
        if not slug:
            return self.console.render(operator, "kyb/settings.html", NAME, apps=apps, slug="")
        return await self._shown(operator, await self.console.app(operator, slug))

    @for_operators("recipes")
    async def put(self, request: web.Request, operator: Operator) -> web.Response:
        """Store the settings; a secret that is left empty stays as it is."""
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        typed = _typed(form)
        typed |= await self._recipe.setup.left_out(app, typed)
        try:
            body = validate(KybSettings, typed)
            await self._recipe.setup.put(app, str(operator.caller.key_id), body)
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._shown(operator, app, typed, wrong, 400)
        return self.console.redirect(request, f"/kyb/settings?{urlencode({'app': app.slug})}")

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Delete the settings; runs stay, and wait."""
        app = await self.console.app(operator, form_value(await form_of(request), "app"))
        await self._recipe.setup.delete(app, str(operator.caller.key_id))
        return self.console.redirect(request, f"/kyb/settings?{urlencode({'app': app.slug})}")

    @for_operators("recipes")
    async def setup(self, request: web.Request, operator: Operator) -> web.Response:
        """Create the Company properties that a user's HubSpot account lacks."""
        app, user_ref = await self._user(request, operator)
        done = await self._checks.create_properties(self._recipe, app, operator.caller, user_ref)
        return self.console.render(
            operator, "kyb/prepared.part.html", made=done.created, existing=done.existing
        )

    @for_operators("recipes")
    async def check(self, request: web.Request, operator: Operator) -> web.Response:
        """List everything that would make a run of a user fail."""
        app, user_ref = await self._user(request, operator)
        findings = await self._checks.findings(self._recipe, app, operator.caller, user_ref)
        return self.console.render(operator, "kyb/checked.part.html", findings=findings)

    async def _user(self, request: web.Request, operator: Operator) -> tuple[App, str]:
        form = await form_of(request)
        app = await self.console.app(operator, form_value(form, "app"))
        body = validate(ForUser, {"userForeignIdentifier": form.get("user", [""])[0]})
        return app, body.userForeignIdentifier

    async def _shown(
        self,
        operator: Operator,
        app: App,
        typed: dict[str, Any] | None = None,
        wrong: dict[str, str] | None = None,
        status: int = 200,
    ) -> web.Response:
        try:
            stored = await self._recipe.setup.get(app)
        except RecipeNotFound:
            stored = None
        model = KybSettings(clientId=" ") if stored is None else stored.model
        empty = {"clientId": ""} if stored is None else {}
        return self.console.render(
            operator,
            "kyb/settings.html",
            NAME,
            status,
            apps=await self.console.apps(operator),
            slug=app.slug,
            stored=stored,
            has_webhook_secret=stored is not None and "webhookSecret" in stored.secrets,
            typed=typed or {**model.model_dump(), **empty},
            wrong=wrong or {},
            labels=LABELS,
            addresses=addresses(
                self._spec, self._recipe.public_url, app.slug, str(app.workspace_id)
            ),
            served=None if stored is None else (await self._recipe.shown(app, stored))["hubId"],
        )


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as the API's body: what is empty is left out, or null where that means something."""
    limit, hub_id = form_value(form, "callsPerMinute"), form_value(form, "hubId")
    trigger = {name: form_value(form, f"trigger.{name}") for name in ("property", "value")}
    typed: dict[str, Any] = {
        "clientId": form_value(form, "clientId"),
        "properties": {name: form_value(form, f"properties.{name}") for name in READ},
        "writeBack": {name: form_value(form, f"writeBack.{name}") or None for name in WRITTEN},
        "trigger": trigger if any(trigger.values()) else None,
        "sendInvite": "sendInvite" in form,
        "callsPerMinute": int(limit) if limit.isdecimal() and len(limit) < 9 else 0,
        "recordIds": form_value(form, "recordIds") or "company",
        "hubId": hub_id or None,
        "cards": "cards" in form,
    }
    return typed | {name: form_value(form, name) for name in SECRETS if form_value(form, name)}

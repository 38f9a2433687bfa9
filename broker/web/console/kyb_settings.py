"""What an app wants of KYB, as an operator sets it up."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from broker.crm.companies import CompanyAccess
from broker.domain.browser_sessions import Operator
from broker.domain.model import App, Secret
from broker.errors import InvalidRequest, RecipeNotFound
from broker.recipes.kyb.settings import LABELS, READ, WRITTEN, KybSettings, KybSetup
from broker.web.api.kyb import ForUser, KybChange
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

SECRETS = ("clientSecret", "webhookSecret")


class KybSettingsViews:
    """`/console/kyb/settings`."""

    def __init__(
        self, desk: ConsoleBase, setup: KybSetup, companies: CompanyAccess, public_url: str
    ) -> None:
        self.desk = desk
        self._setup = setup
        self._companies = companies
        self._public_url = public_url

    @for_operators("recipes")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """The settings of an app, or an empty form."""
        apps = await self.desk.apps(operator)
        slug = request.query.get("app", apps[0].slug if apps else "")
        if not slug:
            return self.desk.render(operator, "kyb/settings.html", "kyb", apps=apps, slug="")
        return await self._shown(operator, await self.desk.app(operator, slug))

    @for_operators("recipes")
    async def put(self, request: web.Request, operator: Operator) -> web.Response:
        """Keep the settings; a secret that is left empty stays as it is."""
        form = await form_of(request)
        app = await self.desk.app(operator, form_value(form, "app"))
        typed = _typed(form)
        try:
            body = validate(KybChange, typed)
            await self._setup.put(
                app,
                str(operator.caller.key_id),
                body.model_dump(exclude=set(SECRETS)),
                *(Secret(typed[name]) if name in typed else None for name in SECRETS),
            )
        except InvalidRequest as refusal:
            wrong = {each["field"]: each["message"] for each in refusal.context.get("errors", [])}
            return await self._shown(operator, app, typed, wrong, 400)
        return self.desk.redirect(request, f"/kyb/settings?{urlencode({'app': app.slug})}")

    @for_operators("recipes")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Forget the settings; runs stay, and wait."""
        app = await self.desk.app(operator, form_value(await form_of(request), "app"))
        await self._setup.delete(app, str(operator.caller.key_id))
        return self.desk.redirect(request, f"/kyb/settings?{urlencode({'app': app.slug})}")

    @for_operators("recipes")
    async def setup(self, request: web.Request, operator: Operator) -> web.Response:
        """Make the Company properties that a user's HubSpot account lacks."""
        form = await form_of(request)
        app = await self.desk.app(operator, form_value(form, "app"))
        whose = {"userForeignIdentifier": form.get("user", [""])[0]}
        user = validate(ForUser, whose).userForeignIdentifier
        writer = self._companies.writer(app.workspace_id, app.slug, user)
        made, existing = await self._setup.create_properties(app, writer)
        return self.desk.render(operator, "kyb/prepared.part.html", made=made, existing=existing)

    async def _shown(
        self,
        operator: Operator,
        app: App,
        typed: dict[str, Any] | None = None,
        wrong: dict[str, str] | None = None,
        status: int = 200,
    ) -> web.Response:
        try:
            kept = await self._setup.get(app)
        except RecipeNotFound:
            kept = None
        name = f"{app.slug}-{app.workspace_id}"
        return self.desk.render(
            operator,
            "kyb/settings.html",
            "kyb",
            status,
            apps=await self.desk.apps(operator),
            slug=app.slug,
            kept=kept,
            typed=typed or _as_typed(kept),
            wrong=wrong or {},
            labels=LABELS,
            webhook_url=f"{self._public_url}/fml/{name}/webhooks",
            action_url=f"{self._public_url}/hubspot/{name}/actions/kyb",
        )


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as the API's body: what is empty is left out, or null where that means something."""
    limit = form_value(form, "callsPerMinute")
    trigger = {name: form_value(form, f"trigger.{name}") for name in ("property", "value")}
    typed: dict[str, Any] = {
        "clientId": form_value(form, "clientId"),
        "properties": {name: form_value(form, f"properties.{name}") for name in READ},
        "writeBack": {name: form_value(form, f"writeBack.{name}") or None for name in WRITTEN},
        "trigger": trigger if any(trigger.values()) else None,
        "sendInvite": "sendInvite" in form,
        "callsPerMinute": int(limit) if limit.isdecimal() and len(limit) < 9 else 0,
    }
    return typed | {name: form_value(form, name) for name in SECRETS if form_value(form, name)}


def _as_typed(kept: KybSettings | None) -> dict[str, Any]:
    if kept is None:
        return {
            "clientId": "",
            "properties": READ,
            "writeBack": WRITTEN,
            "trigger": None,
            "sendInvite": True,
            "callsPerMinute": 120,
        }
    return {
        "clientId": kept.client_id,
        "properties": kept.properties,
        "writeBack": kept.write_back,
        "trigger": kept.trigger,
        "sendInvite": kept.send_invite,
        "callsPerMinute": kept.calls_a_minute,
    }

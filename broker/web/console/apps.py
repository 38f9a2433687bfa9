"""Apps in the console: the register form, what is still missing, the settings."""

from typing import Any

from aiohttp import web

from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.errors import InvalidRequest, SlugTaken, wrong_field
from broker.providers.base import ProviderSpec
from broker.providers.catalog import BY_NAME, DEFAULT, PROVIDERS
from broker.services.installs.app_checks import AppChecks
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.web.api.app_fields import rule_of_text, text_of_rule
from broker.web.api.app_models import (
    OPTIONS,
    AppChange,
    NewApp,
    changed,
    registration,
    settings_of,
)
from broker.web.console.base import ConsoleBase, for_operators, form_of, form_value
from broker.web.core.requests import validate

LISTS = ("optionalScopes", "returnUrls", "origins")
SWITCHES = ("pkce", "legacySignatures", "journal", "marketplace")
TEXTS = ("slug", "provider", "clientId", "clientSecret", "webhookSecret", "confirm")
NULLABLE_TEXTS = ("appId", "displayName", "logoUrl", "installUrl", *OPTIONS)
SECRETS = ("clientSecret", "webhookSecret")


class AppViews:
    """`/console/apps`."""

    def __init__(
        self,
        console: ConsoleBase,
        apps: Apps,
        connections: Connections,
        installs: Installs,
        checks: AppChecks,
    ) -> None:
        self.console = console
        self._apps = apps
        self._connections = connections
        self._installs = installs
        self._checks = checks

    @for_operators("apps", "connect")
    async def index(self, _request: web.Request, operator: Operator) -> web.Response:
        """Every app that the key has access to, with its connections by status."""
        counts = await self._connections.counts(operator.caller.workspace_id)
        rows = [
            (app, counts.get(app.id, {}), self._todo(app, counts))
            for app in await self.console.apps(operator)
        ]
        return self.console.render(operator, "apps.html", "apps", rows=rows)

    @for_operators("apps")
    async def new_form(self, request: web.Request, operator: Operator) -> web.Response:
        """The form that registers an app of a provider."""
        spec = _spec(request.query.get("provider", ""))
        typed = {"provider": spec.name, "scopes": list(spec.wording.usual_scopes), "pkce": True}
        return self._form(operator, typed, [])

    @for_operators("apps")
    async def register(self, request: web.Request, operator: Operator) -> web.Response:
        """Register an app; each wrong field is shown with what was typed."""
        typed = _without_empty(_typed(await form_of(request)), ("webhookSecret",))
        try:
            body = validate(NewApp, typed)
            slug = body.slug.lower()
            if not operator.caller.can_access_app(slug):
                raise wrong_field("slug", "is not one of the apps that your key is limited to")
            actor = str(operator.caller.key_id)
            await self._apps.register(operator.caller.workspace_id, actor, slug, registration(body))
        except InvalidRequest as refusal:
            return self._form(operator, typed, refusal.context.get("errors", []), 400)
        except SlugTaken:
            taken = {"field": "slug", "message": "is taken by another app of this workspace"}
            return self._form(operator, typed, [taken], 409)
        return self.console.redirect(request, f"/apps/{slug}")

    @for_operators("apps", "connect")
    async def show(self, request: web.Request, operator: Operator) -> web.Response:
        """An app: what to paste at its provider, what is still missing, its settings."""
        return await self._shown(operator, await self._app(request, operator))

    @for_operators("apps")
    async def check(self, request: web.Request, operator: Operator) -> web.Response:
        """Ask the provider whether it accepts the app's credentials."""
        app = await self._app(request, operator)
        finding = await self._checks.verify_credentials(app)
        return self.console.render(operator, "finding.part.html", finding=finding)

    @for_operators("apps")
    async def change(self, request: web.Request, operator: Operator) -> web.Response:
        """Change an app's settings; an empty secret stays as it is."""
        app = await self._app(request, operator)
        typed = _typed(await form_of(request))
        for name in ("slug", "provider"):
            typed.pop(name, None)
        typed = _without_empty(typed, SECRETS)
        try:
            body = validate(AppChange, typed)
            async with self._apps.lock(operator.caller.workspace_id, app.slug) as locked:
                await locked.change(str(operator.caller.key_id), changed(locked.app, body))
        except InvalidRequest as refusal:
            errors = refusal.context.get("errors", [])
            return await self._shown(operator, app, typed, errors, 400)
        return self.console.redirect(request, f"/apps/{app.slug}")

    @for_operators("apps")
    async def remove(self, request: web.Request, operator: Operator) -> web.Response:
        """Remove an app; its short name must be typed to confirm."""
        app = await self._app(request, operator)
        if form_value(await form_of(request), "slug").lower() != app.slug:
            raise wrong_field("slug", "is not this app's short name")
        async with self._apps.lock(operator.caller.workspace_id, app.slug) as locked:
            await locked.remove(str(operator.caller.key_id))
        return self.console.redirect(request, "/apps")

    async def _app(self, request: web.Request, operator: Operator) -> App:
        return await self.console.app(operator, request.match_info["slug"])

    def _todo(self, app: App, counts: Any) -> int:
        found = self._checks.local_findings(app, counts.get(app.id, {}).get("ACTIVE", 0))
        return sum(finding.state != "good" for finding in found)

    async def _shown(
        self,
        operator: Operator,
        app: App,
        typed: dict[str, Any] | None = None,
        errors: list[dict[str, str]] | None = None,
        status: int = 200,
    ) -> web.Response:
        counts = (await self._connections.counts(app.workspace_id)).get(app.id, {})
        return self.console.render(
            operator,
            "app.html",
            "apps",
            status,
            app=app,
            counts=counts,
            redirect_url=self._installs.redirect_url(app),
            webhook_url=self._installs.webhook_url(app),
            findings=self._checks.local_findings(app, counts.get("ACTIVE", 0)),
            **_choices(BY_NAME[app.provider], typed or settings_of(app), errors or []),
        )

    def _form(
        self,
        operator: Operator,
        typed: dict[str, Any],
        errors: list[dict[str, str]],
        status: int = 200,
    ) -> web.Response:
        spec = _spec(typed.get("provider", ""))
        return self.console.render(
            operator,
            "register.html",
            "apps",
            status,
            providers=[(each.name, each.label) for each in PROVIDERS],
            **_choices(spec, typed, errors),
        )


def _spec(name: str) -> ProviderSpec:
    """The provider of a form; the default where it names none that there is."""
    return BY_NAME.get(name, BY_NAME[DEFAULT])


def _without_empty(typed: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Without those of the fields that were left empty."""
    return {name: value for name, value in typed.items() if value or name not in names}


def _typed(form: dict[str, list[str]]) -> dict[str, Any]:
    """A form as the API's body: ticked scopes and lines of a text become lists."""
    scopes = [*form.get("scopes", []), *form_value(form, "otherScopes").split()]
    typed: dict[str, Any] = {name: form_value(form, name) for name in TEXTS if name in form}
    typed |= {name: form_value(form, name).split() for name in LISTS}
    typed |= {name: name in form for name in SWITCHES}
    typed |= {name: form_value(form, name) or None for name in NULLABLE_TEXTS if name in form}
    if "policy" in form:
        rules = [rule_of_text(line) for line in form_value(form, "policy").splitlines() if line]
        typed["policy"] = rules or None
    return typed | {"scopes": list(dict.fromkeys(scopes))}


def _choices(
    spec: ProviderSpec, typed: dict[str, Any], errors: list[dict[str, str]]
) -> dict[str, Any]:
    """What a form of an app shows: what was typed, wrong fields, and the scopes to choose from."""
    wording = spec.wording
    chosen = typed.get("scopes", [])
    wrong: dict[str, str] = {}
    for error in errors:
        wrong.setdefault(error["field"].partition(".")[0], error["message"])
    typed = {name: typed.get(name) for name in NewApp.model_fields if name not in SECRETS}
    return {
        "spec": spec,
        "typed": typed,
        "policy": [text_of_rule(rule) for rule in typed.get("policy") or []],
        "wrong": {name: wrong.get(name) for name in NewApp.model_fields} if wrong else {},
        "scopes": sorted(
            ((each, wording.describe_scope(each), each in chosen) for each in wording.scopes),
            key=lambda each: not each[2],
        ),
        "others": [scope for scope in chosen if scope not in wording.scopes],
    }

"""The consent page at login.xero.com: a person chooses the organisations."""

from aiohttp import web

from broker.sandbox.core.control.requests import refuse_other_origins
from broker.sandbox.core.redirects import is_registered, redirect
from broker.sandbox.xero.oauth.grants import BROAD_SCOPES, SCOPES, App
from broker.sandbox.xero.pages import render
from broker.sandbox.xero.world import Xero

FIELDS = (
    "client_id",
    "response_type",
    "scope",
    "redirect_uri",
    "state",
    "code_challenge",
    "code_challenge_method",
)


class ConsentPages:
    """`/identity/connect/authorize`."""

    def __init__(self, world: Xero) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/identity/connect/authorize", self.ask),
            web.post("/identity/connect/decision", self.decide),
        ]

    async def ask(self, request: web.Request) -> web.Response:
        """Ask a person, or answer at once when consent is automatic."""
        asked = {name: request.query.get(name, "") for name in FIELDS}
        app, wrong = self._judge(asked)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen = self._world.levers.auto_consent
        if chosen is not None:
            return self._connect(asked, app, chosen)
        organisations = {
            tenant_id: each.settings.name for tenant_id, each in self._world.organisations.items()
        }
        return render("consent.html", asked=asked, app=app, organisations=organisations)

    async def decide(self, request: web.Request) -> web.Response:
        """Take a person's decision back to the app."""
        refuse_other_origins(request)
        form = await request.post()
        asked = {name: str(form.get(name, "")) for name in FIELDS}
        app, wrong = self._judge(asked)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen = [str(each) for each in form.getall("tenantId", [])]
        known = [each for each in chosen if each in self._world.organisations]
        if form.get("decision") != "connect" or not known:
            return _redirect(asked, {"error": "access_denied"})
        return self._connect(asked, app, known)

    def _connect(self, asked: dict[str, str], app: App, tenant_ids: list[str]) -> web.Response:
        grants = self._world.grants
        held = {
            each.tenant_id
            for each in grants.connections.values()
            if each.client_id == app.client_id
        }
        if len(held | set(tenant_ids)) > self._world.levers.connection_limit:
            return render(
                "problem.html",
                status=403,
                problem="This app has reached its limit of connected organisations.",
            )
        event = grants.connect(app.client_id, tenant_ids)
        self._world.count("consents")
        code = grants.issue_code(
            app, asked["scope"].split(), asked["redirect_uri"], asked["code_challenge"], event
        )
        return _redirect(asked, {"code": code, "scope": asked["scope"]})

    def _judge(self, asked: dict[str, str]) -> tuple[App | None, str]:
        """The app that asks, or the error that Xero's own page shows instead."""
        app = self._world.grants.apps.get(asked["client_id"])
        if app is None or app.custom_tenant:
            return None, "unauthorized_client: Unknown client or client not enabled"
        if not is_registered(asked["redirect_uri"], app.redirect_uris):
            return None, "unauthorized_client: Invalid redirect_uri"
        if asked["response_type"] != "code":
            return None, "unsupported_response_type"
        scopes = set(asked["scope"].split())
        broad = BROAD_SCOPES if self._world.levers.granular_scopes else frozenset()
        if not scopes or not scopes <= SCOPES - broad:
            return None, "invalid_scope"
        if asked["code_challenge"] and asked["code_challenge_method"] != "S256":
            return None, "invalid_request: Transform algorithm not supported"
        if not app.client_secret and not asked["code_challenge"]:
            return None, "invalid_request: code challenge required"
        return app, ""


def _redirect(asked: dict[str, str], brought: dict[str, str]) -> web.Response:
    if asked["state"]:
        brought = {**brought, "state": asked["state"]}
    return redirect(asked["redirect_uri"], brought)

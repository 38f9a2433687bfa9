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
            web.get("/identity/connect/authorize", self.show_page),
            web.post("/identity/connect/decision", self.decide),
        ]

    async def show_page(self, request: web.Request) -> web.Response:
        """Show the page, or answer at once when consent is automatic."""
        params = {name: request.query.get(name, "") for name in FIELDS}
        app, wrong = self._judge(params)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen = self._world.levers.auto_consent
        if chosen is not None:
            return self._connect(params, app, chosen)
        organisations = {
            tenant_id: each.settings.name for tenant_id, each in self._world.organisations.items()
        }
        return render("consent.html", params=params, app=app, organisations=organisations)

    async def decide(self, request: web.Request) -> web.Response:
        """Send a person's decision back to the app."""
        refuse_other_origins(request)
        form = await request.post()
        params = {name: str(form.get(name, "")) for name in FIELDS}
        app, wrong = self._judge(params)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen = [str(each) for each in form.getall("tenantId", [])]
        chosen_ids = [each for each in chosen if each in self._world.organisations]
        if form.get("decision") != "connect" or not chosen_ids:
            return _redirect(params, {"error": "access_denied"})
        return self._connect(params, app, chosen_ids)

    def _connect(self, params: dict[str, str], app: App, tenant_ids: list[str]) -> web.Response:
        grants = self._world.grants
        connected = {
            each.tenant_id
            for each in grants.connections.values()
            if each.client_id == app.client_id
        }
        if len(connected | set(tenant_ids)) > self._world.levers.connection_limit:
            return render(
                "problem.html",
                status=403,
                problem="This app has reached its limit of connected organisations.",
            )
        event = grants.connect(app.client_id, tenant_ids)
        self._world.count("consents")
        code = grants.issue_code(
            app, params["scope"].split(), params["redirect_uri"], params["code_challenge"], event
        )
        return _redirect(params, {"code": code, "scope": params["scope"]})

    def _judge(self, params: dict[str, str]) -> tuple[App | None, str]:
        """The requesting app, or the error that Xero's own page shows instead."""
        app = self._world.grants.apps.get(params["client_id"])
        if app is None or app.custom_tenant:
            return None, "unauthorized_client: Unknown client or client not enabled"
        if not is_registered(params["redirect_uri"], app.redirect_uris):
            return None, "unauthorized_client: Invalid redirect_uri"
        if params["response_type"] != "code":
            return None, "unsupported_response_type"
        scopes = set(params["scope"].split())
        broad = BROAD_SCOPES if self._world.levers.granular_scopes else frozenset()
        if not scopes or not scopes <= SCOPES - broad:
            return None, "invalid_scope"
        if params["code_challenge"] and params["code_challenge_method"] != "S256":
            return None, "invalid_request: Transform algorithm not supported"
        if not app.client_secret and not params["code_challenge"]:
            return None, "invalid_request: code challenge required"
        return app, ""


def _redirect(params: dict[str, str], query: dict[str, str]) -> web.Response:
    if params["state"]:
        query = {**query, "state": params["state"]}
    return redirect(params["redirect_uri"], query)

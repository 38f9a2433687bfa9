"""The consent page at appcenter.intuit.com: a person chooses the company. `realmId` comes back only
with the code, here.
"""

from aiohttp import web

from broker.sandbox.core.control.requests import refuse_other_origins
from broker.sandbox.core.redirects import is_registered, redirect
from broker.sandbox.quickbooks.oauth.grants import SCOPES, App
from broker.sandbox.quickbooks.pages import render
from broker.sandbox.quickbooks.world import QuickBooks

FIELDS = ("client_id", "response_type", "scope", "redirect_uri", "state")


class ConsentPages:
    """`/connect/oauth2`."""

    def __init__(self, world: QuickBooks) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/connect/oauth2", self.show_page),
            web.post("/connect/decision", self.decide),
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
        return render("consent.html", params=params, app=app, companies=self._companies())

    async def decide(self, request: web.Request) -> web.Response:
        """Send a person's decision back to the app."""
        refuse_other_origins(request)
        form = await request.post()
        params = {name: str(form.get(name, "")) for name in FIELDS}
        app, wrong = self._judge(params)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        realm_id = str(form.get("realmId", ""))
        if form.get("decision") != "connect" or realm_id not in self._companies():
            denied = {"error": "access_denied", "state": params["state"]}
            return redirect(params["redirect_uri"], denied)
        return self._connect(params, app, realm_id)

    def _connect(self, params: dict[str, str], app: App, realm_id: str) -> web.Response:
        scopes = params["scope"].split()
        code = self._world.grants.issue_code(app, realm_id, scopes, params["redirect_uri"])
        self._world.count("consents")
        query = {"code": code, "state": params["state"], "realmId": realm_id}
        return redirect(params["redirect_uri"], query)

    def _companies(self) -> dict[str, str]:
        environment = self._world.levers.environment
        return {
            realm_id: company.settings.name
            for realm_id, company in self._world.companies.items()
            if company.settings.environment == environment
        }

    def _judge(self, params: dict[str, str]) -> tuple[App | None, str]:
        """The requesting app, or the reason why Intuit shows its own error page instead."""
        app = self._world.grants.apps.get(params["client_id"])
        if app is None:
            return None, "The client_id query parameter value is invalid."
        if not is_registered(params["redirect_uri"], app.redirect_uris):
            return None, "The redirect_uri query parameter value is invalid."
        if params["response_type"] != "code":
            return None, "The response_type query parameter value is invalid."
        if not params["state"]:
            return None, "The state query parameter is missing."
        if not params["scope"] or not set(params["scope"].split()) <= SCOPES:
            return None, "The scope query parameter value is invalid."
        return app, ""

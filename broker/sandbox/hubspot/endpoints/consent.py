"""The consent page: what a person sees at HubSpot before an app is connected."""

from aiohttp import web

from broker.sandbox.core.redirects import is_registered, redirect
from broker.sandbox.hubspot.endpoints.tokens import CODE_LIFETIME_S
from broker.sandbox.hubspot.grants import App, Code
from broker.sandbox.hubspot.pages import render
from broker.sandbox.hubspot.portal import Portal
from broker.sandbox.hubspot.world import Sandbox

FIELDS = (
    "client_id",
    "redirect_uri",
    "scope",
    "optional_scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)


class ConsentPages:
    """`/oauth/authorize`, with or without a portal in the path."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/oauth/authorize", self.show_page),
            web.get(r"/oauth/{hub_id:\d+}/authorize", self.show_page),
            web.post("/oauth/decision", self.decide),
        ]

    async def show_page(self, request: web.Request) -> web.Response:
        """Show the page, or answer at once when consent is automatic."""
        params = {name: request.query.get(name, "") for name in FIELDS}
        app, wrong = self._judge(params)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen = request.match_info.get("hub_id")
        portals = [
            portal
            for portal in self._sandbox.portals.values()
            if chosen is None or portal.hub_id == int(chosen)
        ]
        if self._sandbox.auto_consent is not None:
            portal = self._sandbox.portals[self._sandbox.auto_consent]
            return self._allow(params, app, portal, self._sandbox.auto_consent_user)
        return render("consent.html", params=params, app=app, portals=portals)

    async def decide(self, request: web.Request) -> web.Response:
        """Send a person's decision back to the app."""
        form = await request.post()
        params = {name: str(form.get(name, "")) for name in FIELDS}
        app, wrong = self._judge(params)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen, _, user = str(form.get("portal", "")).partition("/")
        portal = self._sandbox.portals.get(int(chosen)) if chosen.isdecimal() else None
        if form.get("decision") != "allow" or portal is None:
            denied = {
                "error": "access_denied",
                "error_description": "The user denied the request.",
                "state": params["state"],
            }
            return redirect(params["redirect_uri"], denied)
        if user in self._sandbox.may_not_install:
            # HubSpot ends here: the browser never comes back.
            rights = "You need to be a super admin, or have Marketplace access, to connect an app."
            return render("problem.html", status=403, problem=rights)
        return self._allow(params, app, portal, user)

    def _allow(
        self, params: dict[str, str], app: App, portal: Portal, user: str | None
    ) -> web.Response:
        optional = [
            each for each in params["optional_scope"].split() if each in app.optional_scopes
        ]
        code = Code(
            app.client_id,
            portal.hub_id,
            user if user in portal.users else portal.users[0],
            list(dict.fromkeys([*params["scope"].split(), "oauth", *optional])),
            params["redirect_uri"],
            params["code_challenge"] or None,
            self._sandbox.now() + CODE_LIFETIME_S,
        )
        query = {"code": self._sandbox.grants.issue_code(code)}
        if params["state"]:
            query["state"] = params["state"]
        return redirect(params["redirect_uri"], query)

    def _judge(self, params: dict[str, str]) -> tuple[App | None, str]:
        """The requesting app, or the reason why HubSpot shows its own error page instead."""
        app = self._sandbox.apps.get(params["client_id"])
        if app is None:
            return None, "An invalid client_id was provided."
        if not is_registered(params["redirect_uri"], app.redirect_urls):
            return None, "The redirect URL does not match the app's registered redirect URL."
        scopes = set(params["scope"].split())
        if not scopes <= {*app.scopes, *app.optional_scopes, "oauth"}:
            return None, "An invalid scope name was provided."
        if not set(app.scopes) <= scopes:
            return None, "There is a mismatch between the scopes in the install URL and the app's."
        if params["code_challenge"] and params["code_challenge_method"] != "S256":
            return None, "The code challenge method is not supported."
        return app, ""

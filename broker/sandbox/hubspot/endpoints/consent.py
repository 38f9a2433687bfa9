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
            web.get("/oauth/authorize", self.ask),
            web.get(r"/oauth/{hub_id:\d+}/authorize", self.ask),
            web.post("/oauth/decision", self.decide),
        ]

    async def ask(self, request: web.Request) -> web.Response:
        """Ask a person, or answer at once when consent is automatic."""
        asked = {name: request.query.get(name, "") for name in FIELDS}
        app, wrong = self._judge(asked)
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
            return self._allow(asked, app, portal, self._sandbox.auto_consent_user)
        return render("consent.html", asked=asked, app=app, portals=portals)

    async def decide(self, request: web.Request) -> web.Response:
        """Take a person's decision back to the app."""
        form = await request.post()
        asked = {name: str(form.get(name, "")) for name in FIELDS}
        app, wrong = self._judge(asked)
        if app is None:
            return render("problem.html", status=400, problem=wrong)
        chosen, _, user = str(form.get("portal", "")).partition("/")
        portal = self._sandbox.portals.get(int(chosen)) if chosen.isdecimal() else None
        if form.get("decision") != "allow" or portal is None:
            denied = {
                "error": "access_denied",
                "error_description": "The user denied the request.",
                "state": asked["state"],
            }
            return redirect(asked["redirect_uri"], denied)
        if user in self._sandbox.may_not_install:
            # HubSpot ends here: the browser never comes back.
            rights = "You need to be a super admin, or have Marketplace access, to connect an app."
            return render("problem.html", status=403, problem=rights)
        return self._allow(asked, app, portal, user)

    def _allow(
        self, asked: dict[str, str], app: App, portal: Portal, user: str | None
    ) -> web.Response:
        optional = [each for each in asked["optional_scope"].split() if each in app.optional_scopes]
        code = Code(
            app.client_id,
            portal.hub_id,
            user if user in portal.users else portal.users[0],
            list(dict.fromkeys([*asked["scope"].split(), "oauth", *optional])),
            asked["redirect_uri"],
            asked["code_challenge"] or None,
            self._sandbox.now() + CODE_LIFETIME_S,
        )
        brought = {"code": self._sandbox.grants.issue_code(code)}
        if asked["state"]:
            brought["state"] = asked["state"]
        return redirect(asked["redirect_uri"], brought)

    def _judge(self, asked: dict[str, str]) -> tuple[App | None, str]:
        """The app that asks, or why HubSpot shows its own error page instead."""
        app = self._sandbox.apps.get(asked["client_id"])
        if app is None:
            return None, "An invalid client_id was provided."
        if not is_registered(asked["redirect_uri"], app.redirect_urls):
            return None, "The redirect URL does not match the app's registered redirect URL."
        scopes = set(asked["scope"].split())
        if not scopes <= {*app.scopes, *app.optional_scopes, "oauth"}:
            return None, "An invalid scope name was provided."
        if not set(app.scopes) <= scopes:
            return None, "There is a mismatch between the scopes in the install URL and the app's."
        if asked["code_challenge"] and asked["code_challenge_method"] != "S256":
            return None, "The code challenge method is not supported."
        return app, ""

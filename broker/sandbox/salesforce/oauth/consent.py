"""The login and consent page: what a person sees before an app is connected."""

from urllib.parse import urlsplit

from aiohttp import web

from broker.sandbox.core.redirects import is_registered, redirect
from broker.sandbox.salesforce.oauth.grants import App, Code
from broker.sandbox.salesforce.oauth.parameters import HOST, may_use, users_at
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.pages import render
from broker.sandbox.salesforce.world import Salesforce

CODE_LIFETIME_S = 15 * 60
FIELDS = (
    "client_id", "redirect_uri", "scope", "state", "response_type", "code_challenge",
    "code_challenge_method", "login_hint", "prompt",
)  # fmt: skip
REFUSALS = {
    "OAUTH_APPROVAL_ERROR_GENERIC": "We can't authorize you because of an OAuth error. For more"
    " information, contact your Salesforce administrator. OAUTH_APPROVAL_ERROR_GENERIC : An"
    " unexpected error has occurred during authentication. Please try again.",
    "invalid_app_access": "user is not admin approved to access this app",
}


class ConsentPages:
    """`/services/oauth2/authorize` and the decision taken there."""

    def __init__(self, world: Salesforce) -> None:
        self._world = world

    def routes(self) -> list[web.RouteDef]:
        """Every endpoint of this module."""
        return [
            web.get("/services/oauth2/authorize", self.show_page),
            web.post("/_sandbox/consent", self.decide),
        ]

    async def show_page(self, request: web.Request) -> web.Response:
        """Show the page, or answer at once when consent is automatic."""
        params = {name: request.query.get(name, "") for name in FIELDS}
        app, refused = self._judge(params)
        if app is None or refused is not None:
            return refused or _problem("client identifier invalid")
        people = users_at(self._world, request[HOST])
        auto = self._world.levers.auto_consent
        if auto is not None:
            for org, user in people:
                if user["Username"] == auto:
                    return self._allow(params, app, org, user)
            return _problem("Please check your username and password.")
        return render("consent.html", params=params, app=app, people=people, host=request[HOST])

    async def decide(self, request: web.Request) -> web.Response:
        """Send a person's decision back to the app; only the page itself may post it."""
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.host:
            raise web.HTTPForbidden
        form = await request.post()
        params = {name: str(form.get(name, "")) for name in FIELDS}
        app, refused = self._judge(params)
        if app is None or refused is not None:
            return refused or _problem("client identifier invalid")
        if form.get("decision") != "allow":
            return _back(params, error="access_denied",
                         error_description="end-user denied authorization")  # fmt: skip
        for org, user in users_at(self._world, request[HOST]):
            if user["Username"] == form.get("username"):
                return self._allow(params, app, org, user)
        return _problem("Please check your username and password.")

    def _allow(self, params: dict[str, str], app: App, org: Org, user: Record) -> web.Response:
        refusal = may_use(app, org, user)
        if refusal is not None:
            # Salesforce ends here: the browser never comes back.
            return _problem(REFUSALS[refusal])
        code = Code(
            app.client_id,
            org.id,
            user["Id"],
            params["scope"].split() or app.scopes,
            params["redirect_uri"],
            params["code_challenge"] or None,
            self._world.now() + CODE_LIFETIME_S,
        )
        return _back(params, code=self._world.grants.issue_code(code))

    def _judge(self, params: dict[str, str]) -> tuple[App | None, web.Response | None]:
        """The requesting app, and the answer that replaces the page, if any."""
        app = self._world.apps.get(params["client_id"])
        if app is None:
            return None, _problem("client identifier invalid", "invalid_client_id")
        if not is_registered(params["redirect_uri"], app.callback_urls):
            problem = "redirect_uri must match configuration"
            return app, _problem(problem, "redirect_uri_mismatch")
        wrong = self._wrong(params, app)
        if wrong is not None:
            return app, _back(params, error=wrong[0], error_description=wrong[1])
        return app, None

    def _wrong(self, params: dict[str, str], app: App) -> tuple[str, str] | None:
        if params["response_type"] != "code":
            return "unsupported_response_type", "response type not supported"
        if not set(params["scope"].split()) <= set(app.scopes):
            return "invalid_scope", "the requested scope is invalid, unknown, or malformed"
        # The method may be left out: there is only S256.
        if params["code_challenge_method"] not in {"", "S256"}:
            return "invalid_request", "invalid code challenge method"
        if self._world.levers.pkce_required and not params["code_challenge"]:
            return "invalid_request", "missing required code challenge"
        return None


def _problem(problem: str, error: str = "") -> web.Response:
    return render("problem.html", status=400, problem=problem, error=error)


def _back(params: dict[str, str], **query: str) -> web.Response:
    if params["state"]:
        query["state"] = params["state"]
    return redirect(params["redirect_uri"], query)

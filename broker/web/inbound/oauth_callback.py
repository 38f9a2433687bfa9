"""A user's browser coming back from a provider: the callback."""

from urllib.parse import quote
from uuid import UUID

from aiohttp import web

from broker.domain.browser_sessions import ConnectSession
from broker.domain.model import Secret
from broker.domain.tenancy import WORKSPACE
from broker.domain.urls import origin_of, with_parameters
from broker.errors import BrokerError, Busy, NotFound, OriginRefused
from broker.services.installs.connect_sessions import ConnectFlow
from broker.services.installs.outcomes import Consent, Outcome
from broker.web.core.cookies import Cookie, check_same_origin
from broker.web.core.middleware import LOG_FIELDS, REQUEST_ID, problem
from broker.web.core.openapi import public
from broker.web.core.pages import Pages
from broker.web.core.requests import (
    path_provider,
    path_slug,
    prefers_json,
    read_body,
    read_form,
)
from broker.web.core.wording import explain, label_of


class OAuthCallback:
    """`/{provider}/{slug}-{UUID}/callback`."""

    def __init__(self, connecting: ConnectFlow, pages: Pages, cookie: Cookie) -> None:
        """`cookie` is what a browser that begins on our own page carries."""
        self._connecting = connecting
        self._pages = pages
        self._cookie = cookie

    @public(answers={200: None, 303: None}, tags=("Install links",))
    async def callback(self, request: web.Request) -> web.Response:
        """Receive the provider's redirect; end at the product, on a page, or with JSON."""
        try:
            slug, workspace_id = path_slug(request), UUID(request.match_info["workspace"])
            WORKSPACE.set(workspace_id)
            consent = _consent(request, self._cookie.read(request))
            outcome, session = await self._connecting.finish(
                path_provider(request) or "", workspace_id, slug, consent
            )
        except ValueError:
            return refused(request, self._pages, NotFound())
        except (NotFound, Busy) as refusal:
            return refused(request, self._pages, refusal)
        request[LOG_FIELDS].update(app=outcome.app.slug, outcome=outcome.state)
        if prefers_json(request):
            return _as_json(request, outcome)
        if outcome.state == "choose-account":
            return self._to_choice(request, outcome)
        return self._onwards(request, outcome, session)

    @public(answers={200: None, 303: None}, tags=("Install links",))
    async def choose(self, request: web.Request) -> web.Response:
        """Receive the account that a user chose, if one consent brought several."""
        try:
            check_same_origin(request, self._pages.origin, needs_proof=False)
            form = read_form(await read_body(request, 8192))
            workspace_id = UUID(request.match_info["workspace"])
            WORKSPACE.set(workspace_id)
            outcome, session = await self._connecting.choose(
                path_provider(request) or "",
                workspace_id,
                Secret(form.get("code", "")),
                form.get("accountId", ""),
            )
        except ValueError:
            return refused(request, self._pages, NotFound())
        except BrokerError as refusal:
            return refused(request, self._pages, refusal)
        request[LOG_FIELDS].update(app=outcome.app.slug, outcome=outcome.state)
        if prefers_json(request):
            return _as_json(request, outcome)
        return self._onwards(request, outcome, session)

    def _onwards(
        self, request: web.Request, outcome: Outcome, session: ConnectSession | None
    ) -> web.Response:
        """Where the browser goes next."""
        if session is not None and _ends_with_us(session, outcome):
            return self._to_end(session, outcome)
        if outcome.state == "unclaimed":
            return self._to_claim(outcome)
        page = outcome.provider_page
        if outcome.state == "on-the-way":
            return _redirect(outcome.return_url or "", {"returnUrl": page or ""}, "", None)
        if outcome.state == "connected" and page is not None:
            return _redirect(page, {}, "", None)
        if outcome.return_url is not None:
            return _back_to_product(outcome, outcome.return_url)
        return self._as_page(request, outcome)

    def _to_end(self, session: ConnectSession, outcome: Outcome) -> web.Response:
        """303 to a page that holds neither code nor state, and can be shown again."""
        ended = f"{self._pages.root}/connect/ended/{session.app.workspace_id}/{session.id}"
        return _redirect(ended, {}, "confirm", outcome.code)

    def _to_choice(self, request: web.Request, outcome: Outcome) -> web.Response:
        """A page on which the user chooses the account."""
        leads_to = ["'self'"]
        if outcome.return_url is not None:
            leads_to.append(origin_of(outcome.return_url))
        return self._pages.page(
            "pages/accounts.html",
            posts_to=" ".join(leads_to),
            product=outcome.app.display_name or outcome.app.slug,
            action=f"{self._pages.root}{request.path.removesuffix('callback')}account",
            code=outcome.code.reveal() if outcome.code else "",
            accounts=outcome.accounts,
        )

    def _to_claim(self, outcome: Outcome) -> web.Response:
        code, page = outcome.code, outcome.provider_page or ""
        if outcome.app.return_urls:
            parameters = {"status": "unclaimed", "returnUrl": page}
            return _redirect(outcome.app.return_urls[0], parameters, "claim", code)
        return self._pages.page(
            "pages/waiting.html",
            title="One more step",
            explanation=f"{label_of(outcome.app.provider)} is installed, but not yet linked to a "
            "user of the product. Sign in to the product and enter this code there.",
            code=code.reveal() if code else "",
            label=label_of(outcome.app.provider),
            provider_page=page,
        )

    def _as_page(self, request: web.Request, outcome: Outcome) -> web.Response:
        if outcome.code is not None:
            other = explain("portal-mismatch", outcome.app.provider)
            return self._pages.page(
                "pages/waiting.html",
                status=409 if outcome.refusal else 200,
                title="One more step",
                explanation=f"{other.explanation} {other.next_step}"
                if outcome.refusal
                else "The connection waits for the product to confirm that it is yours. Enter this "
                "code there within ten minutes.",
                code=outcome.code.reveal(),
                label="",
                provider_page=None,
            )
        if outcome.refusal is not None:
            return refused(request, self._pages, outcome.refusal)
        return self._pages.page("pages/connected.html", label=label_of(outcome.app.provider))


def _ends_with_us(session: ConnectSession, outcome: Outcome) -> bool:
    """Whether a popup has to report to its opener, or there is no return URL."""
    if outcome.return_url is None:
        return outcome.code is None
    return session.origin is not None


def _consent(request: web.Request, browser: Secret | None) -> Consent:
    query = request.query
    return Consent({name: query[name] for name in query if len(query.getall(name)) == 1}, browser)


def _as_json(request: web.Request, outcome: Outcome) -> web.Response:
    if outcome.refusal is not None and outcome.code is None:
        return problem(request, outcome.refusal)
    messages = {
        "connected": "User Registered",
        "pending": "Confirmation Required",
        "portal-mismatch": "Confirmation Required",
        "unclaimed": "Install Unclaimed",
        "choose-account": "Account Choice Required",
        "on-the-way": "Sign In First",
    }
    fields = {
        "message": messages.get(outcome.state),
        "userForeignIdentifier": outcome.user_ref,
        "confirm" if outcome.state != "unclaimed" else "claim": outcome.code
        and outcome.code.reveal(),
        "returnUrl": outcome.provider_page,
        "installUrl": outcome.return_url if outcome.state == "on-the-way" else None,
        "accounts": [
            {"accountId": each.account_id, "accountName": each.account_name}
            for each in outcome.accounts
        ]
        or None,
        "code": "portal-mismatch" if outcome.state == "portal-mismatch" else None,
    }
    return web.json_response({name: value for name, value in fields.items() if value is not None})


def _back_to_product(outcome: Outcome, return_url: str) -> web.Response:
    """303 to the product. A code travels in the fragment, which no server and no log sees."""
    parameters = {"status": outcome.state}
    if outcome.refusal is not None:
        parameters = {"status": "error", "code": outcome.refusal.code}
    if outcome.user_ref is not None:
        parameters["userForeignIdentifier"] = outcome.user_ref
    return _redirect(return_url, parameters, "confirm", outcome.code)


def refused(
    request: web.Request, pages: Pages, refusal: BrokerError, provider: str | None = None
) -> web.Response:
    """A refusal in plain words with a next step, or as a problem document for a program.
    `provider`: whose it is, where the address does not say so.
    """
    if prefers_json(request):
        return problem(request, refusal)
    explained = explain(refusal.code, provider or path_provider(request))
    response = pages.page(
        "pages/refused.html",
        status=refusal.status,
        explained=explained,
        # For the product's developer: it names the origin that is not registered.
        hint=refusal.detail if isinstance(refusal, OriginRefused) else None,
        code=refusal.code,
        request_id=request[REQUEST_ID],
    )
    response.headers["Broker-Error"] = refusal.code
    return response


def _redirect(url: str, parameters: dict[str, str], name: str, code: Secret | None) -> web.Response:
    """303, with a code in the fragment, which no server and no log sees."""
    fragment = f"{name}={quote(code.reveal())}" if code else None
    location = with_parameters(url, parameters, fragment)
    return web.Response(status=303, headers={"Location": location})

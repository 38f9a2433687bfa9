"""A user's browser coming back from HubSpot: the callback."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit
from uuid import UUID

from aiohttp import web

from broker.errors import BrokerError, NotFound
from broker.model import Secret
from broker.services.installs import Consent, Installs, Outcome
from broker.web.middleware import FACTS, REQUEST_ID, problem
from broker.web.openapi import described
from broker.web.pages import page
from broker.web.parsing import prefers_json, slug_of

WORDS = {
    "consent-denied": (
        "You did not allow the connection at HubSpot.",
        "If that was not what you meant, open the link again.",
    ),
    "invalid-request": (
        "This link is not complete, or not one of ours.",
        "Start again from the product that you wanted to connect.",
    ),
    "link-used": (
        "This link has been used already; each link works once.",
        "If HubSpot is not connected yet, start again from the product.",
    ),
    "link-expired": (
        "This link is more than an hour old.",
        "Start again from the product that you wanted to connect.",
    ),
    "scopes-missing": (
        "HubSpot granted less than the product needs.",
        "Ask somebody with the rights of a super admin in your HubSpot account to connect it.",
    ),
    "exchange-failed": (
        "HubSpot did not accept this answer any more.",
        "Start again from the product that you wanted to connect.",
    ),
    "portal-mismatch": (
        "You chose another HubSpot account than the one that is connected now.",
        "The connected account goes on serving. Go back to the product to confirm the change.",
    ),
    "hubspot-unavailable": (
        "HubSpot could not be reached just now.",
        "Open the same link again in a minute.",
    ),
    "hubspot-timeout": (
        "HubSpot did not answer in time.",
        "Open the same link again in a minute.",
    ),
    "app-not-found": (
        "There is nothing at this address.",
        "Start again from the product that you wanted to connect.",
    ),
    "not-found": (
        "There is nothing at this address.",
        "Start again from the product that you wanted to connect.",
    ),
}
"""What a refusal means to the person who sees it, and what to do next."""


class InstallPages:
    """`/hubspot/{slug}-{UUID}/callback`."""

    def __init__(self, installs: Installs) -> None:
        self._installs = installs

    @described(public=True, answers={200: None, 303: None}, tags=("Install links",))
    async def callback(self, request: web.Request) -> web.Response:
        """Take what HubSpot's redirect brought; end at the product, at a page, or with JSON."""
        try:
            slug, workspace_id = slug_of(request), UUID(request.match_info["workspace"])
            outcome = await self._installs.finish(workspace_id, slug, _consent(request))
        except (NotFound, ValueError) as missing:
            refusal = missing if isinstance(missing, NotFound) else NotFound()
            return _refused(request, refusal)
        request[FACTS].update(app=outcome.app.slug, outcome=outcome.state)
        if prefers_json(request):
            return _as_json(request, outcome)
        if outcome.return_url is not None and outcome.state != "unclaimed":
            return _back_to_product(outcome, outcome.return_url)
        if outcome.state == "unclaimed":
            return _to_claim(outcome)
        return _as_page(request, outcome)


def _consent(request: web.Request) -> Consent:
    def one(name: str) -> str | None:
        values = request.query.getall(name, [])
        return values[0] if len(values) == 1 and values[0] else None

    state, code = one("state"), one("code")
    return Consent(
        None if state is None else Secret(state),
        None if code is None else Secret(code),
        "error" in request.query,
        one("returnUrl"),
    )


def _as_json(request: web.Request, outcome: Outcome) -> web.Response:
    if outcome.refusal is not None and outcome.code is None:
        return problem(request, outcome.refusal)
    message = {
        "connected": "User Registered",
        "pending": "Confirmation Required",
        "portal-mismatch": "Confirmation Required",
        "unclaimed": "Install Unclaimed",
    }[outcome.state]
    said = {
        "message": message,
        "userForeignIdentifier": outcome.user_ref,
        "confirm" if outcome.state != "unclaimed" else "claim": outcome.code
        and outcome.code.reveal(),
        "returnUrl": outcome.return_url if outcome.state == "unclaimed" else None,
        "code": "portal-mismatch" if outcome.state == "portal-mismatch" else None,
    }
    return web.json_response({name: value for name, value in said.items() if value is not None})


def _back_to_product(outcome: Outcome, return_url: str) -> web.Response:
    """303 to the product. A code travels in the fragment, which no server and no log sees."""
    said = {"status": outcome.state}
    if outcome.refusal is not None:
        said = {"status": "error", "code": outcome.refusal.code}
    if outcome.user_ref is not None:
        said["userForeignIdentifier"] = outcome.user_ref
    return _redirect(return_url, said, "confirm", outcome.code)


def _to_claim(outcome: Outcome) -> web.Response:
    code, hubspot_page = outcome.code, outcome.return_url or ""
    if outcome.app.return_urls:
        said = {"status": "unclaimed", "returnUrl": hubspot_page}
        return _redirect(outcome.app.return_urls[0], said, "claim", code)
    return page(
        "waiting.html",
        title="One more step",
        explanation="HubSpot is installed, but not yet linked to a user of the product. Sign in to "
        "the product and enter this code there.",
        code=code.reveal() if code else "",
        hubspot_page=hubspot_page,
    )


def _as_page(request: web.Request, outcome: Outcome) -> web.Response:
    if outcome.code is not None:
        return page(
            "waiting.html",
            status=409 if outcome.refusal else 200,
            title="One more step",
            explanation=WORDS["portal-mismatch"][0]
            if outcome.refusal
            else "The connection waits for the product to confirm that it is yours. Enter this "
            "code there within ten minutes.",
            code=outcome.code.reveal(),
            hubspot_page=None,
        )
    if outcome.refusal is not None:
        return _refused(request, outcome.refusal)
    return page("connected.html")


def _refused(request: web.Request, refusal: BrokerError) -> web.Response:
    if prefers_json(request):
        return problem(request, refusal)
    explanation, next_step = WORDS.get(
        refusal.code, ("Something went wrong on our side.", "Open the link again in a minute.")
    )
    response = page(
        "refused.html",
        status=refusal.status,
        explanation=explanation,
        next_step=next_step,
        code=refusal.code,
        request_id=request[REQUEST_ID],
    )
    response.headers["Broker-Error"] = refusal.code
    return response


def _redirect(url: str, said: dict[str, str], name: str, code: Secret | None) -> web.Response:
    parts = urlsplit(url)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *said.items()])
    fragment = f"{name}={quote(code.reveal())}" if code else ""
    location = urlunsplit((parts.scheme, parts.netloc, parts.path, query, fragment))
    return web.Response(status=303, headers={"Location": location})

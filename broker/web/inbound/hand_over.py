"""Consent that brings keys: the browser that begins, and the keys that come apart from it."""

from uuid import UUID

from aiohttp import web

from broker.domain.model import Secret
from broker.domain.tenancy import WORKSPACE
from broker.errors import BrokerError, InvalidRequest, NotFound
from broker.services.installs.hand_over import HandOvers
from broker.services.installs.oauth_flow import LINK_LIFETIME
from broker.web.core.cookies import Cookie
from broker.web.core.middleware import LOG_FIELDS
from broker.web.core.openapi import public, self_authenticating
from broker.web.core.pages import Pages
from broker.web.core.requests import path_provider, path_slug
from broker.web.core.unproved import read_unproved
from broker.web.inbound.oauth_callback import refused

KEYS_BYTES = 4_096

COOKIE_MAX_AGE_S = int(LINK_LIFETIME.total_seconds())


class HandOverHandlers:
    """`/{provider}/{slug}-{UUID}/start` and `.../keys`."""

    def __init__(self, hand_overs: HandOvers, pages: Pages, cookie: Cookie) -> None:
        """`cookie` is what a browser that begins here carries."""
        self._hand_overs = hand_overs
        self._pages = pages
        self._cookie = cookie

    @public(answers={303: None}, tags=("Install links",))
    async def start(self, request: web.Request) -> web.Response:
        """Open an install link: bind it to this browser, and continue to the consent page."""
        state = request.query.getall("state", [])
        try:
            workspace_id, slug = _app(request)
            if len(state) != 1 or not state[0]:
                raise InvalidRequest("Missing state parameter.")
            url, browser = await self._hand_overs.open(
                path_provider(request) or "",
                workspace_id,
                slug,
                Secret(state[0]),
                self._cookie.read(request),
            )
        except BrokerError as refusal:
            return refused(request, self._pages, refusal)
        request[LOG_FIELDS]["app"] = slug
        response = web.Response(status=303, headers={"Location": url})
        self._cookie.set(response, browser, COOKIE_MAX_AGE_S)
        return response

    @self_authenticating(answers={200: None}, tags=("Install links",))
    async def keys(self, request: web.Request) -> web.Response:
        """Receive the keys that consent produced, for a link that a browser has opened.

        They are unsigned, and used only once that browser comes back and they have been proved.
        """
        workspace_id, slug = _app(request)
        body = await read_unproved(request, KEYS_BYTES)
        await self._hand_overs.receive(path_provider(request) or "", workspace_id, slug, body)
        request[LOG_FIELDS]["app"] = slug
        return web.Response(status=200)


def _app(request: web.Request) -> tuple[UUID, str]:
    """Workspace and slug in the path. Raises NotFound."""
    try:
        workspace_id = UUID(request.match_info["workspace"])
    except ValueError:
        raise NotFound from None
    WORKSPACE.set(workspace_id)
    return workspace_id, path_slug(request)

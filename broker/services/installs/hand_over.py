"""Consent that brings keys: the provider sends them to the broker, apart from the browser.

What the provider sends is unproved, for whoever knows the link's state can send it. So a link is
opened here first, which binds it to a browser; the first keys that come for it then wait, sealed;
and only the callback in that browser has them proved at the account of the link and used. One
without the other is nothing.
"""

import secrets
from collections.abc import Mapping
from uuid import UUID

from broker.domain.model import App, Secret
from broker.errors import AppNotFound
from broker.providers.base import Provider
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Apps
from broker.stores.connections.links import Links


class HandOvers:
    """Links that are opened here, and the keys that come for them."""

    def __init__(
        self, apps: Apps, links: Links, installs: Installs, providers: Mapping[str, Provider]
    ) -> None:
        self._apps = apps
        self._links = links
        self._installs = installs
        self._providers = providers

    async def open(
        self, provider: str, workspace_id: UUID, slug: str, state: Secret, browser: Secret | None
    ) -> tuple[str, Secret]:
        """Bind a link to a browser: where the user consents, and what the browser must carry back.

        Raises AppNotFound, InvalidRequest, LinkUsed, LinkExpired.
        """
        app = await self._app(provider, workspace_id, slug)
        browser = browser or Secret(secrets.token_urlsafe(32))
        link = await self._links.bind(app, state, browser)
        return self._installs.consent_url(link, state), browser

    async def receive(self, provider: str, workspace_id: UUID, slug: str, body: bytes) -> None:
        """Keep what a provider sent for a link. Raises AppNotFound, InvalidRequest, LinkUsed for
        all but the first, LinkExpired, and OtherBrowser where no browser has opened the link.
        """
        app = await self._app(provider, workspace_id, slug)
        handed_over = self._providers[app.provider].read_hand_over(body)
        await self._links.store_credentials(app, handed_over.state, handed_over.credentials)

    async def _app(self, provider: str, workspace_id: UUID, slug: str) -> App:
        app = await self._apps.get(workspace_id, slug)
        if app.provider != provider or not self._providers[provider].spec.hands_over_keys:
            raise AppNotFound
        return app

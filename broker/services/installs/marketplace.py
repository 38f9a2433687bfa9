"""Installs that begin at the provider: a sign-in to the product first, or a claim afterwards."""

import secrets
import time
from contextlib import suppress
from datetime import timedelta

from broker.domain.model import App, Secret
from broker.errors import BrokerError, Busy, InstallNotStored, InvalidRequest
from broker.providers.values import Callback, Exchange
from broker.services.grants.revocations import Revoker
from broker.services.grants.storing import store_tokens
from broker.services.installs.exchange import CodeExchange
from broker.services.installs.outcomes import Outcome
from broker.services.installs.pacing import Pacer
from broker.stores.connections.pending_grants import PendingGrants

CLAIM_LIFETIME = timedelta(days=7)

UNPROVED_PER_SECOND = 5
"""Exchanges of codes without a state, for one app: whoever knows its address can cause them."""


class MarketplaceInstalls:
    """Visits to the callback that no link of the broker's led to."""

    def __init__(
        self, exchange: CodeExchange, pending_grants: PendingGrants, revoker: Revoker
    ) -> None:
        self._exchange = exchange
        self._pending_grants = pending_grants
        self._revoker = revoker
        self._pacer = Pacer(UNPROVED_PER_SECOND)

    async def finish(self, app: App, callback: Callback, redirect_url: str) -> Outcome:
        """What becomes of the visit. Raises InvalidRequest, Busy, and as `CodeExchange`."""
        if callback.page is not None and callback.needs_sign_in:
            return self._to_sign_in(app, callback.page)
        if callback.page is not None and callback.code is not None:
            return await self._store(app, callback, callback.code, callback.page, redirect_url)
        raise InvalidRequest("Missing state parameter.")

    def _to_sign_in(self, app: App, page: str) -> Outcome:
        """The provider sends a user who has yet to sign in to the product, which then makes a
        link for that user.
        """
        if app.install_url is None:
            raise InvalidRequest("The app has no install URL, where users sign in to the product.")
        return Outcome("on-the-way", app, return_url=app.install_url, provider_page=page)

    async def _store(
        self, app: App, callback: Callback, code: Secret, page: str, redirect_url: str
    ) -> Outcome:
        if not app.marketplace:
            raise InvalidRequest(
                "Missing state parameter; installs from a marketplace are off for this app."
            )
        if not self._pacer.admits(app.id, time.monotonic()):
            raise Busy(
                "Too many installs without a state at once; open the link again in a minute.",
                retry_after=60,
            )
        request = Exchange(code, redirect_url, None, callback.query, {})
        tokens, (account, *_) = await self._exchange.exchange(app, request)
        claim = Secret(secrets.token_urlsafe(32))
        try:
            await store_tokens(
                lambda: self._pending_grants.store_unclaimed(
                    app, tokens, account, claim, CLAIM_LIFETIME, page
                )
            )
        except Busy as busy:
            with suppress(BrokerError):
                await self._revoker.revoke_orphan(app, tokens)
            raise InstallNotStored from busy
        return Outcome("unclaimed", app, code=claim, provider_page=page)

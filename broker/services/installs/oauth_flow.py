"""From an install link to a connection."""

import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from broker.domain.browser_sessions import ConnectSession, InstallLink
from broker.domain.model import (
    Account,
    App,
    Caller,
    Confirm,
    ProxyCall,
    Secret,
    Tokens,
)
from broker.errors import (
    AppNotFound,
    BrokerError,
    Busy,
    ConsentDenied,
    CredentialsRefused,
    ExchangeFailed,
    InstallNotStored,
    InvalidRequest,
    OtherBrowser,
    PortalMismatch,
    ProviderTimeout,
    ProviderUnavailable,
    ReauthRequired,
    ScopesMissing,
    wrong_field,
)
from broker.providers.base import Callback, ConsentRequest, Exchange, Provider
from broker.providers.oauth import GrantEnded, new_verifier
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.revocations import Revoker
from broker.services.grants.storing import store_tokens
from broker.services.installs.pacing import Pacer
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.stores.connections.installs import Links, PendingGrants, hash_of

log = logging.getLogger(__name__)

LINK_LIFETIME = timedelta(minutes=60)
CONFIRM_LIFETIME = timedelta(minutes=10)
CLAIM_LIFETIME = timedelta(days=7)

UNPROVED_PER_SECOND = 5
"""Exchanges of codes without a state, for one app: whoever knows its address can ask for them."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a provider's redirect brought: its query, and the cookie of the browser."""

    query: Mapping[str, str]
    browser: Secret | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a visit to the callback.

    `state` is connected, pending, portal-mismatch, unclaimed, refused, or on-the-way: the provider
    wants the user to sign in to the product first, at `return_url`. `code` is to be presented with
    an API key where one is set. `provider_page` is where the provider wants the browser back.
    """

    state: str
    app: App
    user_ref: str | None = None
    return_url: str | None = None
    code: Secret | None = None
    refusal: BrokerError | None = None
    session_id: UUID | None = None
    provider_page: str | None = None


class Installs:
    """Users of apps on their way to a connection."""

    def __init__(
        self,
        apps: Apps,
        links: Links,
        pending_grants: PendingGrants,
        connections: Connections,
        revoker: Revoker,
        providers: Mapping[str, Provider],
        public_url: str,
    ) -> None:
        self._apps = apps
        self._links = links
        self._pending_grants = pending_grants
        self._connections = connections
        self._revoker = revoker
        self._providers = providers
        self._public_url = public_url
        self._pacer = Pacer(UNPROVED_PER_SECOND)
        self._reconnects: TtlCache[tuple[UUID, str, str], str] = TtlCache(self._reconnect_url)

    def redirect_url(self, app: App) -> str:
        """What to paste into the provider's settings of the app as its redirect URL."""
        return f"{self._public_url}/{app.provider}/{app.slug}-{app.workspace_id}/callback"

    def webhook_url(self, app: App) -> str:
        """What to paste into the provider's settings of the app as its webhook target."""
        return f"{self._public_url}/{app.provider}/{app.slug}-{app.workspace_id}/webhooks"

    async def begin(
        self,
        app: App,
        user_ref: str,
        return_url: str | None = None,
        scopes: tuple[str, ...] | None = None,
        session: ConnectSession | None = None,
        browser: Secret | None = None,
        options: Mapping[str, str] | None = None,
    ) -> str:
        """A URL at the provider where the user consents, once, within the hour; with `browser` only
        the browser that carries it can come back. `options` are the provider's own of a link.

        Raises InvalidRequest for a return URL that is not one of the app's, a scope that is not, or
        options that the provider does not accept.
        """
        check_return_url(app, return_url)
        known = {*app.scopes, *app.optional_scopes}
        if scopes is not None and (not scopes or not known.issuperset(scopes)):
            raise wrong_field("scope", "contains scopes that the app does not have")
        provider = self._providers[app.provider]
        link_options = provider.check_link(app, options or {})
        requested = app.scopes if scopes is None else scopes
        state = Secret(secrets.token_urlsafe(32))
        verifier = new_verifier() if provider.uses_pkce(app, link_options) else None
        await self._links.create(
            InstallLink(
                app,
                user_ref,
                requested,
                verifier,
                return_url,
                None if session is None else session.id,
                None if browser is None else hash_of(browser),
                link_options,
            ),
            state,
            LINK_LIFETIME,
        )
        return provider.authorize_url(
            app,
            ConsentRequest(self.redirect_url(app), requested, state, verifier, link_options),
        )

    async def finish(
        self, provider_name: str, workspace_id: UUID, slug: str, consent: Consent
    ) -> Outcome:
        """Turn what a provider's redirect brought into a connection.

        A state works once: the second visitor with the same one is refused with LinkUsed, so a
        replayed callback cannot replace a grant. Refusals are part of the outcome, with the return
        URL where one is known; only AppNotFound (for another provider's app too) and Busy before
        the code was exchanged are raised.
        """
        app = await self._apps.get(workspace_id, slug)
        if app.provider != provider_name:
            raise AppNotFound
        try:
            callback = self._providers[app.provider].read_callback(consent.query)
        except BrokerError as refusal:
            return Outcome("refused", app, refusal=refusal)
        if callback.state is None:
            return await self._without_state(app, callback)
        link = await self._links.find(app, callback.state)
        if link is not None and not _same_browser(link, consent.browser):
            return Outcome("refused", app, refusal=OtherBrowser())
        try:
            if link is not None and callback.error is not None:
                raise self._consent_error(app, callback.error)
            if callback.code is None:
                raise InvalidRequest("The provider's redirect contains neither code nor error.")
            link = await self._links.use(app, callback.state)
            outcome = await self._connect(link, callback.state, callback.code, callback)
        except BrokerError as refusal:
            if isinstance(refusal, Busy) and not isinstance(refusal, InstallNotStored):
                raise
            outcome = Outcome("refused", app, refusal=refusal)
        if link is None:
            return outcome
        return replace(
            outcome,
            user_ref=link.user_ref,
            return_url=link.return_url,
            session_id=link.session_id,
            provider_page=callback.page,
        )

    def _consent_error(self, app: App, error: str) -> BrokerError:
        if error in {"temporarily_unavailable", "server_error"}:
            return self._providers[app.provider].failures.unavailable(
                f"{self._label(app)} could not ask for consent just now."
            )
        return ConsentDenied()

    async def _without_state(self, app: App, callback: Callback) -> Outcome:
        """A visit that no link of the broker's led to: an install that begins at the provider."""
        try:
            if callback.page is not None and callback.wants_sign_in:
                return self._to_sign_in(app, callback.page)
            if callback.page is not None and callback.code is not None:
                return await self._store_marketplace_install(
                    app, callback, callback.code, callback.page
                )
            raise InvalidRequest("Missing state parameter.")
        except BrokerError as refusal:
            return Outcome("refused", app, refusal=refusal)

    def _to_sign_in(self, app: App, page: str) -> Outcome:
        """The provider sends a user who has yet to sign in to the product, which then makes a
        link for that user.
        """
        if app.install_url is None:
            raise InvalidRequest("The app has no install URL, where users sign in to the product.")
        return Outcome("on-the-way", app, return_url=app.install_url, provider_page=page)

    async def _connect(
        self, link: InstallLink, state: Secret, code: Secret, callback: Callback
    ) -> Outcome:
        app = link.app
        request = Exchange(
            code, self.redirect_url(app), link.verifier, callback.query, link.options
        )
        try:
            tokens, account = await self._exchange(app, request)
        except (ProviderUnavailable, ProviderTimeout):
            # The code may be unspent; the same link can be opened again.
            try:
                await self._links.reopen(app, state)
            except Busy as busy:
                raise InstallNotStored from busy
            raise
        if missing := set(link.scopes) - set(account.scopes) if account.scopes else set():
            await self._revoker.revoke_orphan(app, tokens)
            raise ScopesMissing(f"{self._label(app)} did not grant {', '.join(sorted(missing))}.")
        try:
            return await store_tokens(lambda: self._store(link, tokens, account))
        except Busy as busy:
            # The code is spent, so the link cannot be opened again; and the grant must not stay.
            log.warning("install_not_stored", extra={"app": app.slug})
            with suppress(BrokerError):
                await self._revoker.revoke_orphan(app, tokens)
            raise InstallNotStored from busy

    async def _store(self, link: InstallLink, tokens: Tokens, account: Account) -> Outcome:
        app = link.app
        async with self._connections.lock_user(app, link.user_ref) as locked:
            present = locked.connection.account_id
            reason = None
            if present is not None and present != account.account_id:
                reason = "portal-mismatch"
            elif app.confirm is Confirm.REQUIRED:
                reason = "confirm"
            if reason is None:
                await locked.connect(link.user_ref, tokens, account, "install")
                return Outcome("connected", app)
            code = Secret(secrets.token_urlsafe(32))
            await self._pending_grants.store(
                locked, reason, tokens, account, code, CONFIRM_LIFETIME, link.return_url
            )
        if reason == "confirm":
            return Outcome("pending", app, code=code)
        return Outcome(reason, app, code=code, refusal=PortalMismatch())

    async def _exchange(self, app: App, request: Exchange) -> tuple[Tokens, Account]:
        provider = self._providers[app.provider]
        try:
            tokens = await provider.exchange(app, request)
        except GrantEnded as ended:
            raise ExchangeFailed(
                f"{self._label(app)} did not accept the authorization code."
            ) from ended
        except CredentialsRefused:
            log.warning("app_credentials_refused", extra={"app": app.slug})
            await self._apps.flag_credentials(app.workspace_id, app.id)
            raise
        try:
            account = await provider.identify(app, tokens)
        except (ProviderUnavailable, ProviderTimeout):
            # The code is spent: a grant that names its account is worth more than the rest.
            account = tokens.account
        if account is None:
            await self._revoker.revoke_orphan(app, tokens)
            raise ExchangeFailed(f"{self._label(app)} returned no account for the grant.")
        return tokens, replace(account, scopes=account.scopes or tokens.scopes)

    async def _store_marketplace_install(
        self, app: App, callback: Callback, code: Secret, page: str
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
        request = Exchange(code, self.redirect_url(app), None, callback.query, {})
        tokens, account = await self._exchange(app, request)
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

    def _label(self, app: App) -> str:
        return self._providers[app.provider].spec.label

    async def with_reconnect_url(
        self, refusal: ReauthRequired, caller: Caller, call: ProxyCall
    ) -> ReauthRequired:
        """The refusal with a fresh `reconnectUrl`, when the key may mint links."""
        if not caller.has_scope("connect"):
            return refusal
        url = await self._reconnects.get((caller.workspace_id, call.app_slug, call.user_ref))
        return ReauthRequired(refusal.detail, reconnectUrl=url)

    async def _reconnect_url(self, key: tuple[UUID, str, str]) -> str:
        workspace_id, slug, user_ref = key
        return await self.begin(await self._apps.get(workspace_id, slug), user_ref)


def check_return_url(app: App, return_url: str | None) -> None:
    """Raise InvalidRequest unless the return URL is one of the app's, exactly."""
    if return_url is not None and return_url not in app.return_urls:
        raise wrong_field("returnUrl", "is not one of the app's return URLs")


def _same_browser(link: InstallLink, browser: Secret | None) -> bool:
    if link.browser_hash is None:
        return True
    return browser is not None and hmac.compare_digest(link.browser_hash, hash_of(browser))

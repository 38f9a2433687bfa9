"""From an install link to a connection."""

import hmac
import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from broker.domain.browser_sessions import ConnectSession, InstallLink
from broker.domain.grants import Account, Tokens, tokens_for
from broker.domain.model import App, Caller, ProxyCall, Secret
from broker.domain.urls import with_parameters
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
    ProviderTimeout,
    ProviderUnavailable,
    ReauthRequired,
    ScopesMissing,
    wrong_field,
)
from broker.providers.base import Provider
from broker.providers.oauth import new_verifier
from broker.providers.values import Callback, ConsentRequest, Exchange
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.revocations import Revoker
from broker.services.grants.storing import store_tokens
from broker.services.installs.exchange import CodeExchange
from broker.services.installs.marketplace import MarketplaceInstalls
from broker.services.installs.outcomes import Consent, Outcome
from broker.services.installs.stored_installs import InstallStore
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.stores.connections.handles import hash_of
from broker.stores.connections.links import Links
from broker.stores.connections.pending_grants import PendingGrants

log = logging.getLogger(__name__)

LINK_LIFETIME = timedelta(minutes=60)


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
        self._connections = connections
        self._revoker = revoker
        self._providers = providers
        self._public_url = public_url
        self._kept = InstallStore(connections, pending_grants)
        self._exchange = CodeExchange(apps, revoker, providers)
        self._marketplace = MarketplaceInstalls(self._exchange, pending_grants, revoker)
        self._reconnects: TtlCache[tuple[UUID, str, str], str] = TtlCache(self._reconnect_url)

    def redirect_url(self, app: App) -> str:
        """What to paste into the provider's settings of the app as its redirect URL."""
        return self._url(app, "callback")

    def webhook_url(self, app: App) -> str | None:
        """What to paste into the provider's settings of the app as its webhook target; None where
        the provider has no webhooks.
        """
        has_webhooks = self._providers[app.provider].spec.webhooks is not None
        return self._url(app, "webhooks") if has_webhooks else None

    def _url(self, app: App, what: str) -> str:
        return f"{self._public_url}/{app.provider}/{app.slug}-{app.workspace_id}/{what}"

    def check_link(self, app: App, options: Mapping[str, str]) -> Mapping[str, str]:
        """The options of an install link as they are stored. Raises InvalidRequest."""
        return self._providers[app.provider].check_link(app, options)

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
        the browser that carries it can come back. `options` are the provider's own of a link. Where
        the provider hands over keys, a browser has to open the link here first.

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
        link = InstallLink(
            app,
            user_ref,
            requested,
            verifier,
            return_url,
            None if session is None else session.id,
            None if browser is None else hash_of(browser),
            link_options,
        )
        await self._links.create(link, state, LINK_LIFETIME)
        if provider.spec.hands_over_keys and browser is None:
            return with_parameters(self._url(app, "start"), {"state": state.reveal()})
        return self.consent_url(link, state)

    def consent_url(self, link: InstallLink, state: Secret) -> str:
        """The provider's page at which the user of a link consents."""
        app = link.app
        request = ConsentRequest(
            self.redirect_url(app),
            self._url(app, "keys"),
            link.scopes,
            state,
            link.verifier,
            link.options,
        )
        return self._providers[app.provider].authorize_url(app, request)

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
            if callback.state is None:
                return await self._marketplace.finish(app, callback, self.redirect_url(app))
        except BrokerError as refusal:
            return Outcome("refused", app, refusal=refusal)
        return await self._finish_link(app, callback, callback.state, consent.browser)

    async def _finish_link(
        self, app: App, callback: Callback, state: Secret, browser: Secret | None
    ) -> Outcome:
        link = await self._links.find(app, state)
        keys = self._providers[app.provider].spec.hands_over_keys
        if link is not None and not _same_browser(link, browser, needed=keys):
            return Outcome("refused", app, refusal=OtherBrowser())
        try:
            if link is not None and callback.error is not None:
                raise self._consent_error(app, callback.error)
            if callback.code is None and not keys:
                raise InvalidRequest("The provider's redirect contains neither code nor error.")
            if link is not None:
                self._providers[app.provider].check_callback(app, callback, link.options)
            link = await self._links.use(app, state, with_credentials=keys)
            outcome = await self._connect(link, state, callback)
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
        """What a provider's error means (RFC 6749 section 4.1.2.1): the provider is unwell, the app
        is wrong, or the user said no.
        """
        label = self._label(app)
        if error in {"temporarily_unavailable", "server_error"}:
            return self._providers[app.provider].failures.unavailable(
                f"{label} could not ask for consent just now."
            )
        refused = f"{label} refuses to ask for consent ({error}): correct the app"
        if error == "unauthorized_client":
            return CredentialsRefused(f"{refused}'s client id.")
        if error in {"invalid_scope", "invalid_request", "unsupported_response_type"}:
            return ExchangeFailed(f"{refused}'s scopes and redirect URL.")
        return ConsentDenied()

    async def _connect(self, link: InstallLink, state: Secret, callback: Callback) -> Outcome:
        app = link.app
        code = link.credentials or callback.code
        assert code is not None  # noqa: S101  # the callback has one, or the link
        request = Exchange(
            code, self.redirect_url(app), link.verifier, callback.query, link.options
        )
        try:
            tokens, accounts = await self._exchange.exchange(app, request)
        except (ProviderUnavailable, ProviderTimeout):
            # The code may be unspent; the same link can be opened again.
            try:
                await self._links.reopen(link, state)
            except Busy as busy:
                raise InstallNotStored from busy
            raise
        if missing := _missing_scopes(link, accounts):
            await self._revoker.revoke_orphan(app, _of_only_account(tokens, accounts))
            raise ScopesMissing(f"{self._label(app)} did not grant {', '.join(sorted(missing))}.")
        # A provider that names no scopes granted those that were requested (RFC 6749 section 5.1).
        accounts = tuple(replace(each, scopes=each.scopes or link.scopes) for each in accounts)
        try:
            return await store_tokens(lambda: self._kept.store(link, tokens, accounts))
        except Busy as busy:
            # The code is spent, so the link cannot be opened again; and the grant must not stay.
            log.warning("install_not_stored", extra={"app": app.slug})
            with suppress(BrokerError):
                await self._revoker.revoke_orphan(app, _of_only_account(tokens, accounts))
            raise InstallNotStored from busy

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
        return await self.begin_again(await self._apps.get(workspace_id, slug), user_ref)

    async def begin_again(self, app: App, user_ref: str) -> str:
        """As `begin`, for a user who connects the same account again. Raises ConnectionNotFound."""
        connection = await self._connections.of_user(app.workspace_id, app.slug, user_ref)
        options = self._providers[app.provider].reconnect_options(connection)
        return await self.begin(app, user_ref, options=options)


def check_return_url(app: App, return_url: str | None) -> None:
    """Raise InvalidRequest unless the return URL is one of the app's, exactly."""
    if return_url is not None and return_url not in app.return_urls:
        sent = return_url.partition("#")[0].partition("?")[0]
        raise wrong_field("returnUrl", f"is not one of the app's return URLs: {sent[:200]}")


def _missing_scopes(link: InstallLink, accounts: Sequence[Account]) -> set[str]:
    granted = accounts[0].scopes
    return set(link.scopes) - set(granted) if granted else set()


def _of_only_account(tokens: Tokens, accounts: Sequence[Account]) -> Tokens:
    if len(accounts) != 1:
        return tokens
    return replace(tokens_for(tokens, accounts[0]), account=accounts[0])


def _same_browser(link: InstallLink, browser: Secret | None, *, needed: bool) -> bool:
    """Whether a browser may finish what a link began; `needed`: one must have begun it."""
    if link.browser_hash is None:
        return not needed
    return browser is not None and hmac.compare_digest(link.browser_hash, hash_of(browser))

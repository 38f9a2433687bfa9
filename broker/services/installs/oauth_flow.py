"""From link to connection: begin and finish."""

import hmac
import logging
import re
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import urlsplit
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
    BrokerError,
    ConsentDenied,
    CredentialsRefused,
    ExchangeFailed,
    HubSpotTimeout,
    HubSpotUnavailable,
    InvalidRequest,
    OtherBrowser,
    PortalMismatch,
    ReauthRequired,
    ScopesMissing,
    wrong_field,
)
from broker.providers.hubspot.client import HubSpot
from broker.providers.hubspot.oauth import GrantEnded, authorize_url, new_verifier
from broker.services.access.ttl_cache import TtlCache
from broker.services.grants.revocations import Revoker
from broker.stores.connections.apps import Apps
from broker.stores.connections.connections import Connections
from broker.stores.connections.installs import Links, PendingGrants, hash_of

log = logging.getLogger(__name__)

LINK_LIFETIME = timedelta(minutes=60)
CONFIRM_LIFETIME = timedelta(minutes=10)
CLAIM_LIFETIME = timedelta(days=7)

HUBSPOT_PAGES = re.compile(r"app(-[a-z]{2}\d)?\.hubspot\.com")
"""Where HubSpot's Marketplace asks to be sent back to; regional hosts carry their data centre."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What HubSpot's redirect brought."""

    state: Secret | None
    code: Secret | None
    denied: bool
    hubspot_return_url: str | None
    browser: Secret | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a visit to the callback. `state` is connected, pending, portal-mismatch,
    unclaimed or refused; `code` must come back from somebody with a key where one is set.
    """

    state: str
    app: App
    user_ref: str | None = None
    return_url: str | None = None
    code: Secret | None = None
    refusal: BrokerError | None = None
    session_id: UUID | None = None


class Installs:
    """Users of apps on their way to a connection."""

    def __init__(
        self,
        apps: Apps,
        links: Links,
        held_grants: PendingGrants,
        connections: Connections,
        revoker: Revoker,
        hubspot: HubSpot,
        public_url: str,
    ) -> None:
        self._apps = apps
        self._links = links
        self._pending_grants = held_grants
        self._connections = connections
        self._revoker = revoker
        self._hubspot = hubspot
        self._public_url = public_url
        self._reconnects: TtlCache[tuple[UUID, str, str], str] = TtlCache(self._reconnect_url)

    def redirect_url(self, app: App) -> str:
        """What to paste into HubSpot as the app's redirect URL."""
        return f"{self._public_url}/hubspot/{app.slug}-{app.workspace_id}/callback"

    def webhook_url(self, app: App) -> str:
        """What to paste into HubSpot as the app's webhook target."""
        return f"{self._public_url}/hubspot/{app.slug}-{app.workspace_id}/webhooks"

    async def begin(
        self,
        app: App,
        user_ref: str,
        return_url: str | None = None,
        scopes: tuple[str, ...] | None = None,
        session: ConnectSession | None = None,
        browser: Secret | None = None,
    ) -> str:
        """A URL at HubSpot where the user consents, once, within the hour; with `browser` only the
        browser that carries it can come back.

        Raises InvalidRequest for a return URL that is not one of the app's, or a scope that is not.
        """
        check_return_url(app, return_url)
        known = {*app.scopes, *app.optional_scopes}
        if scopes is not None and (not scopes or not known.issuperset(scopes)):
            raise wrong_field("scope", "holds scopes that the app does not have")
        asked = app.scopes if scopes is None else scopes
        state = Secret(secrets.token_urlsafe(32))
        verifier = new_verifier() if app.pkce else None
        await self._links.create(
            InstallLink(
                app,
                user_ref,
                asked,
                verifier,
                return_url,
                None if session is None else session.id,
                None if browser is None else hash_of(browser),
            ),
            state,
            LINK_LIFETIME,
        )
        return authorize_url(
            self._hubspot.consent_url, app, self.redirect_url(app), asked, state, verifier
        )

    async def finish(self, workspace_id: UUID, slug: str, consent: Consent) -> Outcome:
        """Turn what HubSpot's redirect brought into a connection.

        A state works once: the second visitor with the same one is refused with LinkUsed, so a
        replayed callback cannot replace somebody's grant. Refusals are part of the outcome, with
        the return URL where one is known; only AppNotFound and Busy are raised.
        """
        app = await self._apps.get(workspace_id, slug)
        if consent.state is None:
            if consent.code is not None and consent.hubspot_return_url is not None:
                return await self._store_marketplace_install(
                    app, consent.code, consent.hubspot_return_url
                )
            return Outcome("refused", app, refusal=InvalidRequest("There is no state."))
        link = await self._links.find(app, consent.state)
        if link is not None and not _same_browser(link, consent.browser):
            return Outcome("refused", app, refusal=OtherBrowser())
        try:
            if link is not None and consent.denied:
                raise ConsentDenied
            if consent.code is None:
                raise InvalidRequest("HubSpot's answer holds neither a code nor an error.")
            link = await self._links.use(app, consent.state)
            outcome = await self._connect(link, consent.state, consent.code)
        except BrokerError as refusal:
            outcome = Outcome("refused", app, refusal=refusal)
        if link is None:
            return outcome
        return replace(
            outcome,
            user_ref=link.user_ref,
            return_url=link.return_url,
            session_id=link.session_id,
        )

    async def _connect(self, link: InstallLink, state: Secret, code: Secret) -> Outcome:
        app = link.app
        try:
            tokens, account = await self._exchange(app, code, link.verifier)
        except (HubSpotUnavailable, HubSpotTimeout):
            await self._links.reopen(app, state)
            raise
        if missing := set(link.scopes) - set(account.scopes) if account.scopes else set():
            await self._revoker.revoke_orphan(app, tokens.refresh_token)
            raise ScopesMissing(f"HubSpot did not grant {', '.join(sorted(missing))}.")
        async with self._connections.lock_user(app, link.user_ref) as held:
            present = held.connection
            reason = None
            if present.hub_id is not None and present.hub_id != account.hub_id:
                reason = "portal-mismatch"
            elif app.confirm is Confirm.REQUIRED:
                reason = "confirm"
            if reason is None:
                await held.connect(link.user_ref, tokens, account, "install")
                return Outcome("connected", app)
            confirmation = Secret(secrets.token_urlsafe(32))
            await self._pending_grants.store(
                held, reason, tokens, account, confirmation, CONFIRM_LIFETIME, link.return_url
            )
        state_word = "pending" if reason == "confirm" else reason
        refusal = PortalMismatch() if reason == "portal-mismatch" else None
        return Outcome(state_word, app, code=confirmation, refusal=refusal)

    async def _exchange(
        self, app: App, code: Secret, verifier: Secret | None
    ) -> tuple[Tokens, Account]:
        try:
            tokens = await self._hubspot.exchange(app, code, self.redirect_url(app), verifier)
        except GrantEnded as ended:
            raise ExchangeFailed("HubSpot did not accept the authorization code.") from ended
        except CredentialsRefused:
            log.warning("app_credentials_refused", extra={"app": app.slug})
            await self._apps.flag_credentials(app.workspace_id, app.id)
            raise
        try:
            account = await self._hubspot.introspect(app, tokens.access_token)
        except (HubSpotUnavailable, HubSpotTimeout):
            # The code is spent: a grant that names its account is worth more than the rest.
            account = None
            if tokens.hub_id is not None:
                account = Account(tokens.hub_id, None, None, ())
        if account is None:
            await self._revoker.revoke_orphan(app, tokens.refresh_token)
            raise ExchangeFailed("HubSpot does not say whose account this is.")
        return tokens, replace(account, scopes=account.scopes or tokens.scopes)

    async def _store_marketplace_install(
        self, app: App, code: Secret, hubspot_return_url: str
    ) -> Outcome:
        try:
            self._check_marketplace_return_url(hubspot_return_url)
            tokens, account = await self._exchange(app, code, None)
        except BrokerError as refusal:
            return Outcome("refused", app, refusal=refusal)
        claim = Secret(secrets.token_urlsafe(32))
        await self._pending_grants.store_unclaimed(
            app, tokens, account, claim, CLAIM_LIFETIME, hubspot_return_url
        )
        return Outcome("unclaimed", app, return_url=hubspot_return_url, code=claim)

    def _check_marketplace_return_url(self, url: str) -> None:
        try:
            page, ours = urlsplit(url), urlsplit(self._hubspot.consent_url)
        except ValueError:
            raise wrong_field("returnUrl", "is not a URL") from None
        at_hubspot = page.scheme == "https" and HUBSPOT_PAGES.fullmatch(page.netloc)
        at_ours = (page.scheme, page.netloc) == (ours.scheme, ours.netloc)
        if not (at_hubspot or at_ours) or not url.isprintable() or "\\" in url:
            raise wrong_field("returnUrl", "is not a page of HubSpot's")

    async def with_reconnect_url(
        self, refusal: ReauthRequired, caller: Caller, call: ProxyCall
    ) -> ReauthRequired:
        """The refusal with a fresh `reconnectUrl`, when the key may mint links."""
        if not caller.has_scope("connect"):
            return refusal
        url = await self._reconnects.get((caller.workspace_id, call.app_slug, call.user_ref))
        return ReauthRequired(refusal.detail, reconnectUrl=url)

    async def _reconnect_url(self, whose: tuple[UUID, str, str]) -> str:
        workspace_id, slug, user_ref = whose
        return await self.begin(await self._apps.get(workspace_id, slug), user_ref)


def check_return_url(app: App, return_url: str | None) -> None:
    """Raise InvalidRequest unless the return URL is one of the app's, exactly."""
    if return_url is not None and return_url not in app.return_urls:
        raise wrong_field("returnUrl", "is not one of the app's return URLs")


def _same_browser(link: InstallLink, browser: Secret | None) -> bool:
    if link.browser_hash is None:
        return True
    return browser is not None and hmac.compare_digest(link.browser_hash, hash_of(browser))

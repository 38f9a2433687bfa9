"""Connecting on the connect page: a session, the browser that begins it, and its outcome."""

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from broker.domain.browser_sessions import ConnectSession
from broker.domain.model import App, Secret
from broker.errors import LinkExpired, LinkUsed, NotFound, OriginRefused
from broker.services.installs.account_choice import AccountChoice
from broker.services.installs.oauth_flow import Installs, check_return_url
from broker.services.installs.outcomes import Consent, Outcome
from broker.stores.access.keys import hash_of
from broker.stores.connections.connect_sessions import ConnectSessions

ORIGIN = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,260}")
"""An origin that may be repeated to a person: nothing else than a scheme, a host and a port."""


@dataclass(frozen=True, slots=True)
class PopupOpener:
    """The page that opened the connect page in a popup, and the nonce that its answer carries."""

    origin: str
    nonce: str


class ConnectFlow:
    """Connect sessions from the product's word to the user's outcome."""

    def __init__(
        self, sessions: ConnectSessions, installs: Installs, choice: AccountChoice
    ) -> None:
        self._sessions = sessions
        self._installs = installs
        self._choice = choice

    async def open(
        self,
        app: App,
        user_ref: str,
        return_url: str | None,
        lifetime: timedelta,
        user_label: str | None = None,
        options: Mapping[str, str] | None = None,
    ) -> tuple[Secret, datetime]:
        """A token for one user's browser; of the options of a link that are missing, the page asks
        for those that the provider lets it ask for.

        Raises InvalidRequest for a return URL not the app's, and for options as a link does.
        """
        check_return_url(app, return_url)
        checked = self._installs.check_link(app, options) if options else {}
        return await self._sessions.create(app, user_ref, return_url, lifetime, user_label, checked)

    async def peek(self, token: Secret, browser: Secret | None) -> ConnectSession:
        """What a token stands for; looking uses nothing up.

        Raises NotFound, LinkUsed (connected, or begun by another browser) or LinkExpired.
        """
        session = await self._sessions.find(token)
        if session is None:
            raise NotFound
        if session.ended or not _free_for(session, browser):
            raise LinkUsed
        if session.expired:
            raise LinkExpired
        return session

    async def begin(
        self,
        token: Secret,
        browser: Secret | None,
        opener: PopupOpener | None,
        answers: Mapping[str, str],
    ) -> tuple[str, Secret]:
        """Take a session for a browser: where it consents, and what it must carry back. `answers`
        are the user's, to what the page asked.

        Raises as `peek` does, OriginRefused for an opener that is not one of the app's, and
        InvalidRequest for answers that the provider does not accept.
        """
        session = await self.peek(token, browser)
        check_opener(session.app, opener)
        options = self._installs.check_link(session.app, {**answers, **session.options})
        browser = browser or Secret(secrets.token_urlsafe(32))
        origin, nonce = (opener.origin, opener.nonce) if opener else (None, None)
        if not await self._sessions.begin(session, browser, origin, nonce):
            raise LinkUsed
        url = await self._installs.begin(
            session.app,
            session.user_ref,
            session.return_url,
            session=session,
            browser=browser,
            options=options,
        )
        return url, browser

    async def finish(
        self, provider: str, workspace_id: UUID, slug: str, consent: Consent
    ) -> tuple[Outcome, ConnectSession | None]:
        """Finish an install, and the session that it began in."""
        outcome = await self._installs.finish(provider, workspace_id, slug, consent)
        return outcome, await self._record(workspace_id, outcome)

    async def choose(
        self, provider: str, workspace_id: UUID, code: Secret, account_id: str
    ) -> tuple[Outcome, ConnectSession | None]:
        """Finish an install whose user has chosen an account. Raises as `AccountChoice.by_code`."""
        outcome = await self._choice.by_code(provider, workspace_id, code, account_id)
        return outcome, await self._record(workspace_id, outcome)

    async def _record(self, workspace_id: UUID, outcome: Outcome) -> ConnectSession | None:
        """Write down how a visit ended; its session, if it ended."""
        if outcome.session_id is None or outcome.state == "choose-account":
            return None
        word = outcome.refusal.code if outcome.refusal else outcome.state
        granted = outcome.state != "refused"
        await self._sessions.record_outcome(workspace_id, outcome.session_id, word, granted=granted)
        return await self._sessions.find_id(workspace_id, outcome.session_id)

    async def get_finished(
        self, workspace_id: UUID, session_id: UUID, browser: Secret | None
    ) -> ConnectSession:
        """A session that was at HubSpot, for the browser that began it. Raises NotFound."""
        session = await self._sessions.find_id(workspace_id, session_id)
        if (
            session is None
            or session.outcome is None
            or session.browser_hash is None
            or not _free_for(session, browser)
        ):
            raise NotFound
        return session

    async def get_progress(self, token: Secret, origin: str, nonce: str) -> ConnectSession:
        """A session as the page that opened ours in a popup may see it; `outcome` is the popup's.

        Raises NotFound, or OriginRefused for a page that is not one of the app's origins.
        """
        session = await self._sessions.find(token)
        if session is None:
            raise NotFound
        check_opener(session.app, PopupOpener(origin, nonce))
        return session if session.nonce == nonce else replace(session, outcome=None)


def check_opener(app: App, opener: PopupOpener | None) -> None:
    """Raise OriginRefused, which names the origin, unless it is one of the app's, exactly."""
    if opener is None or opener.origin in app.origins:
        return
    origin = opener.origin if ORIGIN.fullmatch(opener.origin) else "The page's origin"
    raise OriginRefused(
        f"{origin} is not one of the app's origins; add it with "
        f'PATCH /api/apps/{app.slug} {{"origins": [...]}}, which replaces the list, '
        "or in the console."
    )


def _free_for(session: ConnectSession, browser: Secret | None) -> bool:
    if session.browser_hash is None:
        return True
    return browser is not None and hmac.compare_digest(session.browser_hash, hash_of(browser))

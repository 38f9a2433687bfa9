"""Everything between a registered app and its first user, each step proved at the provider."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from broker.domain.grants import Tokens
from broker.domain.model import App, ConnectionRecord, Status
from broker.errors import BrokerError
from broker.providers.base import Provider
from broker.providers.oauth import GrantEnded
from broker.services.events.journal_reader import JournalReader
from broker.services.grants.renewals import Grants
from broker.services.installs.app_checks import AppChecks
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.connections import Connections
from broker.stores.events.endpoints import Endpoints
from broker.stores.events.events import Events

LOCAL = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Step:
    """A step and how it stands: `message` says what was seen, or what to do."""

    name: str
    state: Literal["good", "todo", "bad"]
    message: str


class AppReadiness:
    """Whether an app is ready for its users, asked of the provider itself."""

    def __init__(
        self,
        checks: AppChecks,
        installs: Installs,
        connections: Connections,
        grants: Grants,
        providers: Mapping[str, Provider],
        endpoints: Endpoints,
        events: Events,
        journal: JournalReader,
    ) -> None:
        self._checks = checks
        self._installs = installs
        self._connections = connections
        self._grants = grants
        self._providers = providers
        self._endpoints = endpoints
        self._events = events
        self._journal = journal

    async def steps(self, app: App) -> AsyncIterator[Step]:
        """Each step in the order in which a person takes them. The newest connection is renewed."""
        spec = self._providers[app.provider].spec
        if spec.needs_client:
            finding = await self._checks.verify_credentials(app)
            state: Literal["good", "todo", "bad"] = "good" if finding.state == "good" else "bad"
            yield Step("client id and secret", state, finding.message)
        newest = await self._newest(app)
        yield self._redirect_url(app, newest)
        yield self._scopes(app)
        yield self._return_urls(app)
        yield self._origins(app)
        if newest is None:
            yield Step(
                "connection",
                "todo",
                "no user is connected: open an install link "
                f"(GET /api/{app.provider}/auth/{app.slug}?userForeignIdentifier=...)",
            )
        else:
            async for step in self._connection(app, newest):
                yield step
        if spec.webhooks is not None:
            yield await self._webhooks(app)
        if app.journal:
            yield await self._journal_step(app)
        if app.marketplace and app.install_url is None:
            yield Step(
                "marketplace",
                "todo",
                "set installUrl: where your product signs in a user who starts at the Marketplace",
            )

    async def _newest(self, app: App) -> ConnectionRecord | None:
        page = await self._connections.search(app, "", status=None, before=None, limit=50)
        active = [each for each in page.records if each.status is Status.ACTIVE]
        return next(iter(active or page.records), None)

    def _redirect_url(self, app: App, newest: ConnectionRecord | None) -> Step:
        label = self._providers[app.provider].spec.label
        url = self._installs.redirect_url(app)
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname != "localhost":
            return Step(
                "redirect URL",
                "bad",
                f"{url}: {label} accepts https, and http for localhost only; set BROKER_PUBLIC_URL",
            )
        if newest is None:
            return Step("redirect URL", "todo", f"add exactly {url} to the app at {label}")
        return Step("redirect URL", "good", f"{url} has worked")

    def _scopes(self, app: App) -> Step:
        missing = self._providers[app.provider].spec.required_scopes - set(app.scopes)
        if missing:
            names = ", ".join(sorted(missing))
            return Step("scopes", "bad", f"add {names}: install links without it are refused")
        counts = f"{len(app.scopes)} required, {len(app.optional_scopes)} optional"
        return Step("scopes", "good", counts)

    def _return_urls(self, app: App) -> Step:
        if not app.return_urls:
            return Step(
                "return URLs", "todo", "none: users stay on a page of the broker after connecting"
            )
        return Step("return URLs", "good", ", ".join(app.return_urls))

    def _origins(self, app: App) -> Step:
        if not app.origins:
            return Step(
                "origins", "todo", "none: add the origin of your page before you show the button"
            )
        return Step("origins", "good", ", ".join(app.origins))

    async def _connection(self, app: App, record: ConnectionRecord) -> AsyncIterator[Step]:
        label = self._providers[app.provider].spec.label
        account = record.account_name or record.account_id
        if record.user_ref is None:
            yield Step("connection", "todo", f"{account} is installed, but not claimed by a user")
            return
        try:
            connection = await self._connections.of_user(
                app.workspace_id, app.slug, record.user_ref
            )
            grant = await self._grants.renew(connection)
            tokens = Tokens(grant.access_token, None, None)
            found = await self._providers[app.provider].identify(app, tokens)
        except BrokerError as refusal:
            yield Step(
                "connection",
                "bad" if record.status is Status.ACTIVE else "todo",
                f"the newest one, to {account}: {refusal.detail or refusal.title()}",
            )
            return
        if found is None:
            yield Step("connection", "bad", f"{label} does not accept a token that it just issued")
            return
        yield Step("connection", "good", f"renewed just now: {account}")
        missing = sorted(set(app.scopes) - set(found.scopes or app.scopes))
        if missing:
            yield Step(
                "granted scopes",
                "bad",
                f"{account} did not grant {', '.join(missing)}: the user has to connect again",
            )
        else:
            yield Step("granted scopes", "good", "every required one")
        if found.app_id is not None:
            matches = found.app_id == app.hubspot_app_id
            yield Step(
                "app id",
                "good" if matches else "bad",
                found.app_id if matches else f"{label} says {found.app_id}: correct appId",
            )

    async def _webhooks(self, app: App) -> Step:
        url = self._installs.webhook_url(app) or ""
        if urlsplit(url).scheme != "https":
            return Step(
                "webhooks",
                "todo",
                f"{url} cannot be reached from outside: open a tunnel with https, and set "
                "BROKER_PUBLIC_URL to its address",
            )
        heard = await self._events.search(app, f"{app.provider}.", before=None, limit=1)
        if not heard:
            return Step("webhooks", "todo", f"none received yet: make {url} the app's target URL")
        if not await self._endpoints.of_app(app):
            return Step(
                "webhooks",
                "todo",
                f"received, and sent nowhere: POST /api/apps/{app.slug}/endpoints",
            )
        return Step("webhooks", "good", f"received, the newest at {heard[0].created_at:%F %T} UTC")

    async def _journal_step(self, app: App) -> Step:
        try:
            await self._journal.check(app.client)
        except (BrokerError, GrantEnded):
            return Step(
                "journal",
                "bad",
                "cannot be read: the app needs the developer.webhooks_journal scopes, "
                "or PATCH the app with journal: false",
            )
        return Step("journal", "good", "can be read")

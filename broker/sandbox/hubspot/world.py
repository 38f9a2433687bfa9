"""The state of the simulated HubSpot: apps, portals, grants, levers."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from multidict import CIMultiDictProxy

from broker.sandbox.core.clock import Clock
from broker.sandbox.core.directory import Entry
from broker.sandbox.core.faults import Faults
from broker.sandbox.hubspot.crm.operations import Crm
from broker.sandbox.hubspot.events.changes import Author, Change, Listener
from broker.sandbox.hubspot.events.journal import Journal
from broker.sandbox.hubspot.events.webhooks import Webhooks
from broker.sandbox.hubspot.events.workflows import Workflows
from broker.sandbox.hubspot.grants import App, Grants
from broker.sandbox.hubspot.portal import Portal


@dataclass(frozen=True, slots=True)
class SeenRequest:
    """A request as it arrived; `raw_path` is the target byte for byte."""

    method: str
    raw_path: str
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(slots=True)
class Limits:
    """How many requests are allowed: per app and portal in `window_s` (ten seconds) and in a day
    (None: any number), and searches per portal in one second.
    """

    ten_secondly: int = 110
    search: int = 5
    daily: int | None = None
    window_s: float = 10.0


class Sandbox(Clock):
    """One simulated HubSpot. Attributes are levers; they may change at any time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.apps: dict[str, App] = {}
        self.portals: dict[int, Portal] = {}
        self.grants = Grants()
        self.faults = Faults()
        self.limits = Limits()
        self.seen: deque[SeenRequest] = deque(maxlen=10_000)
        self.counted: deque[tuple[float, bool]] = deque(maxlen=10_000)
        """The latest requests that counted against a limit: when, and whether it let them in."""
        self.counters: dict[str, int] = {}
        self.answered = 0
        self.refreshes = 0
        self.exchanges = 0
        self.introspections = 0
        self.revocations: list[str] = []
        self.rotates_refresh_tokens = False
        self.shares_refresh_tokens = False
        self.token_lifetime: int = 1800
        self.auto_consent: int | None = None
        self.auto_consent_user: str | None = None
        self.may_not_install: list[str] = []
        self.search_lag = 0.0
        self.developer_key = "sandbox-developer-key"
        self.windows: dict[tuple[str, int], deque[float]] = {}
        self.days: dict[tuple[str, int], tuple[int, int]] = {}
        self.searches: dict[int, deque[float]] = {}
        self.listeners: list[Listener] = []
        self.directory: list[Entry] = []
        self.webhooks = Webhooks(self.apps, self.portals, self.grants, self.now)
        self.workflows = Workflows(self.apps, self.now)
        self.journal = Journal(self.now)
        self.listeners += [self.webhooks.notice, self.journal.notice]
        self.add_portal(101, "acme.example", ["ada@acme.example"])
        self.add_portal(102, "globex.example", ["grace@globex.example"])

    def crm(self, portal: Portal, author: Author | None = None) -> Crm:
        """The operations on a portal's records by an author; a person when no author is named."""
        return Crm(portal, author or Author(), self.now, self.publish, self.search_lag)

    def publish(self, change: Change) -> None:
        """Publish a change to every listener."""
        for listener in self.listeners:
            listener(change)

    def register_app(
        self,
        client_id: str,
        client_secret: str,
        app_id: int,
        scopes: Iterable[str],
        redirect_urls: Iterable[str],
        optional_scopes: Iterable[str] = (),
    ) -> App:
        """Make an app, as a person does in HubSpot's developer account."""
        app = App(
            client_id,
            client_secret,
            app_id,
            list(scopes),
            list(redirect_urls),
            list(optional_scopes),
        )
        self.apps[client_id] = app
        return app

    def add_portal(self, hub_id: int, domain: str, users: Iterable[str]) -> Portal:
        """Make a HubSpot account."""
        portal = self.portals[hub_id] = Portal(hub_id, domain, list(users))
        return portal

    def revoke_grants(self, hub_id: int, client_id: str | None = None) -> None:
        """End every token of a portal, as an uninstall does."""
        ended = set()
        for refresh in self.grants.refresh_tokens.values():
            if refresh.hub_id == hub_id and client_id in {None, refresh.client_id}:
                ended |= {refresh.client_id} if refresh.alive else set()
                refresh.alive = False
        for each in ended:
            self.journal.record_life(each, hub_id, "APP_UNINSTALL")
        for access in self.grants.access_tokens.values():
            if not access.refresh.alive:
                access.alive = False

    def expire_access_tokens(self, hub_id: int | None = None) -> None:
        """Let access tokens run out before their time."""
        for access in self.grants.access_tokens.values():
            if hub_id in {None, access.refresh.hub_id}:
                access.expires_at = min(access.expires_at, self.now())

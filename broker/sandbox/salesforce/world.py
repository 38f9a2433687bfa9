"""The state of the simulated Salesforce: orgs, apps, grants, levers, a clock of its own."""

import hashlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from broker.sandbox.core.clock import Clock
from broker.sandbox.core.faults import Faults
from broker.sandbox.salesforce.oauth.grants import App, Grants
from broker.sandbox.salesforce.org import Org, Record

ADMIN = "ada@acme.example"
HOUR_S = 3600.0


@dataclass(slots=True)
class Levers:
    """How Salesforce's OAuth behaves. The defaults are what partner apps are held to since 2026.

    `rtr` rotates refresh tokens; with `reuse_detection` a spent one ends its grant; `idle_days`
    without use end a refresh token (None: never); `refresh_seconds` is how long a refresh takes,
    so that two can meet; `reuses_sessions` lets a refresh answer with the live session;
    `auto_consent` is the username that consents without a page.
    """

    rtr: bool = True
    reuse_detection: bool = True
    idle_days: float | None = 30.0
    concurrent_refresh_refused: bool = True
    refresh_seconds: float = 0.0
    reuses_sessions: bool = False
    pkce_required: bool = True
    ip_restricted: bool = False
    logins_per_hour: int = 3600
    auto_consent: str | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """The Salesforce host that one of the sandbox's addresses simulates: `kind` is "login", "test",
    "org" or "left"; the last two are an org's own address, and one that it moved away from.
    """

    kind: str
    url: str
    org_id: str = ""


@dataclass(slots=True)
class Seen:
    """A request as it arrived, its secrets replaced by the beginning of their SHA-256; `host` is
    the kind of host that it came to, `status` that of the answer (0: none yet).
    """

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: str
    at: float
    status: int = 0


class Salesforce(Clock):
    """One simulated Salesforce. Attributes are levers; they may change at any time."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.faults = Faults()
        self.apps: dict[str, App] = {}
        self.grants = Grants()
        self.orgs: dict[str, Org] = {}
        self.logins: dict[str, deque[float]] = {}
        self.cursors: dict[str, tuple[str, list[dict[str, Any]], int, float]] = {}
        self.seen: deque[Seen] = deque(maxlen=20_000)
        self.counters: dict[str, int] = {}
        self.login_url = "https://login.salesforce.com"
        self.test_url = "https://test.salesforce.com"

    def add_org(self, name: str = "acme", admin: str = ADMIN, *, sandbox: bool = False) -> Org:
        """Make an org with its admin. A running server gives it an address of its own."""
        org = Org(name, len(self.orgs) + 1, self.now, sandbox=sandbox)
        org.add_user(admin, FirstName="Ada", LastName="Admin")
        self.orgs[org.id] = org
        return org

    @property
    def org(self) -> Org:
        """The first org."""
        return next(iter(self.orgs.values()))

    def find_org(self, name: str) -> Org:
        """An org by its name or id; raises KeyError."""
        for org in self.orgs.values():
            if name in {org.name, org.id}:
                return org
        raise KeyError(name)

    def add_app(
        self,
        client_id: str,
        client_secret: str,
        callback_urls: list[str],
        scopes: list[str] | None = None,
        **rest: Any,
    ) -> App:
        """Register an app, as an admin does in Setup."""
        name = rest.pop("name", client_id)
        allowed = ["api", "refresh_token", "openid"] if scopes is None else scopes
        self.apps[client_id] = app = App(
            client_id, client_secret, name, callback_urls, allowed, **rest
        )
        return app

    def find_user(self, username: str) -> tuple[Org, Record] | None:
        """A user of any org; usernames are unique over all of Salesforce."""
        for org in self.orgs.values():
            user = org.find_user(username)
            if user is not None:
                return org, user
        return None

    def count_login(self, user_id: str) -> bool:
        """Count a login; False when the user has had more than the hour allows."""
        times, now = self.logins.setdefault(user_id, deque()), self.now()
        while times and times[0] <= now - HOUR_S:
            times.popleft()
        if len(times) >= self.levers.logins_per_hour:
            return False
        times.append(now)
        return True

    def count(self, name: str) -> None:
        """Add one to a counter."""
        self.counters[name] = self.counters.get(name, 0) + 1


def fingerprint(secret: str) -> str:
    """The beginning of a secret's SHA-256, to show in its place."""
    return "sha256:" + hashlib.sha256(secret.encode()).hexdigest()[:12]

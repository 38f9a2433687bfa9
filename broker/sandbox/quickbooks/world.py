"""The simulated QuickBooks Online: apps, companies, grants, webhooks, levers."""

import time
from collections import deque
from collections.abc import Callable

from broker.sandbox.core.simulation import Simulation
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.books.company import Change, Company
from broker.sandbox.quickbooks.books.defaults import plant
from broker.sandbox.quickbooks.levers import Levers, Settings
from broker.sandbox.quickbooks.oauth.grants import App, Grants
from broker.sandbox.quickbooks.webhooks import Webhooks

MINUTE_S = 60.0


class QuickBooks(Simulation):
    """One simulated QuickBooks Online with two companies, one in the US and one in the UK."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.grants = Grants(self.levers, self.now)
        self.companies: dict[str, Company] = {}
        self.windows: dict[tuple[str, ...], deque[float]] = {}
        self.reads: dict[tuple[str, str], int] = {}
        self.webhooks = Webhooks(self.levers, self.grants, self.now)
        self.add_company("9341453172058071", Settings("Acme Inc"))
        self.add_company("9341453172058072", Settings("Globex Ltd", "UK", "Europe/London"))

    def register_app(
        self,
        client_id: str,
        client_secret: str,
        redirect_uris: list[str],
        verifier_token: str = "",
        webhook_url: str = "",
    ) -> App:
        """Make or replace an app, as a person does in the developer portal."""
        app = App(client_id, client_secret, redirect_uris, verifier_token, webhook_url)
        self.grants.apps[client_id] = app
        return app

    def add_company(self, realm_id: str, settings: Settings) -> Company:
        """Make or replace a company with accounts, tax codes and items in it."""
        company = Company(realm_id, settings, self.now, self._publish)
        self.companies[realm_id] = company
        plant(company)
        return company

    def admit(self, client_id: str, realm_id: str, *, reads: bool) -> None:
        """Count a call of the API. Raises the 429 when a limit of the company is reached, or the
        app's limit of reads a month.
        """
        now = self.now()
        month = client_id, f"{self.moment():%Y-%m}"
        if reads and self.reads.get(month, 0) >= self.levers.reads_per_month:
            self.count("throttled")
            raise problems.throttled()
        limits = (
            ((client_id, realm_id), 1.0, self.levers.requests_per_second),
            ((realm_id,), MINUTE_S, self.levers.requests_per_minute),
        )
        windows = []
        for key, span, most in limits:
            window = self.windows.setdefault(key, deque())
            while window and window[0] <= now - span:
                window.popleft()
            if len(window) >= most:
                self.count("throttled")
                raise problems.throttled()
            windows.append(window)
        for window in windows:
            window.append(now)
        if reads:
            self.reads[month] = self.reads.get(month, 0) + 1

    def _publish(self, change: Change) -> None:
        self.webhooks.notice(change)

"""The simulated Xero: apps, organisations, connections, webhooks, levers."""

import time
from collections.abc import Callable

from broker.sandbox.core.simulation import Simulation
from broker.sandbox.xero.api.access import Access
from broker.sandbox.xero.books.defaults import plant
from broker.sandbox.xero.books.organisation import Change, Organisation
from broker.sandbox.xero.levers import Levers, Settings
from broker.sandbox.xero.oauth.grants import App, Grants
from broker.sandbox.xero.webhooks import Webhooks


class Xero(Simulation):
    """One simulated Xero with two organisations, one in New Zealand and one in Britain."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        super().__init__(now)
        self.levers = Levers()
        self.grants = Grants(self.levers, self.now)
        self.organisations: dict[str, Organisation] = {}
        self.access = Access(self.levers, self.grants, self.organisations, self.now)
        self.webhooks = Webhooks(self.levers, self.grants, self.now)
        self.add_organisation(
            "fe79f7dd-b6d4-4a92-ba7b-538af6289c58", Settings("Acme NZ", currencies=["USD"])
        )
        self.add_organisation(
            "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f",
            Settings("Globex UK", "GB", "GBP", "Europe/London"),
        )

    def register_app(
        self,
        client_id: str,
        client_secret: str,
        redirect_uris: list[str],
        custom_tenant: str = "",
        webhook_url: str = "",
        webhook_key: str = "",
    ) -> App:
        """Make or replace an app, as a person does in the developer portal. One with a
        `custom_tenant` is connected to that organisation at once.
        """
        app = App(client_id, client_secret, redirect_uris, custom_tenant, webhook_url, webhook_key)
        self.grants.apps[client_id] = app
        if custom_tenant:
            self.grants.connect(client_id, [custom_tenant])
        return app

    def add_organisation(self, tenant_id: str, settings: Settings) -> Organisation:
        """Make or replace an organisation with accounts, tax rates and items in it."""
        organisation = Organisation(tenant_id, settings, self.now, self._publish)
        self.organisations[tenant_id] = organisation
        plant(organisation)
        return organisation

    def _publish(self, change: Change) -> None:
        self.webhooks.notice(change)

"""The demo's stretch about invoices: a deal that is won becomes an invoice, is paid at the
accounting system, and shows it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from broker.recipes.invoices.quickbooks.adapter import QuickBooksBooks
from broker.recipes.invoices.recipe import STAGE
from broker.sandbox.core.serving import Running
from broker.sandbox.hubspot.world import Sandbox
from broker.sandbox.quickbooks.books import invoices
from broker.sandbox.quickbooks.world import QuickBooks

INVOICE_SCOPES = ["crm.objects.line_items.read"]
CLIENT_ID, CLIENT_SECRET = "demo-books", "demo-books-secret"
VERIFIER_TOKEN = "demo-verifier-token"  # noqa: S105  # the sandbox's
HOURS = "2"
PORTAL = 101
TIMEOUT_S = 20.0

Ask = Callable[..., Awaitable[Any]]
Title = tuple[str, Callable[[aiohttp.ClientSession], Awaitable[str]]]


@dataclass(slots=True)
class InvoicesScenario:
    """A won deal's invoice, step by step. `ask` calls the broker as the demo does."""

    ask: Ask
    hubspot: Sandbox
    accounting: Running[QuickBooks]
    user: str
    known: dict[str, Any] = field(default_factory=dict)

    def steps(self) -> list[Title]:
        return [
            ("Connect the user's QuickBooks company", self.connect),
            ("Set up the invoices recipe", self.set_up),
            ("Win a deal, and get its invoice", self.win),
            ("Pay the invoice in QuickBooks, and see the deal show it", self.pay),
        ]

    async def connect(self, session: aiohttp.ClientSession) -> str:
        provider = QuickBooksBooks.provider
        app = {
            "slug": "books",
            "provider": provider,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "scopes": ["com.intuit.quickbooks.accounting"],
            "webhookSecret": VERIFIER_TOKEN,
        }
        registered = await self.ask(session, "POST", "/api/apps", json=app)
        world = self.accounting.world
        world.register_app(
            CLIENT_ID,
            CLIENT_SECRET,
            [registered["redirectUrl"]],
            VERIFIER_TOKEN,
            registered["webhookUrl"],
        )
        # What a person does on the consent page: choose the company.
        realm_id = next(iter(world.companies))
        before, world.levers.auto_consent = world.levers.auto_consent, realm_id
        path = f"/api/{provider}/auth/books?userForeignIdentifier={self.user}"
        link = await self.ask(session, "GET", path)
        async with session.get(link["url"]) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the callback answered {answer.status}")
        world.levers.auto_consent = before
        path = f"/api/apps/books/connections/{self.user}"
        connection = await self.ask(session, "GET", path)
        self.known["company"] = connection["accountId"]
        return f"{connection['accountName']}, webhooks to {urlsplit(registered['webhookUrl']).path}"

    async def set_up(self, session: aiohttp.ClientSession) -> str:
        settings = {"accountingApp": "books", "item": HOURS}
        await self.ask(session, "PUT", "/api/apps/demo/recipes/invoices", json=settings)
        # What a developer does at HubSpot, for whoever chooses a stage in the settings.
        app = await self.ask(session, "GET", "/api/apps/demo")
        stages = {"eventType": "deal.propertyChange", "propertyName": STAGE}
        self.hubspot.apps[app["clientId"]].subscribe(app["webhookUrl"], [stages])
        user = {"userForeignIdentifier": self.user}
        made = await self.ask(session, "POST", "/api/recipes/invoices/demo/setup", json=user)
        checked = await self.ask(session, "POST", "/api/recipes/invoices/demo/check", json=user)
        if not checked["ok"]:
            raise RuntimeError(str(checked["findings"]))
        return f"{len(made['created'])} properties created, nothing to correct"

    async def win(self, session: aiohttp.ClientSession) -> str:
        portal = self.hubspot.portals[PORTAL]
        crm = self.hubspot.crm(portal)
        deals, contacts = portal.type("deals"), portal.type("contacts")
        if deals is None or contacts is None:
            raise RuntimeError("the sandbox has no deals")
        person = {"email": "jane@acme.example", "firstname": "Jane", "lastname": "Doe"}
        known = portal.of(contacts).holding("email", person["email"])
        contact = known or crm.create(contacts, {"properties": person}).id
        won = {"dealname": "Onboarding", "amount": "1250.00", "deal_currency_code": "USD"}
        stage = {"pipeline": "default", "dealstage": "closedwon"}
        deal = crm.create(deals, {"properties": {**won, **stage}})
        link = crm.associating.plain(deals, contacts)
        crm.associating.link(deal.id, contact, link)
        self.known["deal"] = deal.id
        body = {"userForeignIdentifier": self.user, "dealId": deal.id}
        made, again = await asyncio.gather(
            *(self.ask(session, "POST", "/api/recipes/invoices/demo", json=body) for _ in range(2))
        )
        if made["invoiceId"] != again["invoiceId"]:
            raise RuntimeError("there are two invoices")
        self.known["invoice"] = made["invoiceId"]
        return f"invoice {made['invoiceNumber']} for {made['total']} {made['currency']}"

    async def pay(self, _session: aiohttp.ClientSession) -> str:
        company = self.accounting.world.companies[self.known["company"]]
        invoices.pay(company, self.known["invoice"], None)
        async with asyncio.timeout(TIMEOUT_S):
            while self._shown().get("invoice_sync_status") != "paid":  # noqa: ASYNC110  # HubSpot's
                await asyncio.sleep(0.05)
        return f"invoice {self._shown()['invoice_sync_number']} is paid"

    def _shown(self) -> dict[str, Any]:
        portal = self.hubspot.portals[PORTAL]
        kind = portal.type("deals")
        if kind is None:
            raise RuntimeError("the sandbox has no deals")
        return dict(portal.of(kind).by_id[self.known["deal"]].properties)

"""Deals of HubSpot's sandbox beside the books of an accounting system's, and the recipe set up."""

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker.sandbox.core.deliveries import signature
from broker.sandbox.quickbooks.books import invoices as quickbooks_invoices
from broker.sandbox.xero.books import invoices as xero_invoices
from broker.sandbox.xero.books import payments as xero_payments
from tests.fixtures.broker_client import Answered, BrokerUnderTest
from tests.flows.providers.conftest import Books

QB_US, QB_UK = "9341453172058071", "9341453172058072"
XERO_NZ = "fe79f7dd-b6d4-4a92-ba7b-538af6289c58"
XERO_SCOPES = ["accounting.contacts", "accounting.invoices", "accounting.settings"]

SCOPES = [
    "oauth",
    "crm.objects.line_items.read",
    "crm.objects.line_items.write",
    *(
        f"crm.{part}.{kind}.{right}"
        for kind in ("contacts", "companies", "deals")
        for part in ("objects", "schemas")
        for right in ("read", "write")
    ),
]
SETTINGS = "/api/apps/hbdev/recipes/invoices"
START = "/api/recipes/invoices/hbdev"
USER = {"userForeignIdentifier": "u1"}
WEBHOOK_SECRET = "canary-verifier"  # the sandbox's


@dataclass
class Ledger:
    """A broker between HubSpot's account 101 and a company of an accounting system."""

    books: Books
    account_id: str
    settings: dict[str, Any]
    contacts: int = 0

    @property
    def broker(self) -> BrokerUnderTest:
        return self.books.broker

    @property
    def company(self) -> Any:
        """The company in the sandbox."""
        world = self.books.world
        is_quickbooks = self.books.provider == "quickbooks"
        return (world.companies if is_quickbooks else world.organisations)[self.account_id]

    async def puts(self, **changes: Any) -> Answered:
        """Put the settings, with changes that stay."""
        self.settings |= changes
        return await self.broker.asks("PUT", SETTINGS, json=self.settings)

    async def connects(self, user: str = "u1", account_id: str | None = None) -> None:
        chosen: Any = account_id or self.account_id
        answer = await self.books.connects(
            chosen if self.books.provider == "quickbooks" else [chosen], user
        )
        assert answer.status in {200, 302, 303}, answer.body

    def record(self, kind: str, hub_id: int = 101, **properties: str) -> str:
        """A record of HubSpot's; its id."""
        portal = self.broker.hubspot.portals[hub_id]
        found = portal.type(kind)
        assert found is not None
        made = self.broker.hubspot.crm(portal).create(found, {"properties": properties})
        return str(made.id)

    def links(self, kind: str, record_id: str, to_kind: str, to_id: str, hub_id: int = 101) -> None:
        portal = self.broker.hubspot.portals[hub_id]
        source, target = portal.type(kind), portal.type(to_kind)
        assert source is not None
        assert target is not None
        associating = self.broker.hubspot.crm(portal).associating
        associating.link(record_id, to_id, associating.plain(source, target))

    def contact(self, hub_id: int = 101, **properties: str) -> str:
        self.contacts += 1
        own = {"email": f"ada{self.contacts}@x.example", "firstname": "Ada", "lastname": "O'Neil"}
        return self.record("contacts", hub_id, **{**own, **properties})

    def deal(
        self,
        amount: str | None = "100.00",
        contact: str | None = "",
        currency: str | None = "USD",
        hub_id: int = 101,
        **properties: str,
    ) -> str:
        """A deal with a contact: a new one, a known one, or None."""
        own = {"dealname": "Big deal", "pipeline": "default", "dealstage": "contractsent"}
        values = {"amount": amount, "deal_currency_code": currency, **properties}
        deal_id = self.record(
            "deals", hub_id, **own, **{name: each for name, each in values.items() if each}
        )
        if contact is not None:
            self.links("deals", deal_id, "contacts", contact or self.contact(hub_id), hub_id)
        return deal_id

    def item(self, deal_id: str, **properties: str) -> None:
        """A line item of a deal."""
        self.links("deals", deal_id, "line_items", self.record("line_items", **properties))

    def shown(self, deal_id: str, kind: str = "deals", hub_id: int = 101) -> dict[str, str]:
        """The properties of a record."""
        portal = self.broker.hubspot.portals[hub_id]
        found = portal.type(kind)
        assert found is not None
        return dict(portal.of(found).by_id[deal_id].properties)

    async def starts(self, deal_id: str, **more: Any) -> Answered:
        body = {**USER, "dealId": deal_id, **more}
        return await self.broker.asks("POST", START, json=body)

    async def checks(self) -> list[dict[str, str]]:
        answer = await self.broker.asks("POST", f"{START}/check", json=USER)
        assert answer.status == 200, answer.body
        found: list[dict[str, str]] = answer.json()["findings"]
        return found

    def invoices(self) -> list[dict[str, Any]]:
        """The company's invoices that the recipe made, oldest first."""
        kind, name = (
            ("Invoice", "PrivateNote")
            if self.books.provider == "quickbooks"
            else ("Invoices", "Reference")
        )
        return [each for each in self.company.all(kind) if "hubspot-" in str(each.get(name, ""))]

    def customers(self) -> list[dict[str, Any]]:
        kind = "Customer" if self.books.provider == "quickbooks" else "Contacts"
        return list(self.company.all(kind))

    def invoice_id(self, invoice: dict[str, Any]) -> str:
        return str(invoice["Id" if self.books.provider == "quickbooks" else "InvoiceID"])

    def pays(self, invoice: dict[str, Any], amount: str) -> None:
        """Record a payment, as a person does."""
        invoice_id = self.invoice_id(invoice)
        if self.books.provider == "quickbooks":
            quickbooks_invoices.pay(self.company, invoice_id, amount)
            return
        paid = {
            "Invoice": {"InvoiceID": invoice_id},
            "Account": {"Code": "090"},
            "Amount": Decimal(amount),
        }
        xero_payments.save(self.company, paid)

    def voids(self, invoice: dict[str, Any]) -> None:
        """Void an invoice, as a person does."""
        invoice_id = self.invoice_id(invoice)
        if self.books.provider == "quickbooks":
            quickbooks_invoices.void(self.company, self.company.get("Invoice", invoice_id))
            return
        old = self.company.records["Invoices"][invoice_id]
        xero_invoices.save(self.company, {"InvoiceID": invoice_id, "Status": "VOIDED"}, old, 4)

    def deletes(self, invoice: dict[str, Any]) -> None:
        """Delete an invoice, as a person does; Xero only voids what is approved."""
        self.company.delete("Invoice", self.invoice_id(invoice))

    def event(self, invoice: dict[str, Any], at: str = "2026-11-28T10:00:00Z") -> bytes:
        """A webhook's body that says that an invoice has changed."""
        if self.books.provider == "quickbooks":
            quickbooks_event = {
                "specversion": "1.0",
                "id": f"{self.invoice_id(invoice)} {at}",
                "source": "intuit.test",
                "type": "qbo.invoice.updated.v1",
                "time": at,
                "intuitentityid": self.invoice_id(invoice),
                "intuitaccountid": self.account_id,
            }
            return json.dumps([quickbooks_event]).encode()
        xero_event = {
            "resourceId": self.invoice_id(invoice),
            "tenantId": self.account_id,
            "eventCategory": "INVOICE",
            "eventType": "UPDATE",
            "eventDateUtc": at,
        }
        return json.dumps({"events": [xero_event]}).encode()

    async def works(self) -> None:
        """Let runs and what follows them be done."""
        recipes = self.broker.parts.recipes
        for _ in range(5):
            await recipes.runs.work_due()
            await recipes.runs.join()
            await recipes.tasks.work_due()

    async def receives(self, body: bytes) -> Answered:
        """A webhook as the vendor signs it."""
        name = "intuit-signature" if self.books.provider == "quickbooks" else "x-xero-signature"
        answer = await self.broker.asks(
            "POST",
            self.books.app["webhookUrl"],
            key="",
            data=body,
            headers={"Content-Type": "application/json", name: signature(WEBHOOK_SECRET, body)},
        )
        await self.broker.run_background_work()
        return answer


async def ledger_of(books: Books, account_id: str, scopes: list[str], **settings: Any) -> Ledger:
    """u1 connected on both sides, and the recipe set up."""
    broker = books.broker
    ledger = Ledger(books, account_id, {"accountingApp": "books", **settings})
    answer = await books.registers(scopes, webhookSecret=WEBHOOK_SECRET)
    assert answer.status == 201, answer.body
    assert (await broker.registers(scopes=SCOPES)).status == 201
    await broker.connects("u1")
    await ledger.connects()
    put = await ledger.puts()
    assert put.status == 200, put.body
    setup = await broker.asks("POST", f"{START}/setup", json=USER)
    assert setup.status == 200, setup.body
    return ledger

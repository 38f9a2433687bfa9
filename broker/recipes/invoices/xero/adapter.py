"""Xero as an accounting system (https://developer.xero.com/documentation/api/accounting/invoices).

An `Idempotency-Key` answers for a few minutes only. So an invoice bears its deal's marker as its
reference, and is looked for before it is created.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from broker.crm.partners import PartnerCalls, PartnerUser, understood
from broker.providers.webhooks import is_name
from broker.recipes.base import Finding
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Choices, Company, Creation, Customer, Draft, Invoice
from broker.recipes.invoices.xero import contacts, documents
from broker.recipes.invoices.xero.api import find, put, target_of
from broker.recipes.invoices.xero.choosing import findings, read_choices
from broker.recipes.invoices.xero.refusals import raise_for

TOPIC = "invoice."
PAGE_SIZE = 1000


class XeroBooks:
    """Organisations of Xero."""

    provider = "xero"

    @understood
    async def company(self, calls: PartnerCalls, user: PartnerUser, currency: str) -> Company:
        """Other currencies than the organisation's own are asked for only when one is needed."""
        (organisation,) = await find(calls, user, "Organisations")
        home = str(organisation.get("BaseCurrency", ""))
        currencies = {home}
        if currency != home:
            currencies |= {str(each["Code"]) for each in await find(calls, user, "Currencies")}
        locks = [
            str(organisation[name])
            for name in ("PeriodLockDate", "EndOfYearLockDate")
            if organisation.get(name)
        ]
        return Company(
            name=str(organisation.get("Name", "")),
            country=str(organisation.get("CountryCode", "")),
            home_currency=home,
            currencies=frozenset(currencies),
            time_zone=documents.ZONES.get(str(organisation.get("Timezone")), "UTC"),
            closed_until=max((_day(each) for each in locks), default=None),
            multicurrency=True,
        )

    def check(self, company: Company, draft: Draft, settings: InvoicesSettings) -> None:
        documents.check(company, draft, settings)

    @understood
    async def find_customer(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, _company: Company
    ) -> Customer | None:
        return await contacts.find_contact(calls, user, draft.buyer)

    @understood
    async def create_customer(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, _company: Company, token: UUID
    ) -> Customer:
        return await contacts.create_contact(calls, user, draft, token)

    def customer_body(self, draft: Draft, _company: Company) -> Mapping[str, Any]:
        return contacts.contact_body(draft.buyer)

    @understood
    async def find_invoice(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, _customer_ids: Sequence[str]
    ) -> Invoice | None:
        where = f'Type=="ACCREC" AND Reference=="{draft.marker}"'
        found = await find(calls, user, "Invoices", where=where, page="1")
        return documents.read_invoice(found[0]) if found else None

    @understood
    async def create_invoice(
        self, calls: PartnerCalls, user: PartnerUser, creation: Creation
    ) -> Invoice:
        body = documents.invoice_body(creation.draft, creation.customer.id, creation.settings)
        answer = await put(calls, user, "Invoices", dict(body), creation.token)
        raise_for(answer)
        return documents.read_invoice(answer.payload["Invoices"][0], created=True)

    def invoice_body(
        self, draft: Draft, _company: Company, customer_id: str, settings: InvoicesSettings
    ) -> Mapping[str, Any]:
        return documents.invoice_body(draft, customer_id, settings)

    @understood
    async def read_invoice(
        self, calls: PartnerCalls, user: PartnerUser, invoice_id: str
    ) -> Invoice | None:
        answer = await calls.read(user, "GET", target_of(f"Invoices/{invoice_id}"))
        if answer.status == 404:
            return None
        raise_for(answer)
        return documents.read_invoice(answer.payload["Invoices"][0])

    @understood
    async def send_invoice(
        self, calls: PartnerCalls, user: PartnerUser, invoice_id: str, _email: str
    ) -> None:
        """Xero sends to the contact's own address."""
        raise_for(await calls.send(user, "POST", target_of(f"Invoices/{invoice_id}/Email")))

    @understood
    async def choices(self, calls: PartnerCalls, user: PartnerUser) -> Choices:
        return await read_choices(calls, user)

    def findings(
        self, company: Company, choices: Choices, settings: InvoicesSettings
    ) -> list[Finding]:
        return findings(company, choices, settings)

    def invoice_in(self, topic: str, payload: Mapping[str, Any]) -> str | None:
        found = payload.get("resourceId")
        return found if topic.startswith(TOPIC) and is_name(found) else None

    @understood
    async def changed_since(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, page: int
    ) -> tuple[Sequence[str], bool]:
        """Changed invoices, of which the voided and the deleted are some."""
        headers = {"If-Modified-Since": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}"}
        query = {"page": str(page), "pageSize": str(PAGE_SIZE), "summaryOnly": "true"}
        found = await find(calls, user, "Invoices", headers, **query)
        return [str(each["InvoiceID"]) for each in found], len(found) == PAGE_SIZE


def _day(text: str) -> str:
    """A lock date, in either of Xero's forms, as YYYY-MM-DD."""
    if text.startswith("/Date("):
        milliseconds = int(text.removeprefix("/Date(").split("+")[0].split(")")[0])
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d}"
    return text[:10]

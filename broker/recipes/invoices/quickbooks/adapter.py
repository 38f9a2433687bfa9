"""QuickBooks Online as an accounting system
(https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/invoice).

`requestid` is not believed alone: two payments with one have been seen. So an invoice bears its
deal's marker in its private note, and is looked for before it is created.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from broker.crm.partners import PartnerCalls, PartnerUser, understood
from broker.providers.webhooks import is_name
from broker.recipes.base import Finding
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import (
    Choices,
    Company,
    Creation,
    Customer,
    Draft,
    Invoice,
)
from broker.recipes.invoices.quickbooks import customers, documents
from broker.recipes.invoices.quickbooks.api import MOST_ROWS, find, literal, one_of, read, target_of
from broker.recipes.invoices.quickbooks.choosing import findings, read_choices
from broker.recipes.invoices.quickbooks.refusals import (
    DUPLICATE_NUMBER,
    NOT_FOUND,
    code_of,
    raise_for,
)

TOPIC = "qbo.invoice."
OCTETS = {"Content-Type": "application/octet-stream"}


class QuickBooksBooks:
    """Companies of QuickBooks Online."""

    provider = "quickbooks"

    @understood
    async def company(self, calls: PartnerCalls, user: PartnerUser, _currency: str) -> Company:
        info_answer = await read(calls, user, f"companyinfo/{user.account_id}")
        raise_for(info_answer)
        preferences_answer = await read(calls, user, "preferences")
        raise_for(preferences_answer)
        info, preferences = (
            info_answer.payload["CompanyInfo"],
            preferences_answer.payload["Preferences"],
        )
        currency = preferences.get("CurrencyPrefs") or {}
        sales = preferences.get("SalesFormsPrefs") or {}
        home = str((currency.get("HomeCurrency") or {}).get("value", "USD"))
        several = bool(currency.get("MultiCurrencyEnabled"))
        accounting = preferences.get("AccountingInfoPrefs") or {}
        return Company(
            name=str(info.get("CompanyName", "")),
            country=str(info.get("Country", documents.US)),
            home_currency=home,
            currencies=None if several else frozenset({home}),
            time_zone=str(info.get("DefaultTimeZone") or "UTC"),
            closed_until=accounting.get("BookCloseDate") or None,
            multicurrency=several,
            custom_numbers=bool(sales.get("CustomTxnNumbers")),
            service_dates=bool(sales.get("AllowServiceDate")),
        )

    def check(self, company: Company, draft: Draft, settings: InvoicesSettings) -> None:
        documents.check(company, draft, settings)

    @understood
    async def find_customer(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, company: Company
    ) -> Customer | None:
        return await customers.find_customer(calls, user, draft, company)

    @understood
    async def create_customer(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, company: Company, token: UUID
    ) -> Customer:
        return await customers.create_customer(calls, user, draft, company, token)

    def customer_body(self, draft: Draft, company: Company) -> Mapping[str, Any]:
        return customers.customer_body(draft, company)

    @understood
    async def find_invoice(
        self, calls: PartnerCalls, user: PartnerUser, draft: Draft, customer_ids: Sequence[str]
    ) -> Invoice | None:
        """Look through the customers' newest invoices: private notes cannot be filtered by."""
        rest = f"WHERE CustomerRef IN {one_of(customer_ids)} ORDERBY MetaData.CreateTime DESC"
        for record in await find(calls, user, "Invoice", rest):
            if documents.bears(record, draft.marker):
                return documents.read_invoice(record)
        return None

    @understood
    async def create_invoice(
        self, calls: PartnerCalls, user: PartnerUser, creation: Creation
    ) -> Invoice:
        draft, settings = creation.draft, creation.settings
        body = self.invoice_body(draft, creation.company, creation.customer.id, settings)
        request_id = str(uuid5(creation.token, json.dumps(body, default=str)))
        answer = await calls.send(
            user, "POST", target_of(user, "invoice", requestid=request_id), dict(body)
        )
        number = documents.number_of(draft, settings)
        if code_of(answer) == DUPLICATE_NUMBER and number is not None:
            # The deal's own, made for another customer by an attempt whose answer was lost?
            for record in await find(
                calls, user, "Invoice", f"WHERE DocNumber = {literal(number)}"
            ):
                if documents.bears(record, draft.marker):
                    return documents.read_invoice(record)
        raise_for(answer)
        return documents.read_invoice(answer.payload["Invoice"], created=True)

    def invoice_body(
        self, draft: Draft, company: Company, customer_id: str, settings: InvoicesSettings
    ) -> Mapping[str, Any]:
        return documents.invoice_body(draft, company, customer_id, settings)

    @understood
    async def read_invoice(
        self, calls: PartnerCalls, user: PartnerUser, invoice_id: str
    ) -> Invoice | None:
        answer = await read(calls, user, f"invoice/{invoice_id}")
        if answer.status == 404 or code_of(answer) == NOT_FOUND:
            return None
        raise_for(answer)
        return documents.read_invoice(answer.payload["Invoice"])

    @understood
    async def send_invoice(
        self, calls: PartnerCalls, user: PartnerUser, invoice_id: str, email: str
    ) -> None:
        target = target_of(user, f"invoice/{invoice_id}/send", sendTo=email)
        raise_for(await calls.send(user, "POST", target, headers=OCTETS))

    @understood
    async def choices(self, calls: PartnerCalls, user: PartnerUser) -> Choices:
        return await read_choices(calls, user)

    def findings(
        self, company: Company, choices: Choices, settings: InvoicesSettings
    ) -> list[Finding]:
        return findings(company, choices, settings)

    def invoice_in(self, topic: str, payload: Mapping[str, Any]) -> str | None:
        found = payload.get("intuitentityid")
        return found if topic.startswith(TOPIC) and is_name(found) else None

    @understood
    async def changed_since(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, page: int
    ) -> tuple[Sequence[str], bool]:
        """What was changed or deleted, by change data capture; more than its one page holds by
        queries.
        """
        if page > 1:
            rest = f"WHERE MetaData.LastUpdatedTime >= {literal(since.isoformat())}"
            start = (page - 2) * MOST_ROWS + 1
            records = await find(calls, user, "Invoice", f"{rest} ORDERBY Id STARTPOSITION {start}")
            return [str(each["Id"]) for each in records], len(records) == MOST_ROWS
        target = target_of(user, "cdc", entities="Invoice", changedSince=since.isoformat())
        answer = await calls.read(user, "GET", target)
        raise_for(answer)
        found = [
            str(record["Id"])
            for response in answer.payload["CDCResponse"]
            for part in response["QueryResponse"]
            for record in part.get("Invoice", ())
        ]
        return found, len(found) >= MOST_ROWS

"""The steps of a run: from a deal to one invoice, and back onto the deal.

Why there is one invoice
------------------------
One run exists for a deal of an account, and one row of `deal_invoice`, whichever apps and users
ask: it is written before the invoice is asked for and names the company. The invoice bears the
deal's marker and is looked for before every attempt; the row's token makes the vendor's
idempotency keys, so that an attempt that is still under way at the vendor answers for the next one
too. A refusal deletes the row, and with it the token: the vendor might repeat the refusal for a
key.

Why a customer is not made twice
--------------------------------
Names are unique at both vendors, and a customer's name follows from the record in HubSpot: of two
runs that make one at once the second is refused, and takes the first one's.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from broker.crm.object_types import COMPANIES, CONTACTS, DEALS
from broker.crm.partners import PartnerCalls, PartnerUser
from broker.crm.records import CrmRecords, HubSpotUser, user_of
from broker.domain.runs import RetryLater, Run, Step, StepContext, VendorUnavailable
from broker.errors import (
    BrokerError,
    Busy,
    InputRefused,
    OtherAccount,
    ProviderTimeout,
    ProviderUnavailable,
)
from broker.recipes.invoices.deals import dated, read_deal
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Books, Company, Creation, Customer, Draft, Invoice
from broker.recipes.invoices.quickbooks.adapter import QuickBooksBooks
from broker.recipes.invoices.writes import deal_properties, error_properties
from broker.recipes.invoices.xero.adapter import XeroBooks
from broker.recipes.settings import RecipeSetup
from broker.stores.recipes.invoices import DealInvoices, ReservedInvoice

log = logging.getLogger(__name__)

ADAPTERS: tuple[Books, ...] = (QuickBooksBooks(), XeroBooks())
BOOKS: Mapping[str, Books] = {each.provider: each for each in ADAPTERS}
"""The adapters, by the provider of the app that the settings name."""

PASSING = (ProviderUnavailable, ProviderTimeout, VendorUnavailable, Busy)
"""Refusals that time may heal: the deal shows no error for them."""

UNSENT = frozenset({"created"})


def books_of(provider: str) -> Books:
    """The adapter for a provider. Raises InputRefused for one that keeps no books."""
    if provider not in BOOKS:
        raise InputRefused(
            "The app that accountingApp names does not belong to an accounting system. Name an app "
            f"of one of: {', '.join(sorted(BOOKS))}."
        )
    return BOOKS[provider]


class InvoiceSteps:
    """The steps, in one process."""

    def __init__(
        self,
        setup: RecipeSetup[InvoicesSettings],
        partners: PartnerCalls,
        crm: CrmRecords,
        invoices: DealInvoices,
    ) -> None:
        self._setup = setup
        self._partners = partners
        self._crm = crm
        self._invoices = invoices

    def steps(self) -> Sequence[Step]:
        return (
            Step("read-deal", self._shown_on_deal(self.read_deal)),
            Step("create-invoice", self._shown_on_deal(self.create_invoice), has_side_effect=True),
            Step("send-invoice", self._shown_on_deal(self.send_invoice), has_side_effect=True),
            Step("write-back", self._shown_on_deal(self.write_back), has_side_effect=True),
        )

    async def read_deal(self, context: StepContext) -> Mapping[str, Any]:
        """The draft, and the company in which the run acts from now on."""
        run, settings = context.run, await self._settings(context.run)
        partner = await self._partners.user(
            run.workspace_id, settings.accountingApp, run.user_ref or ""
        )
        draft, company = await self.prepare(_user(run), partner, run.input["dealId"], settings)
        return {
            "app": partner.app_slug,
            "provider": partner.provider,
            "account": partner.account_id,
            "draft": draft.model_dump(mode="json"),
            "company": company.model_dump(mode="json"),
        }

    async def prepare(
        self, user: HubSpotUser, partner: PartnerUser, deal_id: str, settings: InvoicesSettings
    ) -> tuple[Draft, Company]:
        """A deal's draft and the company that it is for. Raises InputRefused for all that can be
        seen to fail before anything is written.
        """
        books = books_of(partner.provider)
        undated = await read_deal(self._crm.reader(user), user, deal_id, settings)
        company = await books.company(self._partners, partner, undated.currency)
        draft = dated(undated, company.time_zone, settings.dueDays)
        books.check(company, draft, settings)
        return draft, company

    async def create_invoice(self, context: StepContext) -> Mapping[str, Any]:
        """Find or make the customer; find or make the invoice."""
        run, settings, partner = context.run, await self._settings(context.run), _partner(context)
        draft = _draft(context)
        company = Company.model_validate(context.outcomes["read-deal"]["company"])
        reserved = await self._invoices.reserve(
            run, draft.deal_id, partner.app_slug, partner.provider, partner.account_id
        )
        books, looked = books_of(partner.provider), not context.outcome_unknown
        try:
            customer = await self._customer(partner, draft, company, reserved)
            await self._invoices.add_customer(run, customer.id)
            invoice = await self._invoice(partner, draft, customer, reserved)
            looked = True
            if invoice is None:
                creation = Creation(draft, company, customer, settings, reserved.token)
                invoice = await books.create_invoice(self._partners, partner, creation)
        except InputRefused:
            if looked:  # else an earlier attempt may have made it
                await self._invoices.release(run)
            raise
        await self._invoices.record(run.workspace_id, run.id, invoice.id, invoice.status)
        difference = invoice.net - draft.amount
        return {
            "invoiceId": invoice.id,
            "invoiceNumber": invoice.number,
            "status": invoice.status,
            "customerId": customer.id,
            "customerCreated": customer.created,
            "created": invoice.created,
            "total": format(invoice.total, "f"),
            "currency": draft.currency,
            **({"difference": format(difference, "f")} if difference else {}),
        }

    async def _customer(
        self, partner: PartnerUser, draft: Draft, company: Company, reserved: ReservedInvoice
    ) -> Customer:
        books, calls = books_of(partner.provider), self._partners
        found = await books.find_customer(calls, partner, draft, company)
        if found is not None:
            return found
        return await books.create_customer(calls, partner, draft, company, reserved.token)

    async def _invoice(
        self, partner: PartnerUser, draft: Draft, customer: Customer, reserved: ReservedInvoice
    ) -> Invoice | None:
        """The deal's invoice, if there is one; a customer that is new has none."""
        books, calls = books_of(partner.provider), self._partners
        if reserved.invoice_id is not None:
            known = await books.read_invoice(calls, partner, reserved.invoice_id)
            if known is not None:
                return known
        customer_ids = {*reserved.customers} | (set() if customer.created else {customer.id})
        if not customer_ids:
            return None
        return await books.find_invoice(calls, partner, draft, sorted(customer_ids))

    async def send_invoice(self, context: StepContext) -> Mapping[str, Any]:
        """E-mail the invoice if the settings say so, unless the vendor says that it was sent."""
        settings, partner, draft = (
            await self._settings(context.run),
            _partner(context),
            _draft(context),
        )
        books, invoice_id = books_of(partner.provider), context.outcomes["create-invoice"]
        if not settings.sendEmail or draft.buyer.email is None:
            return {"emailed": False}
        invoice = await books.read_invoice(self._partners, partner, invoice_id["invoiceId"])
        if invoice is None:
            raise InputRefused("The invoice was deleted in the accounting system meanwhile.")
        if invoice.status not in UNSENT:
            return {"emailed": invoice.status == "sent", "status": invoice.status}
        await books.send_invoice(self._partners, partner, invoice.id, draft.buyer.email)
        await self._invoices.record(context.run.workspace_id, context.run.id, invoice.id, "sent")
        return {"emailed": True, "status": "sent"}

    async def write_back(self, context: StepContext) -> Mapping[str, Any]:
        """Show the invoice on the deal, and the customer on the record that is billed."""
        run, settings = context.run, await self._settings(context.run)
        made = {**context.outcomes["create-invoice"], **context.outcomes["send-invoice"]}
        known = await self._invoices.of_run(run.workspace_id, run.id)
        if known is not None and known.status is not None:  # a retry may come after a payment
            made["status"] = known.status
        writer, partner, draft = self._crm.writer(_user(run)), _partner(context), _draft(context)
        changes = deal_properties(settings, partner.account_id, made, draft)
        written = not changes or await writer.update(DEALS, draft.deal_id, changes)
        name = settings.customer.customerId
        if name is not None:
            _, kind, record_id = draft.buyer.key.rsplit("-", 2)
            customer = {name: f"{partner.account_id}:{made['customerId']}"}
            record_type = COMPANIES if kind == "company" else CONTACTS
            await writer.update(record_type, record_id, customer)
        return {"writtenBack": written}

    def _shown_on_deal(
        self, step: Callable[[StepContext], Awaitable[Mapping[str, Any]]]
    ) -> Callable[[StepContext], Awaitable[Mapping[str, Any]]]:
        """A step whose refusal the deal shows, before the run ends with it."""

        async def run(context: StepContext) -> Mapping[str, Any]:
            try:
                return await step(context)
            except PASSING:
                raise
            except BrokerError as refusal:
                await self._show_error(context.run, refusal)
                raise

        return run

    async def _show_error(self, run: Run, refusal: BrokerError) -> None:
        try:
            settings = await self._settings(run)
            changes = error_properties(settings, refusal.detail or refusal.title())
            if changes:
                await self._crm.writer(_user(run)).update(DEALS, run.input["dealId"], changes)
        except (BrokerError, RetryLater) as unwritten:
            reason = unwritten.code if isinstance(unwritten, BrokerError) else unwritten.reason
            log.warning("run_error_not_shown", extra={"run": str(run.id), "reason": reason})

    async def _settings(self, run: Run) -> InvoicesSettings:
        return (await self._setup.of_app(run.workspace_id, run.app_id)).model


def build_result(context: StepContext) -> Mapping[str, Any]:
    """A run's result."""
    made, sent = context.outcomes["create-invoice"], context.outcomes["send-invoice"]
    return {"ok": True, **made, **sent, **context.outcomes["write-back"]}


def _user(run: Run) -> HubSpotUser:
    user = user_of(run)
    if user is None:
        raise OtherAccount("The run acts for no user.")
    return user


def _partner(context: StepContext) -> PartnerUser:
    """The user of the company in which the run began."""
    bound, run = context.outcomes["read-deal"], context.run
    return PartnerUser(
        run.workspace_id, bound["app"], run.user_ref or "", bound["provider"], bound["account"]
    )


def _draft(context: StepContext) -> Draft:
    return Draft.model_validate(context.outcomes["read-deal"]["draft"])

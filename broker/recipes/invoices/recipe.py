"""The invoices recipe: a won deal becomes one invoice in QuickBooks or Xero, and the deal shows
what became of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from broker.crm.object_types import DEALS
from broker.crm.records import HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.model import App, Caller
from broker.domain.runs import RetryLater, RunRecord, RunRequest, Step, StepContext
from broker.errors import BrokerError
from broker.recipes.base import (
    DefaultRecipe,
    Finding,
    PropertyDefinitions,
    RecipeDeps,
    StartingRecord,
)
from broker.recipes.invoices import writes
from broker.recipes.invoices.models import InvoiceRequest, InvoicesSettings
from broker.recipes.invoices.offers import Offers, read_offers
from broker.recipes.invoices.port import Invoice
from broker.recipes.invoices.status import InvoiceStatus
from broker.recipes.invoices.steps import InvoiceSteps, books_of, build_result
from broker.recipes.settings import RecipeSetup, StoredSettings
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.services.runs.tasks import TaskKind
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.invoices import DealInvoices

STAGE = "dealstage"


class InvoicesRecipe(DefaultRecipe[InvoicesSettings]):
    """The recipe in one process."""

    def __init__(self, deps: RecipeDeps, setup: RecipeSetup[InvoicesSettings]) -> None:
        self.setup = setup
        self._crm = deps.crm
        self._accounts = deps.accounts
        self._partners = deps.partners
        self.invoices = DealInvoices(deps.database)
        self._steps = InvoiceSteps(setup, deps.partners, deps.crm, self.invoices)
        self._status = InvoiceStatus(setup, deps.partners, deps.crm, self.invoices)

    def steps(self) -> Sequence[Step]:
        return self._steps.steps()

    def build_result(self, context: StepContext) -> Mapping[str, Any]:
        return build_result(context)

    async def run_request(self, app: App, caller: Caller, body: InvoiceRequest) -> RunRequest:
        settings = await self.setup.get(app)
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        return await self.record_request(StartingRecord(app.id, user, DEALS, body.dealId), settings)

    async def record_request(
        self, record: StartingRecord, _settings: StoredSettings[InvoicesSettings]
    ) -> RunRequest:
        """The run for a deal: one, whoever starts it and however often."""
        user, deal_id = record.user, record.record_id
        return RunRequest(
            user.workspace_id,
            record.app_id,
            self.setup.name,
            f"{user.hub_id}-{deal_id}",
            user.user_ref,
            user.hub_id,
            {"dealId": deal_id},
        )

    async def dry_run(self, app: App, caller: Caller, body: InvoiceRequest) -> Mapping[str, Any]:
        """Both sides' writes: the customer where one has to be made, the invoice, the deal."""
        settings = (await self.setup.get(app)).model
        user = await self._accounts.user(app, caller, body.userForeignIdentifier)
        partner = await self._partners.user(
            user.workspace_id, settings.accountingApp, user.user_ref
        )
        draft, company = await self._steps.prepare(user, partner, body.dealId, settings)
        books = books_of(partner.provider)
        known = await self.invoices.of_deal(user.workspace_id, user.hub_id, body.dealId)
        if known is not None and known.invoice_id is not None:
            return {"invoiceId": known.invoice_id, "status": known.status, "wouldSend": None}
        customer = await books.find_customer(self._partners, partner, draft, company)
        invoice: Invoice | None = None
        if customer is not None:
            invoice = await books.find_invoice(self._partners, partner, draft, [customer.id])
        if invoice is not None:
            return {"invoiceId": invoice.id, "status": invoice.status, "wouldSend": None}
        customer_id = None if customer is None else customer.id
        body_sent = books.invoice_body(draft, company, customer_id or "(new)", settings)
        made = {
            "invoiceId": "(new)",
            "invoiceNumber": "(new)",
            "status": "sent" if settings.sendEmail else "created" if settings.approve else "draft",
        }
        return {
            "customerId": customer_id,
            "customerCreated": customer is None,
            "currency": draft.currency,
            "wouldSend": {
                "customer": None if customer else books.customer_body(draft, company),
                "invoice": body_sent,
                "email": draft.buyer.email if settings.sendEmail else None,
            },
            "wouldWrite": {
                "deal": writes.deal_properties(settings, partner.account_id, made, draft)
            },
        }

    async def current(self, workspace_id: UUID, run: RunRecord) -> RunRecord:
        """A finished run's result with the status that the vendor has now."""
        if run.result is None:
            return run
        known = await self.invoices.of_run(workspace_id, run.id)
        if known is None or known.status is None:
            return run
        return replace(run, result={**run.result, "status": known.status})

    def task_kinds(self) -> Sequence[TaskKind]:
        return (self._status.task_kind(),)

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        users: Mapping[str, Sequence[str]],
    ) -> None:
        await self._status.watch(locked, events, users)

    async def poll(self, due: DuePoll) -> PollResult:
        return await self._status.poll(due)

    def properties(self, settings: InvoicesSettings) -> Sequence[PropertyDefinitions]:
        return writes.definitions(settings)

    async def findings(
        self, _app: App, user: HubSpotUser, settings: StoredSettings[InvoicesSettings]
    ) -> list[Finding]:
        """Whether the company can take the invoices that the settings make."""
        model = settings.model
        try:
            partner = await self._partners.user(
                user.workspace_id, model.accountingApp, user.user_ref
            )
            books = books_of(partner.provider)
            currency, found = "", list[Finding]()
            if user.hub_id is not None:
                found = await self._deal_findings(user, model)
                currency = (await self._crm.reader(user).account()).currency or ""
            company = await books.company(self._partners, partner, currency)
            choices = await books.choices(self._partners, partner)
        except RetryLater as later:
            return [Finding(about="accounting", message=later.reason, remedy="Check again later.")]
        except BrokerError as refusal:
            message = refusal.detail or refusal.title()
            remedy = f"Have the user connect QuickBooks or Xero with the app {model.accountingApp}."
            return [Finding(about="accounting", message=message, remedy=remedy)]
        if currency and not company.has_currency(currency):
            message = (
                f"The HubSpot account's currency is {currency}; {company.name} has only "
                f"{', '.join(sorted(company.currencies or ()))}."
            )
            remedy = f"Deals in {currency} are refused. Add the currency in the accounting system."
            found.append(Finding(about="currency", message=message, remedy=remedy))
        return found + books.findings(company, choices, model)

    async def offers(self, user: HubSpotUser, accounting_app: str) -> Offers:
        """What a user's two accounts offer to the settings."""
        return await read_offers(self._crm.reader(user), self._partners, user, accounting_app)

    async def _deal_findings(self, user: HubSpotUser, settings: InvoicesSettings) -> list[Finding]:
        """Whether the trigger's stage is one of the account's."""
        trigger = settings.trigger
        if trigger is None or trigger.property != STAGE:
            return []
        stages = await self._crm.reader(user).stages(DEALS)
        if any(each.id == trigger.value for each in stages):
            return []
        known = ", ".join(
            f"{each.id} ({each.pipeline_label}: {each.label})" for each in stages[:20]
        )
        return [
            Finding(
                about="trigger",
                message=f"No pipeline of the account has the stage {trigger.value}.",
                remedy=f"Put the id of one, not its label: {known}.",
            )
        ]

"""What becomes of an invoice at the vendor, on its way back onto the deal.

A webhook or a poll only says that an invoice has changed: the deal's update is due until HubSpot
has taken it, and reads the invoice as it is then. So neither sequence nor repeats matter.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from broker.concurrency.backoff import Backoff
from broker.crm.object_types import DEALS
from broker.crm.partners import PartnerCalls, PartnerUser
from broker.crm.records import CrmRecords, HubSpotUser
from broker.domain.events import ProviderEvent
from broker.domain.runs import RunTask
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.steps import BOOKS, books_of
from broker.recipes.invoices.writes import status_properties
from broker.recipes.settings import RecipeSetup
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.services.runs.tasks import TaskKind
from broker.stores.events.webhook_inbox import LockedBatch
from broker.stores.recipes.invoices import DEAL_UPDATE, DealInvoices, update_deals

RETRIES = Backoff(
    schedule=(1, 5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400), jitter=(0.7, 1.3)
)
"""Twelve attempts at an update of a deal in about two days, unless one succeeds."""

POLL_S = 900.0
"""How often a company is polled. Intuit counts an app's reads in a month over all its companies
(500,000 in the smallest tier), of which this takes 3,000 for each; webhooks are faster.
"""

OVERLAP = timedelta(minutes=10)
"""How far back each look reaches: vendors' clocks differ."""

LONGEST_LOOK = timedelta(days=29)
"""How far back QuickBooks tells changes at most is 30 days."""


class InvoiceStatus:
    """Lets deals show what became of their invoices."""

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

    def task_kind(self) -> TaskKind:
        """What updating a deal is, for the worker."""
        return TaskKind(DEAL_UPDATE, RETRIES, self._update_deal)

    async def watch(
        self,
        locked: LockedBatch,
        events: Sequence[ProviderEvent],
        users: Mapping[str, Sequence[str]],
    ) -> None:
        """Make the updates of deals due whose invoices the events name."""
        batch, changed = locked.batch, dict[str, set[str]]()
        books = BOOKS.get(batch.provider)
        if books is None:
            return
        for event in events:
            invoice_id = books.invoice_in(event.topic, event.data["payload"])
            if invoice_id is not None and users.get(event.account_id):
                changed.setdefault(event.account_id, set()).add(invoice_id)
        for account_id, invoice_ids in changed.items():
            await update_deals(
                locked.session, batch.workspace_id, batch.provider, account_id, sorted(invoice_ids)
            )

    async def poll(self, due: DuePoll) -> PollResult:
        """Look for changed invoices; the cursor lies some minutes back."""
        partner, earliest = due.partner, due.started_at - LONGEST_LOOK
        cursor = due.cursor or {"since": due.begins_at.isoformat()}
        since = max(datetime.fromisoformat(cursor["since"]) - OVERLAP, earliest)
        page, began = int(cursor.get("page", 1)), cursor.get("began", due.started_at.isoformat())
        found, more = await books_of(partner.provider).changed_since(
            self._partners, partner, since, page
        )
        workspace_id = partner.workspace_id
        await self._invoices.update_deals(workspace_id, partner.provider, partner.account_id, found)
        if more:
            return PollResult({**cursor, "page": page + 1, "began": began}, 0)
        return PollResult({"since": began}, POLL_S)

    async def _update_deal(self, task: RunTask) -> str | None:
        settings = (await self._setup.of_app(task.workspace_id, task.app_id)).model
        known = await self._invoices.of_run(task.workspace_id, task.run_id)
        if known is None or known.invoice_id is None or task.user_ref is None:
            return None
        partner = PartnerUser(
            task.workspace_id, known.partner_app, task.user_ref, known.provider, known.account_id
        )
        invoice = await books_of(known.provider).read_invoice(
            self._partners, partner, known.invoice_id
        )
        status = "deleted" if invoice is None else invoice.status
        changes = status_properties(settings, status)
        if changes:
            user = HubSpotUser(task.workspace_id, task.app_slug, task.user_ref, task.hub_id)
            if not await self._crm.writer(user).update(DEALS, known.deal_id, changes):
                return "deal-gone"
        await self._invoices.record(task.workspace_id, task.run_id, known.invoice_id, status)
        return None

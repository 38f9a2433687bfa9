"""The invoices of deals: reserved before they are asked for, and found again by their ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from broker.domain.runs import Run
from broker.errors import OtherAccount
from broker.stores.core.database import Database, Session
from broker.stores.core.queries import sql
from broker.stores.recipes.tasks import enqueue

DEAL_UPDATE = "invoice-status"
"""The kind of task that lets a deal show what became of its invoice."""


@dataclass(frozen=True, slots=True)
class ReservedInvoice:
    """What is known of an invoice that a run asks for; `invoice_id` once it is there."""

    token: UUID
    customers: Sequence[str]
    invoice_id: str | None


@dataclass(frozen=True, slots=True)
class DealInvoice:
    """The invoice of a deal, in one company; `invoice_id` None: its outcome is not known."""

    deal_id: str
    run_id: UUID
    partner_app: str
    provider: str
    account_id: str
    invoice_id: str | None
    status: str | None


class DealInvoices:
    """One invoice for each deal of a HubSpot account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def reserve(
        self, run: Run, deal_id: str, partner_app: str, provider: str, account_id: str
    ) -> ReservedInvoice:
        """Let a run ask for a deal's invoice in a company. Raises OtherAccount when another run
        has, or this one has in another company.
        """
        row = await self._database.fetchrow(
            sql.reserve_invoice,
            run.workspace_id,
            run.hub_id,
            deal_id,
            run.id,
            partner_app,
            provider,
            account_id,
            uuid4(),
        )
        if row is None:
            raise OtherAccount(
                f"The deal {deal_id} has an invoice, or may have, by another app of this workspace "
                "or in another company of the accounting system. Connect that company again, or "
                "look at the other app's run of this deal."
            )
        return ReservedInvoice(row["token"], row["customers"], row["invoice_id"])

    async def add_customer(self, run: Run, customer_id: str) -> None:
        """From now on the invoice may be for this customer."""
        await self._database.execute(
            sql.add_customer_of_invoice, run.workspace_id, run.id, customer_id
        )

    async def release(self, run: Run) -> None:
        """The vendor has refused the invoice: there is none."""
        await self._database.execute(sql.release_invoice, run.workspace_id, run.id)

    async def record(self, workspace_id: UUID, run_id: UUID, invoice_id: str, status: str) -> None:
        """Record the invoice of a run, or its new status."""
        await self._database.execute(sql.record_invoice, workspace_id, run_id, invoice_id, status)

    async def of_deal(
        self, workspace_id: UUID, hub_id: int | None, deal_id: str
    ) -> DealInvoice | None:
        row = await self._database.fetchrow(sql.invoice_of_deal, workspace_id, hub_id, deal_id)
        return _invoice(row)

    async def of_run(self, workspace_id: UUID, run_id: UUID) -> DealInvoice | None:
        return _invoice(await self._database.fetchrow(sql.invoice_of_run, workspace_id, run_id))

    async def statuses(self, workspace_id: UUID, run_ids: Sequence[UUID]) -> dict[UUID, str]:
        """The newest known status of the invoices of some runs."""
        rows = await self._database.fetch(sql.statuses_of_invoices, workspace_id, list(run_ids))
        return {row["run_id"]: row["status"] for row in rows}

    async def update_deals(
        self, workspace_id: UUID, provider: str, account_id: str, invoice_ids: Sequence[str]
    ) -> int:
        """Let the deals of changed invoices show what became of them; how many deals."""
        async with self._database.transaction() as session:
            return await update_deals(session, workspace_id, provider, account_id, invoice_ids)


async def update_deals(
    session: Session,
    workspace_id: UUID,
    provider: str,
    account_id: str,
    invoice_ids: Sequence[str],
) -> int:
    """`DealInvoices.update_deals` within the caller's transaction."""
    rows = await session.fetch(
        sql.runs_of_invoices, workspace_id, provider, account_id, list(invoice_ids)
    )
    for row in rows:
        await enqueue(session, workspace_id, row["run_id"], DEAL_UPDATE, "", {})
    return len(rows)


def _invoice(row: Any) -> DealInvoice | None:
    return None if row is None else DealInvoice(**dict(row))

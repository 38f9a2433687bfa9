"""QuickBooks' invoices: what is sent, and what an answer says. No I/O."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from broker.errors import InputRefused
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Company, Draft, Invoice, Status

NUMBER_LENGTH = 21
TAXED = frozenset({"TAX", "NON"})
US = "US"


def number_of(draft: Draft, settings: InvoicesSettings) -> str | None:
    """The number to put on the invoice, None where QuickBooks counts itself."""
    if settings.numberPrefix is None:
        return None
    return f"{settings.numberPrefix}{draft.deal_id}"[:NUMBER_LENGTH]


def check(company: Company, draft: Draft, settings: InvoicesSettings) -> None:
    """Raise InputRefused for what QuickBooks is known to refuse."""
    if not company.has_currency(draft.currency):
        raise _refused(
            "deal_currency_code",
            f"The deal is in {draft.currency}; {company.name} in QuickBooks has only "
            f"{company.home_currency}. Turn multicurrency on there (Account and settings, "
            "Advanced, Currency), or change the deal's currency, then retry.",
        )
    if settings.item is None:
        raise _refused("item", "The settings name no item. Put the id of one, then retry.")
    if company.country != US and settings.taxCode is None:
        raise _refused(
            "taxCode",
            f"{company.name} is not in the US, so every line needs a tax code. Put the id of one "
            "into the settings (there is one for exempt sales), then retry.",
        )
    if company.closed_until is not None and draft.date <= company.closed_until:
        raise _refused(
            "date",
            f"The books of {company.name} are closed until {company.closed_until}. Move the "
            "closing date in QuickBooks (Account and settings, Advanced, Accounting), then retry.",
        )
    if company.custom_numbers and settings.numberPrefix is None:
        raise _refused(
            "numberPrefix",
            f"{company.name} gives its invoices custom numbers. Put a numberPrefix into the "
            "settings, or turn custom transaction numbers off in QuickBooks, then retry.",
        )


def invoice_body(
    draft: Draft, company: Company, customer_id: str, settings: InvoicesSettings
) -> Mapping[str, Any]:
    """A new invoice. Amounts are net, so a tax that is added does not change the lines."""
    body: dict[str, Any] = {
        "CustomerRef": {"value": customer_id},
        "TxnDate": draft.date,
        "DueDate": draft.due_date,
        "PrivateNote": draft.marker,
        "EmailStatus": "NotSet",
        "Line": [
            {
                "DetailType": "SalesItemLineDetail",
                "Amount": each.amount,
                "Description": each.description,
                "SalesItemLineDetail": {
                    "ItemRef": {"value": settings.item},
                    "Qty": each.quantity,
                    "UnitPrice": each.unit_price,
                    **({"TaxCodeRef": {"value": settings.taxCode}} if settings.taxCode else {}),
                    **({"ServiceDate": draft.date} if company.service_dates else {}),
                },
            }
            for each in draft.lines
        ],
    }
    if draft.buyer.email:
        body["BillEmail"] = {"Address": draft.buyer.email}
    if company.multicurrency:
        body["CurrencyRef"] = {"value": draft.currency}
    if company.country != US:
        body["GlobalTaxCalculation"] = "TaxExcluded"
    if (number := number_of(draft, settings)) is not None:
        body["DocNumber"] = number
    return body


def read_invoice(record: Mapping[str, Any], *, created: bool = False) -> Invoice:
    """An invoice as it is answered."""
    total = Decimal(record["TotalAmt"])
    tax = Decimal((record.get("TxnTaxDetail") or {}).get("TotalTax") or 0)
    return Invoice(
        str(record["Id"]),
        str(record["DocNumber"]) if record.get("DocNumber") else None,
        _status(record, total),
        total,
        total - tax,
        str((record.get("CurrencyRef") or {}).get("value", "")),
        created,
    )


def bears(record: Mapping[str, Any], marker: str) -> bool:
    """Whether an invoice is the one of a deal: voiding puts a word before the marker."""
    return marker in str(record.get("PrivateNote") or "").split()


def _status(record: Mapping[str, Any], total: Decimal) -> Status:
    balance = Decimal(record.get("Balance") or 0)
    if total == 0:
        return "voided"
    if balance == 0:
        return "paid"
    if balance < total:
        return "partly_paid"
    return "sent" if record.get("EmailStatus") == "EmailSent" else "created"


def _refused(field: str, message: str) -> InputRefused:
    return InputRefused(message, errors=[{"field": field, "message": message}])

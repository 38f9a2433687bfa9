"""Xero's invoices: what is sent, and what an answer says. No I/O."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from broker.errors import InputRefused
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Company, Draft, Invoice, Status

ZONES = {
    "NEWZEALANDSTANDARDTIME": "Pacific/Auckland",
    "AUSEASTERNSTANDARDTIME": "Australia/Sydney",
    "EAUSTRALIASTANDARDTIME": "Australia/Brisbane",
    "CENAUSTRALIASTANDARDTIME": "Australia/Adelaide",
    "AUSCENTRALSTANDARDTIME": "Australia/Darwin",
    "WAUSTRALIASTANDARDTIME": "Australia/Perth",
    "TASMANIASTANDARDTIME": "Australia/Hobart",
    "GMTSTANDARDTIME": "Europe/London",
    "ROMANCESTANDARDTIME": "Europe/Paris",
    "WEUROPESTANDARDTIME": "Europe/Berlin",
    "CENTRALEUROPESTANDARDTIME": "Europe/Budapest",
    "EASTERNSTANDARDTIME": "America/New_York",
    "CENTRALSTANDARDTIME": "America/Chicago",
    "MOUNTAINSTANDARDTIME": "America/Denver",
    "USMOUNTAINSTANDARDTIME": "America/Phoenix",
    "PACIFICSTANDARDTIME": "America/Los_Angeles",
    "SOUTHAFRICASTANDARDTIME": "Africa/Johannesburg",
    "SINGAPORESTANDARDTIME": "Asia/Singapore",
    "CHINASTANDARDTIME": "Asia/Hong_Kong",
    "ARABIANSTANDARDTIME": "Asia/Dubai",
}
"""Xero names time zones as Windows does, without spaces; those of the countries it sells to."""


def number_of(draft: Draft, settings: InvoicesSettings) -> str | None:
    """The number to put on the invoice, None where Xero counts itself."""
    return None if settings.numberPrefix is None else f"{settings.numberPrefix}{draft.deal_id}"


def check(company: Company, draft: Draft, settings: InvoicesSettings) -> None:
    """Raise InputRefused for what Xero is known to refuse."""
    if not company.has_currency(draft.currency):
        raise _refused(
            "deal_currency_code",
            f"The deal is in {draft.currency}, which {company.name} in Xero does not use. Add the "
            "currency there (Settings, Currencies), or change the deal's, then retry.",
        )
    if settings.item is None and settings.account is None and settings.approve:
        raise _refused(
            "account",
            "The settings name neither an account nor an item. Put the code of a revenue account, "
            "then retry.",
        )
    if settings.item is None and settings.taxCode is None and settings.approve:
        raise _refused(
            "taxCode",
            "The settings name no tax type. Put one as taxCode (NONE for untaxed), then retry.",
        )
    if company.closed_until is not None and draft.date <= company.closed_until:
        raise _refused(
            "date",
            f"The books of {company.name} are locked until {company.closed_until}. Move the lock "
            "date in Xero (Accounting, Advanced, Financial settings), then retry.",
        )


def invoice_body(draft: Draft, customer_id: str, settings: InvoicesSettings) -> Mapping[str, Any]:
    """A new invoice. Amounts are net, so a tax that is added does not change the lines."""
    own = {
        "ItemCode": settings.item,
        "AccountCode": settings.account,
        "TaxType": settings.taxCode,
    }
    shared = {name: value for name, value in own.items() if value is not None}
    body: dict[str, Any] = {
        "Type": "ACCREC",
        "Contact": {"ContactID": customer_id},
        "Date": draft.date,
        "DueDate": draft.due_date,
        "LineAmountTypes": "Exclusive",
        "CurrencyCode": draft.currency,
        "Reference": draft.marker,
        "Status": "AUTHORISED" if settings.approve else "DRAFT",
        "LineItems": [
            {
                "Description": each.description,
                "Quantity": each.quantity,
                "UnitAmount": each.unit_price,
                "LineAmount": each.amount,
                **shared,
            }
            for each in draft.lines
        ],
    }
    if (number := number_of(draft, settings)) is not None:
        body["InvoiceNumber"] = number
    return body


def read_invoice(record: Mapping[str, Any], *, created: bool = False) -> Invoice:
    """An invoice as it is answered."""
    return Invoice(
        str(record["InvoiceID"]),
        str(record["InvoiceNumber"]) if record.get("InvoiceNumber") else None,
        _status(record),
        Decimal(record.get("Total") or 0),
        Decimal(record.get("SubTotal") or 0),
        str(record.get("CurrencyCode", "")),
        created,
    )


def _status(record: Mapping[str, Any]) -> Status:
    ended: dict[str, Status] = {"PAID": "paid", "VOIDED": "voided", "DELETED": "deleted"}
    status = str(record.get("Status"))
    if status in ended:
        return ended[status]
    if status != "AUTHORISED":
        return "draft"
    paid = Decimal(record.get("AmountPaid") or 0) + Decimal(record.get("AmountCredited") or 0)
    if paid:
        return "partly_paid"
    return "sent" if record.get("SentToContact") else "created"


def _refused(field: str, message: str) -> InputRefused:
    return InputRefused(message, errors=[{"field": field, "message": message}])

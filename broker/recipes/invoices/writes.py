"""What an invoice leaves in HubSpot: properties of the deal and of who is billed. No I/O."""

from collections.abc import Mapping
from typing import Any

from broker.crm.object_types import COMPANIES, CONTACTS, DEALS
from broker.crm.records import SYNC_GROUP
from broker.recipes.base import PropertyDefinitions
from broker.recipes.invoices.models import (
    CUSTOMER_ID,
    ERROR,
    INVOICE_ID,
    NUMBER,
    STATUS,
    InvoicesSettings,
)
from broker.recipes.invoices.port import Draft

ERROR_LENGTH = 1000
STATUSES = {
    "draft": "Draft",
    "created": "Created",
    "sent": "Sent",
    "partly_paid": "Partly paid",
    "paid": "Paid",
    "voided": "Voided",
    "deleted": "Deleted",
}


def deal_properties(
    settings: InvoicesSettings, account_id: str, made: Mapping[str, Any], draft: Draft
) -> dict[str, str | None]:
    """The deal's properties for its invoice. A net amount other than the deal's is shown too."""
    mapping, error = settings.writeBack, ""
    if "difference" in made:
        error = (
            f"The invoice differs by {made['difference']} {draft.currency} from the deal's "
            f"{draft.amount} {draft.currency}. Compare them."
        )
    shown: dict[str | None, str | None] = {
        mapping.invoiceId: f"{account_id}:{made['invoiceId']}",
        mapping.number: made["invoiceNumber"] or "",
        mapping.status: made["status"],
        mapping.error: error,
    }
    return {name: value for name, value in shown.items() if name is not None}


def status_properties(settings: InvoicesSettings, status: str) -> dict[str, str | None]:
    """The deal's property when the invoice's status has changed."""
    return {} if settings.writeBack.status is None else {settings.writeBack.status: status}


def error_properties(settings: InvoicesSettings, message: str) -> dict[str, str | None]:
    """The deal's property that says why there is no invoice, and what to do."""
    name = settings.writeBack.error
    return {} if name is None else {name: message[:ERROR_LENGTH]}


def definitions(settings: InvoicesSettings) -> tuple[PropertyDefinitions, ...]:
    """The properties that the recipe brings, as far as the settings use them."""
    own = {
        INVOICE_ID: _definition(INVOICE_ID, "Invoice id"),
        NUMBER: _definition(NUMBER, "Invoice number"),
        STATUS: {
            **_definition(STATUS, "Invoice status"),
            "type": "enumeration",
            "fieldType": "select",
            "options": [
                {"value": value, "label": label, "displayOrder": order, "hidden": False}
                for order, (value, label) in enumerate(STATUSES.items())
            ],
        },
        ERROR: {**_definition(ERROR, "Invoice error"), "fieldType": "textarea"},
    }
    used = settings.writeBack.model_dump().values()
    deal = {name: each for name, each in own.items() if name in used}
    billed = {
        CUSTOMER_ID: _definition(CUSTOMER_ID, "Accounting customer id"),
    }
    if settings.customer.customerId != CUSTOMER_ID:
        billed = {}
    kinds = (CONTACTS, COMPANIES) if settings.customer.billTo == "company" else (CONTACTS,)
    return (
        PropertyDefinitions(DEALS, deal),
        *(PropertyDefinitions(kind, billed) for kind in kinds if billed),
    )


def _definition(name: str, label: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "string",
        "fieldType": "text",
        "groupName": SYNC_GROUP,
    }

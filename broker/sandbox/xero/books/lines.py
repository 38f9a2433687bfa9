"""The lines of an invoice: accounts, tax types, and amounts that must add up."""

import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import amount, rounded
from broker.sandbox.xero.api.problems import Invalid
from broker.sandbox.xero.books.organisation import Organisation, Record

LINE_FIELDS = ("Description", "ItemCode", "AccountCode", "TaxType", "Tracking", "DiscountRate")
DESCRIPTION_LENGTH = 4000
AMOUNT_TYPES = ("Exclusive", "Inclusive", "NoTax")
SALES_CLASSES = {"ACCREC": "REVENUE", "ACCPAY": "EXPENSE"}


@dataclass(frozen=True, slots=True)
class Document:
    """The fields of an invoice that matter to its lines. `places` is how many decimals a unit
    amount has; an approved one needs everything filled in.
    """

    kind: str
    amounts: str
    approved: bool
    places: int


@dataclass(frozen=True, slots=True)
class Totals:
    """The lines as they are stored, and their sums."""

    lines: list[Record]
    subtotal: Decimal
    tax: Decimal
    total: Decimal


def check_lines(organisation: Organisation, sent: Any, document: Document) -> Totals:
    """Check and complete lines. Raises Invalid with every reason."""
    wrong: list[str] = []
    lines: list[Record] = []
    sent_lines = [each for each in sent or [] if isinstance(each, dict)]
    if not sent_lines and document.approved:
        wrong.append("One or more line items must be specified")
    for each in sent_lines:
        try:
            lines.append(_line(organisation, each, document))
        except Invalid as invalid:
            wrong += invalid.messages
    if wrong:
        raise Invalid(*dict.fromkeys(wrong))
    amounts = sum((each["LineAmount"] for each in lines), Decimal(0))
    tax = sum((each["TaxAmount"] for each in lines), Decimal(0))
    if document.amounts == "Inclusive":
        return Totals(lines, amounts - tax, tax, amounts)
    return Totals(lines, amounts, tax, amounts + tax)


def _line(organisation: Organisation, sent: Record, document: Document) -> Record:
    line = {name: sent[name] for name in LINE_FIELDS if sent.get(name) is not None}
    line = _with_item(organisation, line)
    if not str(line.get("Description", "")).strip():
        raise Invalid("Description must be at least 1 char.")
    if len(str(line["Description"])) > DESCRIPTION_LENGTH:
        raise Invalid(f"Description must not be longer than {DESCRIPTION_LENGTH} characters.")
    code = str(line.get("AccountCode", ""))
    account = organisation.account(code) if code else None
    if code and (account is None or account["Class"] != SALES_CLASSES[document.kind]):
        raise Invalid(f"Account code '{code}' is not a valid code for this document.")
    if document.approved and account is None:
        raise Invalid("Account code must be specified")
    tax_type = str(line.get("TaxType", ""))
    if document.amounts == "NoTax":
        tax_type = "NONE"
    elif not tax_type and document.approved:
        raise Invalid("Tax type must be specified")
    elif not tax_type:
        tax_type = str(account["TaxType"]) if account is not None else "NONE"
    rate = organisation.tax_rate(tax_type)
    if rate is None:
        raise Invalid(
            f"The TaxType code '{tax_type}' does not exist or cannot be used for this type of "
            "transaction."
        )
    quantity, price = _number(sent, "Quantity", 1), _number(sent, "UnitAmount", 0)
    price = rounded(price, document.places)
    discount = _number(sent, "DiscountRate", 0)
    total = rounded(quantity * price * (1 - discount / 100))
    stated = sent.get("LineAmount")
    if stated is not None and rounded(_number(sent, "LineAmount", 0)) != total:
        raise Invalid(f"The line total {stated} does not match the expected line total {total}")
    return {
        **line,
        "LineItemID": str(sent.get("LineItemID") or uuid.uuid4()),
        "Quantity": rounded(quantity, 4),
        "UnitAmount": price,
        "TaxType": tax_type,
        "TaxAmount": _tax(total, rate, document.amounts),
        "LineAmount": total,
        "Tracking": line.get("Tracking", []),
    }


def _with_item(organisation: Organisation, line: Record) -> Record:
    code = line.get("ItemCode")
    if not code:
        return line
    item = organisation.find("Items", Code=code)
    if item is None:
        raise Invalid(f"Item code '{code}' is not valid")
    details = item.get("SalesDetails", {})
    own = {"Description": item.get("Description", item["Name"])}
    own |= {name: details[name] for name in ("AccountCode", "TaxType") if name in details}
    return own | line


def _number(sent: Record, name: str, otherwise: int) -> Decimal:
    if sent.get(name) is None:
        return Decimal(otherwise)
    read = amount(sent[name])
    if read is None:
        raise Invalid(f"{name} is not a valid number")
    return read


def _tax(total: Decimal, rate: Decimal, amounts: str) -> Decimal:
    if amounts == "Inclusive":
        return rounded(total - total / (1 + rate / 100))
    return rounded(total * rate / 100)

"""Invoices: statuses, unique numbers, totals, dates and currencies."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import amount, rounded
from broker.sandbox.xero.api.problems import Invalid
from broker.sandbox.xero.api.rendering import date_of, moment_of
from broker.sandbox.xero.books import contacts
from broker.sandbox.xero.books.fields import INVOICE
from broker.sandbox.xero.books.lines import AMOUNT_TYPES, Document, check_lines
from broker.sandbox.xero.books.organisation import Organisation, Record

TEXT_LENGTH = 255
KINDS = ("ACCREC", "ACCPAY")
# Which statuses may follow which; "" is an invoice that does not exist yet.
FOLLOWING = {
    "": {"DRAFT", "SUBMITTED", "AUTHORISED"},
    "DRAFT": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "SUBMITTED": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "AUTHORISED": {"AUTHORISED", "VOIDED"},
}
APPROVED = frozenset({"SUBMITTED", "AUTHORISED"})
NOT_MODIFIABLE = "Invoice not of valid status for modification"
RATES = {"NZD": "1", "GBP": "0.46", "USD": "0.58", "EUR": "0.53", "AUD": "0.91"}
_WIRE_DATE = re.compile(r"/Date\((\d+)")


def find(organisation: Organisation, sent: Record) -> Record | None:
    """The invoice that an element means, by id, or by number when it has no id."""
    if sent.get("InvoiceID"):
        return organisation.find("Invoices", InvoiceID=sent["InvoiceID"])
    return same_number(organisation, sent)


def same_number(organisation: Organisation, sent: Record) -> Record | None:
    number = str(sent.get("InvoiceNumber") or "")
    found = organisation.find("Invoices", InvoiceNumber=number) if number else None
    return found if found is not None and found["Type"] == sent.get("Type", found["Type"]) else None


def save(organisation: Organisation, sent: Record, old: Record | None, places: int) -> Record:
    """Save a new invoice, or a change of an old one."""
    if sent.get("InvoiceID") and old is None:
        raise Invalid("The invoice ID could not be found.")
    record = {**(old or {}), **{name: value for name, value in sent.items() if value is not None}}
    status = str(record.get("Status", "DRAFT"))
    before = str(old["Status"]) if old is not None else ""
    if status not in FOLLOWING.get(before, set()):
        raise Invalid(NOT_MODIFIABLE if old is not None else "Invoice Status is not valid")
    if old is not None and status in {"VOIDED", "DELETED"}:
        return _ended(organisation, old, status)
    if record.get("Type") not in KINDS:
        raise Invalid("Invoice Type must be either ACCREC or ACCPAY")
    document = Document(
        record["Type"],
        str(record.get("LineAmountTypes", "Exclusive")),
        status in APPROVED,
        places,
    )
    if document.amounts not in AMOUNT_TYPES:
        raise Invalid("LineAmountTypes is not valid")
    contact = contacts.for_document(organisation, record.get("Contact"))
    dates = _dates(organisation, record, approved=document.approved)
    if len(str(record.get("Reference", ""))) > TEXT_LENGTH:
        raise Invalid(f"Reference must not be longer than {TEXT_LENGTH} characters.")
    number = _number(organisation, record, old)
    currency = _currency(organisation, record)
    totals = check_lines(organisation, record.get("LineItems"), document)
    paid = old["AmountPaid"] if old is not None else Decimal(0)
    return organisation.save(
        "Invoices",
        "InvoiceID",
        {
            **{name: record[name] for name in INVOICE & set(record)},
            **dates,
            **currency,
            "InvoiceNumber": number,
            "Contact": {"ContactID": contact["ContactID"], "Name": contact["Name"]},
            "Status": status,
            "LineAmountTypes": document.amounts,
            "LineItems": totals.lines,
            "SubTotal": totals.subtotal,
            "TotalTax": totals.tax,
            "Total": totals.total,
            "AmountPaid": paid,
            "AmountCredited": Decimal(0),
            "AmountDue": totals.total - paid,
            "Payments": old["Payments"] if old is not None else [],
            "SentToContact": bool(record.get("SentToContact", False)),
        },
    )


def shown(record: Record, *, full: bool) -> Record:
    """An invoice as the API shows it; lists without paging leave its lines out."""
    made = {
        **record,
        "UpdatedDateUTC": moment_of(record["UpdatedDateUTC"]),
        "Payments": [{**each, "Date": date_of(each["Date"])} for each in record["Payments"]],
        "CreditNotes": [],
        "Prepayments": [],
        "Overpayments": [],
        "HasErrors": False,
        "IsDiscounted": False,
        "HasAttachments": False,
        **_shown_dates(record, "Date", "DueDate"),
    }
    if "FullyPaidOnDate" in record:
        made["FullyPaidOnDate"] = date_of(record["FullyPaidOnDate"])
    if not full:
        made["LineItems"] = []
    return made


def _ended(organisation: Organisation, old: Record, status: str) -> Record:
    if old["Payments"]:
        raise Invalid("Invoice cannot be voided as it has payments allocated to it.")
    zero = {"AmountDue": Decimal(0), "Status": status}
    return organisation.save("Invoices", "InvoiceID", {**old, **zero})


def _dates(organisation: Organisation, record: Record, *, approved: bool) -> Record:
    day, due = (
        parse_date(record.get("Date")) or organisation.today(),
        parse_date(record.get("DueDate")),
    )
    if due is None and approved:
        raise Invalid("Due Date cannot be empty")
    check_lock(organisation, day)
    return {"Date": day} | ({"DueDate": due} if due is not None else {})


def check_lock(organisation: Organisation, day: str) -> None:
    """Refuse a date in the locked period."""
    lock = organisation.settings.lock_date
    if lock and day <= lock:
        shown_date = f"{date.fromisoformat(lock):%d %B %Y}"
        raise Invalid(
            "The document date cannot be before the period lock date, currently set at "
            f"{shown_date}"
        )


def parse_date(value: Any) -> str | None:
    """A date in either of Xero's forms as YYYY-MM-DD; None when there is none."""
    if value in {None, ""}:
        return None
    found = _WIRE_DATE.match(str(value))
    if found:
        return datetime.fromtimestamp(int(found[1]) / 1000, UTC).date().isoformat()
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError as wrong:
        raise Invalid(f"'{value}' is not a valid date") from wrong


def _number(organisation: Organisation, record: Record, old: Record | None) -> str:
    number = str(record.get("InvoiceNumber") or "")
    if len(number) > TEXT_LENGTH:
        raise Invalid(f"Invoice # must not be longer than {TEXT_LENGTH} characters.")
    if not number and record["Type"] == "ACCREC":
        return f"INV-{len(organisation.records['Invoices']) + 1:04}"
    twin = same_number(organisation, record) if record["Type"] == "ACCREC" else None
    if twin is not None and twin["InvoiceID"] != (old or {}).get("InvoiceID"):
        raise Invalid("Invoice # must be unique.")
    return number


def _currency(organisation: Organisation, record: Record) -> Record:
    home = organisation.settings.currency
    code = str(record.get("CurrencyCode") or home)
    if organisation.find("Currencies", Code=code) is None:
        raise Invalid(f"Organisation is not subscribed to currency {code}")
    rate = amount(record.get("CurrencyRate")) if record.get("CurrencyRate") else None
    if code == home:
        rate = Decimal(1)
    elif rate is None:
        rate = Decimal(RATES.get(code, "1")) / Decimal(RATES.get(home, "1"))
    return {"CurrencyCode": code, "CurrencyRate": rounded(rate, 6)}


def _shown_dates(record: Record, *names: str) -> Record:
    made: Record = {}
    for name in names:
        if name in record:
            made |= {name: date_of(record[name]), f"{name}String": f"{record[name]}T00:00:00"}
    return made

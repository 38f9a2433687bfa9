"""Invoices: what is required, what is computed, and how one is voided, deleted, sent and paid."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import amount, rounded
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.api.rendering import pacific
from broker.sandbox.quickbooks.books.company import Company, Record
from broker.sandbox.quickbooks.books.entities import ENTITIES
from broker.sandbox.quickbooks.books.lines import check_lines
from broker.sandbox.quickbooks.books.taxes import tax_of
from broker.sandbox.quickbooks.levers import Levers

NUMBER_LENGTH, NOTE_LENGTH = 21, 4000
CALCULATIONS = frozenset({"TaxExcluded", "TaxInclusive", "NotApplicable"})
RATES = {"EUR": "1.08", "GBP": "1.27", "CAD": "0.73", "AUD": "0.65", "USD": "1", "JPY": "0.0067"}
READ_ONLY = frozenset(
    {"TotalAmt", "HomeTotalAmt", "Balance", "HomeBalance", "LinkedTxn", "InvoiceLink"}
)


def invoice_fields(company: Company, sent: Record, old: Record | None, include: str) -> Record:
    """An invoice to be saved, with its totals."""
    fields = {name: value for name, value in sent.items() if name not in READ_ONLY}
    if not isinstance(fields.get("CustomerRef"), dict):
        raise problems.missing("CustomerRef")
    customer = company.active("Customer", fields["CustomerRef"])
    calculation = _calculation(company, fields)
    _check_dates(company, fields, old)
    fields["DocNumber"] = _number(company, fields.get("DocNumber"), old, include)
    if len(str(fields.get("PrivateNote", ""))) > NOTE_LENGTH:
        raise problems.too_long("PrivateNote", NOTE_LENGTH, len(fields["PrivateNote"]))
    totals = check_lines(company, fields.get("Line"), calculation)
    tax = tax_of(company, fields, customer, totals.by_code)
    total = totals.subtotal + (Decimal(0) if calculation == "TaxInclusive" else tax)
    links = old["LinkedTxn"] if old is not None else []
    paid = old["TotalAmt"] - old["Balance"] if old is not None else Decimal(0)
    fields |= _currency(company, fields, customer, total)
    detail = fields.get("TxnTaxDetail")
    fields |= {
        "CustomerRef": {"value": customer["Id"], "name": customer["DisplayName"]},
        "Line": totals.lines,
        "TxnTaxDetail": {**(detail if isinstance(detail, dict) else {}), "TotalTax": tax},
        "TotalAmt": total,
        "Balance": total - paid,
        "LinkedTxn": links,
        "EmailStatus": fields.get("EmailStatus") or "NotSet",
        "PrintStatus": fields.get("PrintStatus") or "NotSet",
    }
    if fields["DocNumber"] is None:
        del fields["DocNumber"]
    if "invoiceLink" in include:
        fields["InvoiceLink"] = f"https://connect.intuit.com/t/scs-v1-{customer['Id']}"
    return fields


def void(company: Company, old: Record) -> Record:
    """Void an invoice: it stays, with a total of zero."""
    zero = Decimal(0)
    lines = []
    for line in old["Line"]:
        detail = line.get("SalesItemLineDetail")
        changed = {"SalesItemLineDetail": {**detail, "Qty": zero}} if detail else {}
        lines.append({**line, "Amount": zero, **changed})
    note = " ".join(filter(None, ("Voided", str(old.get("PrivateNote", "")))))
    emptied = {"TotalAmt": zero, "HomeTotalAmt": zero, "Balance": zero, "LinkedTxn": []}
    fields = {**old, **emptied, "Line": lines, "PrivateNote": note}
    fields["TxnTaxDetail"] = {"TotalTax": zero}
    return company.save(ENTITIES["Invoice"], fields, "void")


def delete(company: Company, old: Record) -> Record:
    """Delete an invoice; what the API answers. Raises a 6440 when a payment is linked."""
    if old["LinkedTxn"]:
        raise problems.linked()
    company.delete("Invoice", old["Id"])
    return {"domain": "QBO", "status": "Deleted", "Id": old["Id"]}


def send(company: Company, levers: Levers, old: Record, send_to: str) -> Record:
    """E-mail an invoice to `send_to`, or to its `BillEmail`."""
    bill = old.get("BillEmail")
    address = send_to or (str(bill.get("Address", "")) if isinstance(bill, dict) else "")
    if not address:
        raise problems.missing("DeliveryAddress.Address")
    day = company.today()
    if company.emails.get(day, 0) >= levers.emails_per_day:
        raise problems.business("The limit of e-mails a day is reached.")
    company.emails[day] = company.emails.get(day, 0) + 1
    sent = {
        "BillEmail": {"Address": address},
        "EmailStatus": "EmailSent",
        "DeliveryInfo": {"DeliveryType": "Email", "DeliveryTime": pacific(company.moment())},
    }
    return company.save(ENTITIES["Invoice"], {**old, **sent}, "emailed")


def pay(company: Company, invoice_id: str, value: Any = None) -> Record:
    """Record a payment, as a person does; of the whole balance without a value."""
    invoice = company.get("Invoice", invoice_id)
    paid = invoice["Balance"] if value is None else amount(value)
    if paid is None or not 0 < paid <= invoice["Balance"]:
        raise ValueError("a payment is between zero and the balance")
    link = {"TxnId": invoice["Id"], "TxnType": "Invoice"}
    payment = company.save(
        ENTITIES["Payment"],
        {
            "CustomerRef": invoice["CustomerRef"],
            "TotalAmt": paid,
            "UnappliedAmt": Decimal(0),
            "TxnDate": company.today(),
            "CurrencyRef": invoice["CurrencyRef"],
            "Line": [{"Amount": paid, "LinkedTxn": [link]}],
        },
    )
    links = [*invoice["LinkedTxn"], {"TxnId": payment["Id"], "TxnType": "Payment"}]
    changed = {"Balance": invoice["Balance"] - paid, "LinkedTxn": links}
    return company.save(ENTITIES["Invoice"], {**invoice, **changed})


def _calculation(company: Company, fields: Record) -> str:
    sent_value = fields.get("GlobalTaxCalculation")
    if sent_value is not None and sent_value not in CALCULATIONS:
        raise problems.bad_value("GlobalTaxCalculation", sent_value)
    if company.settings.country == "US":
        # Only companies outside the US have it; the US one ignores it.
        fields.pop("GlobalTaxCalculation", None)
        return ""
    if sent_value is None:
        raise problems.business("Say how tax is calculated: GlobalTaxCalculation is missing.")
    return str(sent_value)


def _check_dates(company: Company, fields: Record, old: Record | None) -> None:
    fields["TxnDate"] = _date("TxnDate", fields.get("TxnDate") or company.today())
    days = 0
    term = fields.get("SalesTermRef")
    if term:
        found = company.active("Term", term)
        days = int(found["DueDays"])
        fields["SalesTermRef"] = {"value": found["Id"], "name": found["Name"]}
    due = date.fromisoformat(fields["TxnDate"]) + timedelta(days=days)
    fields["DueDate"] = _date("DueDate", fields.get("DueDate") or due.isoformat())
    closed = company.settings.closed_until
    if closed and min(fields["TxnDate"], old["TxnDate"] if old else fields["TxnDate"]) <= closed:
        raise problems.closed_period()


def _date(name: str, value: Any) -> str:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError as wrong:
        raise problems.bad_value(name, value) from wrong


def _number(company: Company, sent_value: Any, old: Record | None, include: str) -> str | None:
    number = str(sent_value or "").strip()
    if not number:
        if old is not None and "DocNumber" in old:
            return str(old["DocNumber"])
        return None if company.settings.custom_numbers else company.next_number()
    if len(number) > NUMBER_LENGTH:
        raise problems.too_long("DocNumber", NUMBER_LENGTH, len(number))
    if company.settings.unique_numbers and "allowduplicatedocnum" not in include:
        for other in company.all("Invoice"):
            if other.get("DocNumber") == number and (old is None or other["Id"] != old["Id"]):
                raise problems.duplicate_number(number, other["Id"])
    return number


def _currency(company: Company, fields: Record, customer: Record, total: Decimal) -> Record:
    home, customers_currency = company.settings.home_currency, customer["CurrencyRef"]["value"]
    sent_value = fields.get("CurrencyRef")
    currency = (
        str(sent_value.get("value", customers_currency))
        if isinstance(sent_value, dict)
        else customers_currency
    )
    if currency != home and not company.settings.multicurrency:
        raise problems.business("Multicurrency is not enabled for this company.")
    if currency != customers_currency:
        raise problems.business(
            "The currency of the transaction must be the same as the customer's currency."
        )
    made: Record = {"CurrencyRef": {"value": currency}, "HomeTotalAmt": total}
    if company.settings.multicurrency:
        rate = amount(fields.get("ExchangeRate")) if fields.get("ExchangeRate") else None
        if currency == home:
            rate = Decimal(1)
        elif rate is None:
            rate = Decimal(RATES.get(currency, "1")) / Decimal(RATES[home])
        made |= {"ExchangeRate": rounded(rate, 6), "HomeTotalAmt": rounded(total * rate)}
    return made

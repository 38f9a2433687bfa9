"""Payments: taken for approved invoices, up to what is due."""

from broker.sandbox.core.decimals import amount, rounded
from broker.sandbox.xero.api.problems import Invalid
from broker.sandbox.xero.api.rendering import date_of, moment_of
from broker.sandbox.xero.books.invoices import check_lock, parse_date
from broker.sandbox.xero.books.invoices import find as find_invoice
from broker.sandbox.xero.books.organisation import Organisation, Record


def save(organisation: Organisation, sent: Record) -> Record:
    """Save a payment, and the invoice that it pays."""
    named = sent.get("Invoice")
    invoice = find_invoice(organisation, named if isinstance(named, dict) else {})
    if invoice is None:
        raise Invalid("The payment must have an invoice, credit note, prepayment or overpayment.")
    reference = sent.get("Account")
    reference = reference if isinstance(reference, dict) else {}
    account = organisation.find("Accounts", AccountID=reference.get("AccountID", "")) or (
        organisation.account(str(reference.get("Code", "")))
    )
    if account is None or not (account["Type"] == "BANK" or account["EnablePaymentsToAccount"]):
        raise Invalid("The account must be a bank account or have payments enabled.")
    if invoice["Status"] != "AUTHORISED":
        raise Invalid("Payments can only be made against Authorised documents")
    paid = amount(sent.get("Amount"))
    if paid is None or paid <= 0:
        raise Invalid("The payment amount must be greater than zero.")
    if paid > invoice["AmountDue"]:
        raise Invalid("Payment amount exceeds the amount outstanding on this document")
    day = parse_date(sent.get("Date")) or organisation.today()
    check_lock(organisation, day)
    payment = organisation.save(
        "Payments",
        "PaymentID",
        {
            "Date": day,
            "Amount": rounded(paid),
            "Reference": sent.get("Reference", ""),
            "CurrencyRate": invoice["CurrencyRate"],
            "PaymentType": f"{invoice['Type']}PAYMENT",
            "Status": "AUTHORISED",
            "HasAccount": True,
            "IsReconciled": False,
            "Account": {"AccountID": account["AccountID"], "Code": account["Code"]},
            "Invoice": {
                name: invoice[name] for name in ("InvoiceID", "InvoiceNumber", "Type", "Contact")
            },
        },
    )
    due = invoice["AmountDue"] - paid
    link = {name: payment[name] for name in ("PaymentID", "Date", "Amount", "Reference")}
    changed = {
        "AmountDue": due,
        "AmountPaid": invoice["AmountPaid"] + paid,
        "Payments": [*invoice["Payments"], link],
    }
    if not due:
        changed |= {"Status": "PAID", "FullyPaidOnDate": day}
    organisation.save("Invoices", "InvoiceID", {**invoice, **changed})
    return payment


def shown(record: Record, *, full: bool) -> Record:
    """A payment as the API shows it."""
    made = {
        **record,
        "Date": date_of(record["Date"]),
        "UpdatedDateUTC": moment_of(record["UpdatedDateUTC"]),
    }
    return made if full else {name: value for name, value in made.items() if name != "Account"}

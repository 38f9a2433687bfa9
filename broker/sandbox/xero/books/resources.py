"""The kinds of records in the API: their names, keys, scopes, and how they are saved and shown."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.sandbox.xero.api.where import Fields
from broker.sandbox.xero.books import contacts, fields, invoices, items, payments
from broker.sandbox.xero.books.organisation import Organisation, Record

Save = Callable[[Organisation, Record, Record | None, int], Record]
Find = Callable[[Organisation, Record], Record | None]


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of record. `key` is its id, `alias` another name it can be read by; `scopes` are
    those of which one allows writing. `find` gives the record that an element means. Those
    without `save` can only be read.
    """

    plural: str
    key: str
    alias: str
    scopes: tuple[str, ...]
    fields: Fields
    shown: Callable[..., Record]
    find: Find | None = None
    save: Save | None = None


INVOICE_SCOPES = ("accounting.invoices", "accounting.transactions")
PAYMENT_SCOPES = ("accounting.payments", "accounting.transactions")
SETTING_SCOPES = ("accounting.settings",)


def _contact(organisation: Organisation, sent: Record, old: Record | None, _places: int) -> Record:
    return contacts.save(organisation, sent, old)


def _item(organisation: Organisation, sent: Record, old: Record | None, _places: int) -> Record:
    return items.save(organisation, sent, old)


def _payment(organisation: Organisation, sent: Record, _old: Record | None, _places: int) -> Record:
    return payments.save(organisation, sent)


def _contact_or_namesake(organisation: Organisation, sent: Record) -> Record | None:
    return contacts.find(organisation, sent) or contacts.same_name(organisation, sent)


_ALL = (
    Resource(
        "Contacts",
        "ContactID",
        "ContactNumber",
        ("accounting.contacts",),
        Fields("Contact", fields.CONTACT),
        contacts.shown,
        _contact_or_namesake,
        _contact,
    ),
    Resource(
        "Invoices",
        "InvoiceID",
        "InvoiceNumber",
        INVOICE_SCOPES,
        Fields("Invoice", fields.INVOICE),
        invoices.shown,
        invoices.find,
        invoices.save,
    ),
    Resource(
        "Payments",
        "PaymentID",
        "PaymentID",
        PAYMENT_SCOPES,
        Fields("Payment", fields.PAYMENT),
        payments.shown,
        lambda _organisation, _sent: None,
        _payment,
    ),
    Resource(
        "Items",
        "ItemID",
        "Code",
        SETTING_SCOPES,
        Fields("Item", fields.ITEM),
        items.shown,
        items.find,
        _item,
    ),
    Resource(
        "Accounts",
        "AccountID",
        "Code",
        SETTING_SCOPES,
        Fields("Account", fields.ACCOUNT),
        items.shown,
    ),
    Resource(
        "TaxRates",
        "TaxType",
        "TaxType",
        SETTING_SCOPES,
        Fields("TaxRate", fields.TAX_RATE),
        items.shown,
    ),
    Resource(
        "Currencies",
        "Code",
        "Code",
        SETTING_SCOPES,
        Fields("Currency", fields.CURRENCY),
        items.shown,
    ),
)
RESOURCES = {each.plural.lower(): each for each in _ALL}

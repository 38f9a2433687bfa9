"""Believable contacts and invoices, the same at every start."""

from datetime import timedelta
from decimal import Decimal

from broker.sandbox.xero.books.organisation import Organisation, Record
from broker.sandbox.xero.books.resources import RESOURCES
from broker.sandbox.xero.books.saving import save_all
from broker.sandbox.xero.world import Xero

CONTACTS = (
    ("Blue Logistics Ltd", "Amara", "Okafor", 3),
    ("River Foods Ltd", "Bruno", "Silva", 12),
    ("North Analytics Ltd", "Chen", "Wei", 1),
    ("Silver Robotics Ltd", "Dalia", "Haddad", 8),
)


def plant(world: Xero) -> None:
    """Give organisations without contacts some, each with an invoice; the last one is a draft."""
    due = f"{(world.moment() + timedelta(days=30)).date()}"
    for organisation in world.organisations.values():
        if any(organisation.all("Contacts")):
            continue
        for name, first, last, hours in CONTACTS:
            domain = name.removesuffix(" Ltd").lower().replace(" ", "-")
            person = {
                "Name": name,
                "FirstName": first,
                "LastName": last,
                "EmailAddress": f"{first}.{last}@{domain}.example".lower(),
            }
            contact = _save(organisation, "contacts", person)
            line = {
                "Description": "Consulting",
                "Quantity": Decimal(hours),
                "UnitAmount": Decimal(120),
                "AccountCode": "200",
                "TaxType": "OUTPUT2",
            }
            invoice = {
                "Type": "ACCREC",
                "Contact": {"ContactID": contact["ContactID"]},
                "DueDate": due,
                "LineItems": [line],
                "Status": "DRAFT" if name == CONTACTS[-1][0] else "AUTHORISED",
            }
            _save(organisation, "invoices", invoice)


def _save(organisation: Organisation, kind: str, element: Record) -> Record:
    resource = RESOURCES[kind]
    saved = save_all(
        organisation, resource, [element], creates_only=True, summarizes=True, places=4
    )
    return saved[0]

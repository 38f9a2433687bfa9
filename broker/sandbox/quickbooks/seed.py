"""Believable customers and invoices, the same at every start."""

from broker.sandbox.quickbooks.books import invoices
from broker.sandbox.quickbooks.books.company import Company
from broker.sandbox.quickbooks.books.entities import ENTITIES
from broker.sandbox.quickbooks.books.writing import write
from broker.sandbox.quickbooks.levers import Levers
from broker.sandbox.quickbooks.world import QuickBooks

CUSTOMERS = (
    ("Blue Logistics Ltd", "Amara", "Okafor", 3),
    ("River Foods Ltd", "Bruno", "Silva", 12),
    ("North Analytics Ltd", "Chen", "Wei", 1),
    ("Silver Robotics Ltd", "Dalia", "Haddad", 8),
)


def plant(world: QuickBooks) -> None:
    """Give every company without customers some, each with an invoice; the first one is paid."""
    for company in world.companies.values():
        if company.records["Customer"]:
            continue
        made = [_bill(company, *each) for each in CUSTOMERS]
        invoices.pay(company, made[0], None)


def _bill(company: Company, name: str, first: str, last: str, hours: int) -> str:
    domain = name.removesuffix(" Ltd").lower().replace(" ", "-")
    customer = {
        "DisplayName": name,
        "CompanyName": name,
        "GivenName": first,
        "FamilyName": last,
        "PrimaryEmailAddr": {"Address": f"{first}.{last}@{domain}.example".lower()},
    }
    made = write(company, Levers(), ENTITIES["Customer"], customer, "")
    in_us = company.settings.country == "US"
    detail = {
        "ItemRef": {"value": "2"},
        "Qty": hours,
        "UnitPrice": 50,
        "TaxCodeRef": {"value": "TAX" if in_us else "2"},
    }
    line = {
        "DetailType": "SalesItemLineDetail",
        "Amount": 50 * hours,
        "SalesItemLineDetail": detail,
    }
    invoice = {"CustomerRef": {"value": made["Id"]}, "Line": [line]}
    if not in_us:
        invoice["GlobalTaxCalculation"] = "TaxExcluded"
    return str(write(company, Levers(), ENTITIES["Invoice"], invoice, "")["Id"])

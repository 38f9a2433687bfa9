"""What a new company has: accounts, tax codes, terms and a few items."""

from decimal import Decimal
from typing import Any

from broker.sandbox.quickbooks.books.company import Company
from broker.sandbox.quickbooks.books.entities import ENTITIES

# By country: (id, name, description, rate in per cent).
TAX_CODES: dict[str, tuple[tuple[str, str, str, str], ...]] = {
    "US": (
        ("TAX", "TAX", "Taxable", "0"),
        ("NON", "NON", "Non-taxable", "0"),
        ("2", "California", "California", "8"),
    ),
    "CA": (
        ("2", "Exempt", "Exempt", "0"),
        ("3", "Zero-rated", "Zero-rated", "0"),
        ("4", "GST", "GST", "5"),
        ("5", "HST ON", "HST (Ontario)", "13"),
    ),
    "UK": (
        ("2", "20.0% S", "Standard", "20"),
        ("3", "5.0% R", "Reduced", "5"),
        ("4", "0.0% Z", "Zero-rated", "0"),
        ("5", "Exempt", "Exempt", "0"),
    ),
    "AU": (("2", "GST", "GST", "10"), ("3", "GST free", "GST free", "0")),
}
ITEMS = (
    ("Services", "Service", "0"),
    ("Hours", "Service", "50"),
    ("Subscription", "Service", "99"),
)


def plant(company: Company) -> None:
    """Fill a new company. Items get the ids from 1 on."""
    for name, kind in (
        ("Services", "Income"),
        ("Accounts Receivable (A/R)", "Accounts Receivable"),
        ("Undeposited Funds", "Other Current Asset"),
    ):
        fields = {"Name": name, "AccountType": kind, "Active": True, "FullyQualifiedName": name}
        company.save(ENTITIES["Account"], fields)
    for name, days in (("Due on receipt", 0), ("Net 15", 15), ("Net 30", 30)):
        company.save(ENTITIES["Term"], {"Name": name, "DueDays": days, "Active": True})
    plant_taxes(company)
    for name, kind, price in ITEMS:
        fields = {
            "Name": name,
            "FullyQualifiedName": name,
            "Type": kind,
            "Active": True,
            "Taxable": False,
            "UnitPrice": Decimal(price),
            "IncomeAccountRef": {"value": "1", "name": "Services"},
        }
        company.save(ENTITIES["Item"], fields)
    plant_own_records(company)


def plant_taxes(company: Company) -> None:
    """Give a company the tax codes of its country, and no others."""
    for kind in ("TaxCode", "TaxRate"):
        company.records[kind].clear()
    for code_id, name, description, rate in TAX_CODES[company.settings.country]:
        _plant_tax(company, code_id, name, description, Decimal(rate))


def plant_own_records(company: Company) -> None:
    """Write the company's information and preferences down as its settings now are."""
    settings = company.settings
    info: dict[str, Any] = {
        "Id": "1",
        "CompanyName": settings.name,
        "LegalName": settings.name,
        "Country": {"UK": "GB"}.get(settings.country, settings.country),
        "Email": {"Address": "books@acme.example"},
        "SupportedLanguages": "en",
        "FiscalYearStartMonth": "January",
        "DefaultTimeZone": settings.timezone,
        "NameValue": [{"Name": "SubscriptionStatus", "Value": "SUBSCRIBED"}],
    }
    preferences: dict[str, Any] = {
        "Id": "1",
        "CurrencyPrefs": {
            "MultiCurrencyEnabled": settings.multicurrency,
            "HomeCurrency": {"value": settings.home_currency},
        },
        "SalesFormsPrefs": {
            "CustomTxnNumbers": settings.custom_numbers,
            "AllowServiceDate": settings.needs_service_date,
            "DefaultTerms": {"value": "3"},
        },
        "TaxPrefs": {
            "UsingSalesTax": True,
            "PartnerTaxEnabled": settings.country == "US" and settings.ast,
        },
        "AccountingInfoPrefs": {"BookCloseDate": settings.closed_until or None},
        "OtherPrefs": {
            "NameValue": [
                {"Name": "WarnDuplicateDocNumber", "Value": str(settings.unique_numbers).lower()}
            ]
        },
    }
    company.save(ENTITIES["CompanyInfo"], info)
    company.save(ENTITIES["Preferences"], preferences)


def _plant_tax(company: Company, code_id: str, name: str, description: str, rate: Decimal) -> None:
    fields: dict[str, Any] = {
        "Name": name,
        "Description": description,
        "Active": True,
        "Taxable": name not in {"NON", "Exempt"},
        "TaxGroup": code_id not in {"TAX", "NON"},
    }
    if fields["TaxGroup"]:
        made = company.save(ENTITIES["TaxRate"], {"Name": name, "RateValue": rate, "Active": True})
        reference = {"value": made["Id"], "name": name}
        detail = {
            "TaxRateRef": reference,
            "TaxTypeApplicable": "TaxOnAmount",
            "TaxOrder": 0,
        }
        fields["SalesTaxRateList"] = {"TaxRateDetail": [detail]}
        fields["PurchaseTaxRateList"] = {"TaxRateDetail": []}
    company.save(ENTITIES["TaxCode"], fields, record_id=code_id)

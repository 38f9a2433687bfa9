"""How much tax an invoice bears: by address in the US, by each line's tax code elsewhere."""

from decimal import Decimal
from typing import Any

from broker.sandbox.core.decimals import rounded
from broker.sandbox.quickbooks.books.company import Company, Record

# Automated sales tax goes by the address; these are believable, not true.
STATE_RATES = {"CA": Decimal("7.25"), "NY": Decimal("8.875"), "TX": Decimal("6.25")}


def tax_of(
    company: Company, invoice: Record, customer: Record, by_code: dict[str, Decimal]
) -> Decimal:
    """The tax on sums by tax code."""
    if company.settings.country == "US":
        return rounded(by_code.get("TAX", Decimal(0)) * _us_rate(company, invoice, customer) / 100)
    inclusive = invoice.get("GlobalTaxCalculation") == "TaxInclusive"
    total = Decimal(0)
    for code, base in by_code.items():
        rate = _rate(company, code)
        total += rounded(base - base / (1 + rate / 100) if inclusive else base * rate / 100)
    return total


def _us_rate(company: Company, invoice: Record, customer: Record) -> Decimal:
    if not company.settings.ast:
        detail = invoice.get("TxnTaxDetail")
        reference = detail.get("TxnTaxCodeRef") if isinstance(detail, dict) else None
        if not reference:
            return Decimal(0)
        return _rate(company, str(company.active("TaxCode", reference)["Id"]))
    for holder, name in (
        (invoice, "ShipAddr"),
        (invoice, "BillAddr"),
        (customer, "ShipAddr"),
        (customer, "BillAddr"),
    ):
        address: Any = holder.get(name)
        if isinstance(address, dict) and address.get("CountrySubDivisionCode"):
            return STATE_RATES.get(str(address["CountrySubDivisionCode"]).upper(), Decimal(0))
    return Decimal(0)


def _rate(company: Company, code: str) -> Decimal:
    found = company.find("TaxCode", code) or {}
    total = Decimal(0)
    for each in found.get("SalesTaxRateList", {}).get("TaxRateDetail", []):
        rate = company.find("TaxRate", each["TaxRateRef"]["value"])
        total += rate["RateValue"] if rate else Decimal(0)
    return total

"""What a new organisation has: a chart of accounts, tax rates, currencies and a few items."""

from decimal import Decimal

from broker.sandbox.xero.books.organisation import Organisation

ACCOUNTS = (
    ("090", "Business Bank Account", "BANK", "ASSET", "NONE"),
    ("200", "Sales", "REVENUE", "REVENUE", "OUTPUT2"),
    ("260", "Other Revenue", "REVENUE", "REVENUE", "OUTPUT2"),
    ("400", "Advertising", "EXPENSE", "EXPENSE", "INPUT2"),
    ("610", "Accounts Receivable", "CURRENT", "ASSET", "NONE"),
)
TAX_RATES = {
    "NZ": (
        ("OUTPUT2", "15% GST on Income", "15"),
        ("INPUT2", "15% GST on Expenses", "15"),
        ("ZERORATED", "Zero Rated", "0"),
        ("NONE", "No GST", "0"),
    ),
    "GB": (
        ("OUTPUT2", "20% (VAT on Income)", "20"),
        ("INPUT2", "20% (VAT on Expenses)", "20"),
        ("RROUTPUT", "5% (VAT on Income)", "5"),
        ("ZERORATEDOUTPUT", "Zero Rated Income", "0"),
        ("NONE", "No VAT", "0"),
    ),
}
ITEMS = (("CONSULT", "Consulting", "120"), ("SUB", "Subscription", "99"))


def plant(organisation: Organisation) -> None:
    """Fill a new organisation. A country other than NZ and GB gets NZ's tax types."""
    country = organisation.settings.country
    for tax_type, name, rate in TAX_RATES.get(country, TAX_RATES["NZ"]):
        value = Decimal(rate)
        component = {"Name": "Tax", "Rate": value, "IsCompound": False, "IsNonRecoverable": False}
        own = {
            "Name": name,
            "TaxType": tax_type,
            "TaxComponents": [component],
            "Status": "ACTIVE",
            "ReportTaxType": _report_type(tax_type),
            "CanApplyToRevenue": not tax_type.startswith("INPUT"),
            "CanApplyToExpenses": not tax_type.startswith("OUTPUT"),
            "DisplayTaxRate": value,
            "EffectiveRate": value,
        }
        organisation.save("TaxRates", "_id", own)
    for code, name, kind, group, tax_type in ACCOUNTS:
        account = {
            "Code": code,
            "Name": name,
            "Status": "ACTIVE",
            "Type": kind,
            "TaxType": tax_type,
            "Class": group,
            "EnablePaymentsToAccount": False,
            "ShowInExpenseClaims": False,
        }
        organisation.save("Accounts", "AccountID", account)
    for currency in (organisation.settings.currency, *organisation.settings.currencies):
        organisation.save("Currencies", "_id", {"Code": currency, "Description": currency})
    for code, name, price in ITEMS:
        sales = {"UnitPrice": Decimal(price), "AccountCode": "200", "TaxType": "OUTPUT2"}
        item = {
            "Code": code,
            "Name": name,
            "Description": name,
            "IsSold": True,
            "IsPurchased": False,
            "IsTrackedAsInventory": False,
            "SalesDetails": sales,
        }
        organisation.save("Items", "ItemID", item)
    organisation.publish()


def _report_type(tax_type: str) -> str:
    if tax_type == "NONE":
        return "NONE"
    return "INPUT" if tax_type.startswith("INPUT") else "OUTPUT"

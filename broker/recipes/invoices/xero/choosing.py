"""What an organisation of Xero has for settings to name, and whether they name it."""

from datetime import UTC, datetime

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.recipes.base import Finding
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Choices, Company
from broker.recipes.invoices.wording import offered
from broker.recipes.invoices.xero.api import find

ABOUT = "Xero"


async def read_choices(calls: PartnerCalls, user: PartnerUser) -> Choices:
    """The items that are sold, the active revenue accounts, and the tax types for sales."""
    items = await find(calls, user, "Items")
    accounts = await find(calls, user, "Accounts")
    rates = await find(calls, user, "TaxRates")
    return Choices(
        items={str(each["Code"]): str(each["Name"]) for each in items if each.get("IsSold", True)},
        accounts={
            str(each["Code"]): str(each["Name"])
            for each in accounts
            if each.get("Class") == "REVENUE" and each.get("Status") == "ACTIVE"
        },
        tax_codes={
            str(each["TaxType"]): str(each["Name"])
            for each in rates
            if each.get("Status") == "ACTIVE" and each.get("CanApplyToRevenue", True)
        },
    )


def findings(company: Company, choices: Choices, settings: InvoicesSettings) -> list[Finding]:
    """What would make every run fail."""
    found = []
    if settings.item is None and settings.account is None and settings.approve:
        remedy = f"Put the code of one as account: {offered(choices.accounts)}."
        found.append(_finding("The settings name neither an account nor an item.", remedy))
    for name, value, offers in (
        ("item", settings.item, choices.items),
        ("account", settings.account, choices.accounts),
        ("taxCode", settings.taxCode, choices.tax_codes),
    ):
        if value is not None and value not in offers:
            kind = {"account": "active revenue account", "taxCode": "tax type for sales"}
            message = f"{company.name} has no {kind.get(name, name)} {value}."
            found.append(_finding(message, f"Put one as {name}: {offered(offers)}."))
    if settings.item is None and settings.taxCode is None and settings.approve:
        remedy = f"Put one as taxCode: {offered(choices.tax_codes)}."
        found.append(_finding("The settings name no tax type.", remedy))
    if company.closed_until and company.closed_until >= f"{datetime.now(UTC):%Y-%m-%d}":
        message = f"The books of {company.name} are locked until {company.closed_until}."
        remedy = "Move the lock date in Xero (Accounting, Advanced, Financial settings)."
        found.append(_finding(message, remedy))
    return found


def _finding(message: str, remedy: str) -> Finding:
    return Finding(about=ABOUT, message=message, remedy=remedy)

"""What a company of QuickBooks has for settings to name, and whether they name it."""

from collections.abc import Mapping
from datetime import UTC, datetime

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.recipes.base import Finding
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.port import Choices, Company
from broker.recipes.invoices.quickbooks.api import find
from broker.recipes.invoices.quickbooks.documents import TAXED, US
from broker.recipes.invoices.wording import offered

ABOUT = "QuickBooks"


async def read_choices(calls: PartnerCalls, user: PartnerUser) -> Choices:
    """The active items that can be sold, and the active tax codes."""
    items = await find(calls, user, "Item", "ORDERBY Name")
    codes = await find(calls, user, "TaxCode", "ORDERBY Name")
    return Choices(
        items={
            str(each["Id"]): str(each["Name"])
            for each in items
            if each.get("Type") not in {"Category", "Group"}
        },
        tax_codes={str(each["Id"]): str(each["Name"]) for each in codes},
    )


def findings(company: Company, choices: Choices, settings: InvoicesSettings) -> list[Finding]:
    """What would make every run fail."""
    codes: Mapping[str, str] = choices.tax_codes
    if company.country == US:
        codes = {each: codes.get(each, each) for each in sorted(TAXED)}
    found = []
    if settings.item not in choices.items:
        message = (
            "The settings name no item."
            if settings.item is None
            else f"{company.name} has no active item {settings.item}."
        )
        found.append(_finding(message, f"Put the id of one: {offered(choices.items)}."))
    if settings.taxCode is None and company.country != US:
        message = f"{company.name} is not in the US: every line needs a tax code."
        found.append(_finding(message, f"Put the id of one as taxCode: {offered(codes)}."))
    elif settings.taxCode is not None and settings.taxCode not in codes:
        message = f"{company.name} has no active tax code {settings.taxCode}."
        found.append(_finding(message, f"Put the id of one: {offered(codes)}."))
    if company.custom_numbers and settings.numberPrefix is None:
        message = f"{company.name} gives its invoices custom numbers."
        remedy = (
            "Put a numberPrefix, or turn custom transaction numbers off in QuickBooks (Account and "
            "settings, Sales)."
        )
        found.append(_finding(message, remedy))
    if company.closed_until and company.closed_until >= f"{datetime.now(UTC):%Y-%m-%d}":
        message = f"The books of {company.name} are closed until {company.closed_until}."
        remedy = "Move the closing date in QuickBooks (Account and settings, Advanced, Accounting)."
        found.append(_finding(message, remedy))
    return found


def _finding(message: str, remedy: str) -> Finding:
    return Finding(about=ABOUT, message=message, remedy=remedy)

"""Customers, vendors, employees and items: unique names, references that must exist."""

from typing import Any

from broker.sandbox.core.decimals import amount
from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.books.company import Company, Record
from broker.sandbox.quickbooks.books.entities import NAME_LISTS, Entity

NAME_LENGTH, ADDRESS_LENGTH = 500, 100
PARTS = ("Title", "GivenName", "MiddleName", "FamilyName", "Suffix")
PART_LENGTHS = {"Title": 16, "Suffix": 16}
PART_LENGTH = 100
ITEM_TYPES = frozenset({"Service", "NonInventory", "Inventory", "Category", "Group"})
DELETED = " (deleted)"
READ_ONLY = frozenset({"Balance", "BalanceWithJobs", "Level", "FullyQualifiedName"})


def person_fields(company: Company, entity: Entity, sent: Record, old: Record | None) -> Record:
    """A customer, vendor or employee to be saved."""
    fields = {name: value for name, value in sent.items() if name not in READ_ONLY}
    for part in PARTS:
        most = PART_LENGTHS.get(part, PART_LENGTH)
        if len(str(fields.get(part, ""))) > most:
            raise problems.too_long(part, most, len(str(fields[part])))
    built = " ".join(str(fields[part]).strip() for part in PARTS if fields.get(part))
    name = str(fields.get("DisplayName") or built).strip()
    if not name:
        raise problems.missing("DisplayName")
    if len(name) > NAME_LENGTH:
        raise problems.too_long("DisplayName", NAME_LENGTH, len(name))
    if any(each in name for each in ":\t\n"):
        raise problems.business("A name must not contain a colon, a tab or a new line.")
    _check_address(fields.get("PrimaryEmailAddr"))
    active = fields.get("Active", True)
    if active in {False, "false"}:
        fields["Active"] = False
        name = name if name.endswith(DELETED) else name + DELETED
    else:
        fields["Active"] = True
    _check_unique(company, name, old)
    fields["DisplayName"] = fields["FullyQualifiedName"] = name
    fields.setdefault("PrintOnCheckName", fields.get("CompanyName") or name)
    if entity.name == "Customer":
        fields |= {
            "Taxable": fields.get("Taxable", True),
            "Job": False,
            "BillWithParent": False,
            "PreferredDeliveryMethod": fields.get("PreferredDeliveryMethod", "Print"),
            "CurrencyRef": _currency(company, fields, old),
        }
    return fields


def item_fields(company: Company, sent: Record, old: Record | None) -> Record:
    """An item to be saved."""
    name = str(sent.get("Name", "")).strip()
    if not name:
        raise problems.missing("Name")
    if len(name) > PART_LENGTH:
        raise problems.too_long("Name", PART_LENGTH, len(name))
    kind = sent.get("Type", "Service")
    if kind not in ITEM_TYPES:
        raise problems.bad_value("Type", kind)
    if kind != "Category":
        if "IncomeAccountRef" not in sent:
            raise problems.missing("IncomeAccountRef")
        company.active("Account", sent["IncomeAccountRef"])
    price = amount(sent.get("UnitPrice", 0))
    if price is None:
        raise problems.bad_number(sent["UnitPrice"])
    active = sent.get("Active", True) not in {False, "false"}
    if not active and not name.endswith(DELETED):
        name += DELETED
    for other in company.all("Item"):
        if other["Name"].lower() == name.lower() and (old is None or other["Id"] != old["Id"]):
            raise problems.duplicate_name()
    own = {"Name": name, "FullyQualifiedName": name, "Type": kind, "Active": active}
    return {**sent, **own, "UnitPrice": price}


def _check_unique(company: Company, name: str, old: Record | None) -> None:
    for entity in NAME_LISTS:
        for other in company.all(entity):
            if other["DisplayName"].lower() == name.lower() and other["Id"] != (old or {}).get(
                "Id"
            ):
                raise problems.duplicate_name()


def _check_address(sent_value: Any) -> None:
    address = str(sent_value.get("Address", "")) if isinstance(sent_value, dict) else ""
    if len(address) > ADDRESS_LENGTH:
        raise problems.too_long("PrimaryEmailAddr", ADDRESS_LENGTH, len(address))


def _currency(company: Company, fields: Record, old: Record | None) -> dict[str, Any]:
    home = company.settings.home_currency
    sent_value = fields.get("CurrencyRef")
    currency = str(sent_value.get("value", home)) if isinstance(sent_value, dict) else home
    if old is not None:
        had = old["CurrencyRef"]["value"]
        if sent_value is not None and currency != had:
            raise problems.business("The currency of a customer cannot be changed.")
        currency = had
    if currency != home and not company.settings.multicurrency:
        raise problems.business("Multicurrency is not enabled for this company.")
    return {"value": currency}

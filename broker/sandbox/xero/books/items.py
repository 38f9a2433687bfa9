"""Items, and how accounts, tax rates and currencies are shown."""

from broker.sandbox.core.decimals import amount
from broker.sandbox.xero.api.problems import Invalid
from broker.sandbox.xero.api.rendering import moment_of
from broker.sandbox.xero.books.fields import ITEM
from broker.sandbox.xero.books.organisation import Organisation, Record

CODE_LENGTH = 30


def find(organisation: Organisation, sent: Record) -> Record | None:
    """The item that an element means, by id or code."""
    for name in ("ItemID", "Code"):
        if sent.get(name):
            return organisation.find("Items", **{name: sent[name]})
    return None


def save(organisation: Organisation, sent: Record, old: Record | None) -> Record:
    """Save a new item, or a change of an old one."""
    sent_fields = {
        name: value for name, value in sent.items() if name in ITEM and value is not None
    }
    record = {"IsSold": True, "IsPurchased": False, **(old or {}), **sent_fields}
    code = str(record.get("Code") or "")
    if not code:
        raise Invalid("Price List Item Code must be supplied")
    if len(code) > CODE_LENGTH:
        raise Invalid(f"Code must not be longer than {CODE_LENGTH} characters.")
    twin = organisation.find("Items", Code=code)
    if twin is not None and twin["ItemID"] != (old or {}).get("ItemID"):
        raise Invalid(f"Price List Item with Code '{code}' already exists")
    details = record.get("SalesDetails") or {}
    if "UnitPrice" in details and amount(details["UnitPrice"]) is None:
        raise Invalid("UnitPrice is not a valid number")
    account = details.get("AccountCode")
    if account and organisation.account(str(account)) is None:
        raise Invalid(f"Account code '{account}' is not a valid code for this document.")
    own = {"Name": record.get("Name") or code, "IsTrackedAsInventory": False}
    return organisation.save("Items", "ItemID", {**own, **record})


def shown(record: Record, *, full: bool) -> Record:
    """An item, account, tax rate or currency as the API shows it, the same in lists and alone."""
    del full
    made = {name: value for name, value in record.items() if name != "_id"}
    if "_id" in record:
        # Tax rates and currencies have neither an id nor a stamp.
        del made["UpdatedDateUTC"]
        return made
    return {**made, "UpdatedDateUTC": moment_of(record["UpdatedDateUTC"])}

"""Contacts: a name that is unique among the active ones, and how an invoice names one."""

import re
from typing import Any

from broker.sandbox.xero.api.problems import Invalid
from broker.sandbox.xero.api.rendering import moment_of
from broker.sandbox.xero.books.fields import CONTACT
from broker.sandbox.xero.books.organisation import Organisation, Record

NAME_LENGTH, NUMBER_LENGTH = 255, 50
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
STATUSES = frozenset({"ACTIVE", "ARCHIVED", "GDPRREQUEST"})
ARCHIVED = (
    "The contact with the specified contact details has been archived. The contact must be "
    "un-archived before creating new invoices or credit notes."
)
READ_ONLY = frozenset({"UpdatedDateUTC", "ValidationErrors", "HasValidationErrors", "Balances"})


def find(organisation: Organisation, sent: Record) -> Record | None:
    """The contact that an element means, by ContactID or ContactNumber."""
    for name in ("ContactID", "ContactNumber"):
        if sent.get(name):
            return organisation.find("Contacts", **{name: sent[name]})
    return None


def same_name(organisation: Organisation, sent: Record) -> Record | None:
    """The active contact with an element's name."""
    name = str(sent.get("Name") or "").strip()
    return organisation.find("Contacts", Name=name, ContactStatus="ACTIVE") if name else None


def save(organisation: Organisation, sent: Record, old: Record | None) -> Record:
    """Save a new contact, or a change of an old one."""
    fields = {name: value for name, value in sent.items() if name in CONTACT - READ_ONLY}
    record = {**(old or {}), **{name: value for name, value in fields.items() if value is not None}}
    name = str(record.get("Name") or "").strip()
    if sent.get("ContactID") and old is None:
        raise Invalid("The contact ID could not be found.")
    if not name:
        raise Invalid("The contact name cannot be empty.")
    if len(name) > NAME_LENGTH:
        raise Invalid(f"The contact name must not be longer than {NAME_LENGTH} characters.")
    number = str(record.get("ContactNumber") or "")
    if len(number) > NUMBER_LENGTH:
        raise Invalid(f"The contact number must not be longer than {NUMBER_LENGTH} characters.")
    email = str(record.get("EmailAddress") or "")
    if email and not EMAIL.fullmatch(email):
        raise Invalid("Email address must be valid.")
    record = {"ContactStatus": "ACTIVE", **record, "Name": name}
    if record["ContactStatus"] not in STATUSES:
        raise Invalid(f"The contact status '{record['ContactStatus']}' is not valid.")
    if old is not None and old["ContactStatus"] == record["ContactStatus"] == "ARCHIVED":
        raise Invalid("Archived contacts cannot be edited.")
    twin = same_name(organisation, record) if record["ContactStatus"] == "ACTIVE" else None
    own_id = (old or {}).get("ContactID")
    if twin is not None and twin["ContactID"] != own_id:
        raise Invalid(
            f"The contact name {name} is already assigned to another contact. "
            "The contact name must be unique across all active contacts."
        )
    twin = organisation.find("Contacts", ContactNumber=number) if number else None
    if twin is not None and twin["ContactID"] != own_id:
        raise Invalid(f"The contact number {number} is already assigned to another contact.")
    return organisation.save("Contacts", "ContactID", record)


def for_document(organisation: Organisation, sent: Any) -> Record:
    """The contact that an invoice names. A name that no active contact has makes a new one."""
    if not isinstance(sent, dict) or not any(
        sent.get(name) for name in ("ContactID", "ContactNumber", "Name")
    ):
        raise Invalid("A Contact must be specified for this type of transaction.")
    found = find(organisation, sent) or same_name(organisation, sent)
    if found is None:
        if sent.get("ContactID"):
            raise Invalid("The contact ID could not be found.")
        return save(organisation, sent, None)
    if found["ContactStatus"] != "ACTIVE":
        raise Invalid(ARCHIVED)
    return found


def shown(record: Record, *, full: bool) -> Record:
    """A contact as the API shows it; lists without paging leave some out."""
    more = {"ContactPersons": record.get("ContactPersons", [])} if full else {}
    return {
        **record,
        "UpdatedDateUTC": moment_of(record["UpdatedDateUTC"]),
        "EmailAddress": record.get("EmailAddress", ""),
        "Addresses": record.get("Addresses", []),
        "Phones": record.get("Phones", []),
        "IsSupplier": record.get("IsSupplier", False),
        "IsCustomer": record.get("IsCustomer", False),
        "ContactGroups": [],
        "HasAttachments": False,
        "HasValidationErrors": False,
        **more,
    }

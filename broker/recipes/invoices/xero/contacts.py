"""Xero's contacts: found by id, number, e-mail address or name, else made."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.errors import InputRefused
from broker.recipes.invoices.port import Buyer, Customer, Draft
from broker.recipes.invoices.xero.api import Record, find, is_literal, put
from broker.recipes.invoices.xero.refusals import NAME_TAKEN, messages_of, raise_for

NAME_LENGTH, NUMBER_LENGTH = 255, 50


def number_of(buyer: Buyer) -> str:
    """The contact number: it names the HubSpot record with its account."""
    return f"hubspot-{buyer.key}"[:NUMBER_LENGTH]


def name_of(buyer: Buyer, suffix: str = "") -> str:
    """The contact's name."""
    return " ".join(buyer.name.split())[: NAME_LENGTH - len(suffix)].strip() + suffix


def own_name(buyer: Buyer) -> str:
    """The contact's name when somebody else has the buyer's."""
    return name_of(buyer, f" (HubSpot {buyer.key})")


async def find_contact(calls: PartnerCalls, user: PartnerUser, buyer: Buyer) -> Customer | None:
    """The first contact by the stored id, the number, the e-mail address, the name. Raises
    InputRefused for one that is the buyer's and archived: to restore it is a person's choice.
    """
    tenant_id, _, contact_id = (buyer.customer_id or "").partition(":")
    if tenant_id == user.account_id and contact_id:
        stored = await _by_id(calls, user, contact_id)
        if stored is not None:
            return _active(stored)
    tests = {
        "ContactNumber": number_of(buyer),
        "EmailAddress": buyer.email,
        "Name": name_of(buyer),
    }
    where = " OR ".join(
        f'{name}=="{text}"' for name, text in tests.items() if text and is_literal(text)
    )
    found = await find(calls, user, "Contacts", where=where, includeArchived="true")
    for chosen in (
        [each for each in found if each.get("ContactNumber") == number_of(buyer)],
        [each for each in found if buyer.email and _email(each) == buyer.email.lower()],
    ):
        if chosen:
            return _active(next((each for each in chosen if _is_active(each)), chosen[0]))
    same = [each for each in found if _is_active(each) and _same_buyer(each, buyer)]
    return _active(same[0]) if same else None


async def _by_id(calls: PartnerCalls, user: PartnerUser, contact_id: str) -> Record | None:
    """A contact, or the one that it was merged into."""
    for _ in range(2):
        found = await find(calls, user, "Contacts", IDs=contact_id, includeArchived="true")
        if not found:
            return None
        merged = found[0].get("MergedToContactID")
        if not merged:
            return found[0]
        contact_id = str(merged)
    return None


def _is_active(contact: Record) -> bool:
    return str(contact.get("ContactStatus", "ACTIVE")) == "ACTIVE"


def _email(contact: Record) -> str:
    return str(contact.get("EmailAddress") or "").strip().lower()


def _same_buyer(contact: Record, buyer: Buyer) -> bool:
    """Whether a contact with the buyer's name is not another person's."""
    same_name = str(contact["Name"]).lower() == name_of(buyer).lower()
    emails = {"", (buyer.email or "").lower()}
    return same_name and (buyer.is_company or _email(contact) in emails)


def _active(contact: Record) -> Customer:
    if not _is_active(contact):
        raise InputRefused(
            f"The contact {contact['Name']} is archived in Xero. Restore it there (Contacts, "
            "Archived), then retry."
        )
    return Customer(str(contact["ContactID"]), str(contact["Name"]))


def contact_body(buyer: Buyer, name: str | None = None) -> Mapping[str, Any]:
    """A new contact."""
    address = {
        "AddressLine1": buyer.street,
        "City": buyer.city,
        "Region": buyer.state,
        "PostalCode": buyer.postal_code,
        "Country": buyer.country,
    }
    filled = {key: text[:255] for key, text in address.items() if text}
    body = {
        "Name": name or name_of(buyer),
        "ContactNumber": number_of(buyer),
        "FirstName": (buyer.first_name or "")[:NAME_LENGTH],
        "LastName": (buyer.last_name or "")[:NAME_LENGTH],
        "EmailAddress": buyer.email,
        "Phones": (
            [{"PhoneType": "DEFAULT", "PhoneNumber": buyer.phone[:50]}] if buyer.phone else None
        ),
        "Addresses": [{"AddressType": "POBOX", **filled}] if filled else None,
    }
    return {key: value for key, value in body.items() if value}


async def create_contact(
    calls: PartnerCalls, user: PartnerUser, draft: Draft, token: UUID
) -> Customer:
    """Make the contact. A name that is taken is looked up once: it may be the buyer's contact, made
    meanwhile; else the name says whose record of HubSpot's it is. There is no third try.
    """
    buyer = draft.buyer
    for name in (name_of(buyer), own_name(buyer)):
        answer = await put(calls, user, "Contacts", dict(contact_body(buyer, name)), token)
        if not any(NAME_TAKEN in each for each in messages_of(answer)):
            break
        if (found := await find_contact(calls, user, buyer)) is not None:
            return found
    raise_for(answer)
    made = _first(answer.payload["Contacts"])
    return Customer(str(made["ContactID"]), str(made["Name"]), created=True)


def _first(found: Iterable[Record]) -> Record:
    return next(iter(found))

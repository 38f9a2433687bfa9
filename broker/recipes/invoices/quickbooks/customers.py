"""QuickBooks' customers: found by id, e-mail address or name, else made.

A display name is unique over customers, vendors and employees, inactive ones too. A customer has
one currency for ever, so a buyer has one customer for each currency, whose name says which.
"""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID, uuid5

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.errors import InputRefused
from broker.recipes.invoices.port import Buyer, Company, Customer, Draft
from broker.recipes.invoices.quickbooks.api import Record, find, literal, one_of, target_of
from broker.recipes.invoices.quickbooks.refusals import DUPLICATE_NAME, code_of, raise_for

NAME_LENGTH, PART_LENGTH, ADDRESS_LENGTH = 500, 100, 500
EVERYONE = "Active IN (true, false)"


def display_name(draft: Draft, company: Company) -> str:
    """The name of the buyer's customer: as in HubSpot, without what QuickBooks refuses."""
    suffix = "" if draft.currency == company.home_currency else f" ({draft.currency})"
    return _named(draft.buyer, suffix)


def own_name(draft: Draft, company: Company) -> str:
    """The name of the customer when somebody else has the buyer's."""
    return _named(draft.buyer, f"{_currency(draft, company)} (HubSpot {draft.buyer.key})")


def _currency(draft: Draft, company: Company) -> str:
    return "" if draft.currency == company.home_currency else f" ({draft.currency})"


def _named(buyer: Buyer, suffix: str) -> str:
    name = " ".join(buyer.name.replace(":", " ").split())
    return name[: NAME_LENGTH - len(suffix)].strip() + suffix


async def find_customer(
    calls: PartnerCalls, user: PartnerUser, draft: Draft, company: Company
) -> Customer | None:
    """The first active customer in the draft's currency by the stored id, the e-mail address, the
    name.
    """
    buyer = draft.buyer
    stored = buyer.customer_id or ""
    realm_id, _, record_id = stored.partition(":")
    if realm_id == user.account_id and record_id.isdecimal():
        known = await find(calls, user, "Customer", f"WHERE Id = {literal(record_id)}")
        if chosen := _first(_usable(known, draft, company)):
            return chosen
    if buyer.email and "%" not in buyer.email:
        # The field may hold several addresses, so that = would miss one.
        rest = f"WHERE PrimaryEmailAddr LIKE {literal(f'%{buyer.email}%')}"
        likely = await find(calls, user, "Customer", rest)
        same = [
            each for each in _usable(likely, draft, company) if buyer.email.lower() in _emails(each)
        ]
        name = display_name(draft, company).lower()
        namesakes = [each for each in same if each["DisplayName"].lower() == name]
        if chosen := _first([*namesakes, *same]):
            return chosen
    names = (display_name(draft, company), own_name(draft, company))
    found = await find(calls, user, "Customer", f"WHERE DisplayName IN {one_of(names)}")
    return _first(_same_buyer(_usable(found, draft, company), draft, company))


def _usable(found: Iterable[Record], draft: Draft, company: Company) -> list[Record]:
    """Active customers in the draft's currency."""
    return [
        each
        for each in found
        if each.get("Active") is not False
        and each.get("CurrencyRef", {}).get("value", company.home_currency) == draft.currency
    ]


def _same_buyer(found: Iterable[Record], draft: Draft, company: Company) -> list[Record]:
    """Of the customers with the buyer's name those that are not another person's."""
    buyer, own = draft.buyer, own_name(draft, company).lower()
    return [
        each
        for each in found
        if buyer.is_company
        or each["DisplayName"].lower() == own
        or not _emails(each)
        or (buyer.email or "").lower() in _emails(each)
    ]


def _emails(customer: Record) -> set[str]:
    text = str((customer.get("PrimaryEmailAddr") or {}).get("Address", ""))
    return {each.strip().lower() for each in text.replace(";", ",").split(",") if each.strip()}


def _first(found: list[Record]) -> Customer | None:
    return Customer(str(found[0]["Id"]), str(found[0]["DisplayName"])) if found else None


def customer_body(draft: Draft, company: Company, name: str | None = None) -> Mapping[str, Any]:
    """A new customer."""
    buyer = draft.buyer
    address = {
        "Line1": buyer.street,
        "City": buyer.city,
        "CountrySubDivisionCode": buyer.state,
        "PostalCode": buyer.postal_code,
        "Country": buyer.country,
    }
    body = {
        "DisplayName": name or display_name(draft, company),
        "GivenName": (buyer.first_name or "")[:PART_LENGTH],
        "FamilyName": (buyer.last_name or "")[:PART_LENGTH],
        "CompanyName": buyer.name[:PART_LENGTH] if buyer.is_company else "",
        "PrimaryEmailAddr": {"Address": buyer.email} if buyer.email else None,
        "PrimaryPhone": {"FreeFormNumber": buyer.phone[:30]} if buyer.phone else None,
        "BillAddr": {key: text[:ADDRESS_LENGTH] for key, text in address.items() if text},
        "CurrencyRef": {"value": draft.currency} if company.multicurrency else None,
    }
    return {key: value for key, value in body.items() if value}


async def create_customer(
    calls: PartnerCalls, user: PartnerUser, draft: Draft, company: Company, token: UUID
) -> Customer:
    """Make the customer. A name that is taken is looked up once: it may be the buyer's customer,
    made meanwhile; else the name says whose record of HubSpot's it is. There is no third try.
    """
    for name in (display_name(draft, company), own_name(draft, company)):
        body = customer_body(draft, company, name)
        request_id = str(uuid5(token, f"customer {name}"))
        answer = await calls.send(
            user, "POST", target_of(user, "customer", requestid=request_id), dict(body)
        )
        if code_of(answer) != DUPLICATE_NAME:
            raise_for(answer)
            made = answer.payload["Customer"]
            return Customer(str(made["Id"]), str(made["DisplayName"]), created=True)
        rest = f"WHERE DisplayName = {literal(name)} AND {EVERYONE}"
        namesakes = _usable(await find(calls, user, "Customer", rest), draft, company)
        if chosen := _first(_same_buyer(namesakes, draft, company)):
            return chosen
    raise InputRefused(
        f"The names {display_name(draft, company)!r} and {own_name(draft, company)!r} are taken in "
        "QuickBooks by a vendor, an employee or an inactive customer. Rename it there, or make the "
        "customer active, then retry."
    )

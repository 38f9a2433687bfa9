"""Lists: filters, order, pages and changes since a time."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from broker.sandbox.xero.api.problems import query_problem
from broker.sandbox.xero.api.where import ordered, where
from broker.sandbox.xero.books.organisation import Organisation, Record
from broker.sandbox.xero.books.resources import Resource

PAGE_SIZE, LARGEST_PAGE = 100, 1000
SEARCHED = ("Name", "FirstName", "LastName", "ContactNumber", "EmailAddress", "CompanyNumber")
SEARCHED_INVOICES = ("InvoiceNumber", "Reference")
# Query parameters that list values, and the fields that they are compared with.
LISTS = {
    "IDs": "",
    "InvoiceNumbers": "InvoiceNumber",
    "ContactIDs": "Contact.ContactID",
    "Statuses": "Status",
}


def listed(
    organisation: Organisation, resource: Resource, query: Mapping[str, str], since: str
) -> tuple[list[Record], dict[str, int] | None]:
    """The records of a list as they are shown, and its paging, None without pages. `since` is the
    value of If-Modified-Since.
    """
    tests = _tests(resource, query, since)
    found = [each for each in organisation.all(resource.plural) if all(t(each) for t in tests)]
    if query.get("order"):
        found = ordered(found, query["order"], resource.fields)
    number = _page_number(query)
    if number is None:
        return [resource.shown(each, full=False) for each in found], None
    size = min(_positive(query.get("pageSize", str(PAGE_SIZE))), LARGEST_PAGE)
    paging = {
        "page": number,
        "pageSize": size,
        "pageCount": -(-len(found) // size),
        "itemCount": len(found),
    }
    page = found[(number - 1) * size : number * size]
    full = query.get("summaryOnly", "").lower() != "true"
    return [resource.shown(each, full=full) for each in page], paging


def modified_since(text: str) -> float | None:
    """The moment of an If-Modified-Since header, to the second; None when there is none."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError as wrong:
            raise query_problem("The If-Modified-Since header is not a date") from wrong
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.replace(microsecond=0).timestamp()


Test = Callable[[Record], bool]


def _tests(resource: Resource, query: Mapping[str, str], since: str) -> list[Test]:
    tests: list[Test] = []
    after = modified_since(since)
    if after is not None:
        tests.append(lambda record: int(record["UpdatedDateUTC"]) >= after)
    if query.get("where"):
        tests.append(where(query["where"], resource.fields))
    for name, path in LISTS.items():
        if query.get(name):
            accepted = {each.strip().casefold() for each in query[name].split(",")}
            tests.append(_one_of(path or resource.key, accepted))
    if resource.plural == "Contacts" and query.get("includeArchived", "").lower() != "true":
        tests.append(lambda record: record["ContactStatus"] != "ARCHIVED")
    term = query.get("searchTerm", "").casefold()
    if term:
        names = SEARCHED if resource.plural == "Contacts" else SEARCHED_INVOICES
        tests.append(
            lambda record: any(term in str(record.get(name, "")).casefold() for name in names)
        )
    return tests


def _one_of(path: str, accepted: set[str]) -> Test:
    def test(record: Record) -> bool:
        value: Any = record
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return str(value).casefold() in accepted

    return test


def _page_number(query: Mapping[str, str]) -> int | None:
    return _positive(query["page"]) if "page" in query else None


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,5}", text):
        raise query_problem(f"'{text}' is not a valid page")
    return int(text)

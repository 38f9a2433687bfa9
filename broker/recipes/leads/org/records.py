"""What Salesforce says of an object and of its records, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from broker.recipes.leads.fields import as_text

SYSTEM = ("Id", "SystemModstamp", "LastModifiedDate", "IsDeleted", "IsConverted",
          "ConvertedContactId", "MasterRecordId")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Described:
    """An object as the connected user sees it: Salesforce's type of each field that can be read,
    those that can be written, those that cannot be empty, those that Salesforce fills by itself
    when a record is made, the active values of picklists, and how many characters a field holds.
    """

    types: Mapping[str, str]
    writable: frozenset[str]
    required: frozenset[str]
    defaulted: frozenset[str]
    picklists: Mapping[str, Sequence[str]]
    lengths: Mapping[str, int]


def described_in(fields: Sequence[Mapping[str, Any]]) -> Described:
    """The description in an answer."""
    return Described(
        {each["name"]: each["type"] for each in fields},
        frozenset(each["name"] for each in fields if each.get("updateable")),
        frozenset(
            each["name"]
            for each in fields
            if not each.get("nillable", True) and each["type"] != "boolean"
        ),
        frozenset(each["name"] for each in fields if each.get("defaultedOnCreate")),
        {
            each["name"]: [
                value["value"] for value in each["picklistValues"] if value.get("active")
            ]
            for each in fields
            if each.get("picklistValues")
        },
        {each["name"]: int(each.get("length") or 0) for each in fields},
    )


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead, or the contact that it was converted to (`sobject`), as it is now."""

    id: str
    sobject: str
    values: Mapping[str, str]
    external_id: str
    modified_at: datetime
    stamp: str
    is_deleted: bool
    converted_to: str | None
    merged_into: str | None


def lead_in(record: Mapping[str, Any], sobject: str, external: str) -> Lead:
    """The record of an answer; `external` is the external id's field."""
    return Lead(
        id=record["Id"],
        sobject=sobject,
        values={
            name: as_text(value)
            for name, value in record.items()
            if name not in {"attributes", *SYSTEM}
        },
        external_id=as_text(record.get(external)),
        modified_at=datetime.fromisoformat(record["LastModifiedDate"]).astimezone(UTC),
        stamp=record["SystemModstamp"],
        is_deleted=record.get("IsDeleted") is True,
        converted_to=record.get("ConvertedContactId") if record.get("IsConverted") else None,
        merged_into=record.get("MasterRecordId"),
    )


def time_of(headers: Mapping[str, str]) -> datetime | None:
    """When an answer was made, by Salesforce's clock; None where it does not say."""
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (LookupError, ValueError):
        return None

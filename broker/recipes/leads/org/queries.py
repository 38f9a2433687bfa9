"""Queries in SOQL, and the times that stand in them and come with their answers."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from broker.crm.partners import PartnerAnswer
from broker.recipes.leads.fields import MappedField


def select(names: Sequence[str], kind: str, where: str, end: str = "") -> str:
    """A query in SOQL, which only reads."""
    return " ".join(["SELECT", ",".join(names), "FROM", kind, "WHERE", where, end]).strip()


def names(fields: Sequence[MappedField], more: Sequence[str]) -> list[str]:
    """What is read of a record."""
    return sorted({*(each.salesforce for each in fields), *more} - {""})


def moment(at: datetime) -> str:
    """A time as a query has it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def time_of(answer: PartnerAnswer) -> datetime | None:
    """When an answer was made, by Salesforce's clock; None where it does not say."""
    try:
        return parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    except (LookupError, ValueError):
        return None

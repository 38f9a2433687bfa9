"""Every query in SOQL that the recipe sends. Their texts are fixed but for names of fields, moments
and ids that Salesforce gave: no value of a record, a setting or a caller stands in one. What is
looked for by a value is read by its id, or searched for with parameters
(https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,79}")
ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def changed_since(
    names: Sequence[str], since: datetime, after: tuple[datetime, str] | None, limit: int
) -> str:
    """Leads written since a moment, by time and id, in whole seconds as Salesforce stamps them;
    those behind `after`, the stamp and the id of the last one before.
    """
    where = f"SystemModstamp >= {_moment(since)}"
    if after is not None:
        at, last = _moment(after[0]), _id(after[1])
        where = f"(SystemModstamp > {at} OR (SystemModstamp = {at} AND Id > '{last}'))"
    return _select(names, where, f"ORDER BY SystemModstamp, Id LIMIT {limit:d}")


def unlinked_since(names: Sequence[str], external: str, since: datetime, limit: int) -> str:
    """Live leads without an external id that were written since a moment, the newest first."""
    where = f"SystemModstamp >= {_moment(since)} AND IsConverted = false"
    where += f" AND {_name(external)} = null"
    return _select(names, where, f"ORDER BY SystemModstamp DESC LIMIT {limit:d}")


def number_since(since: datetime) -> str:
    """How many leads were written since a moment."""
    return _select(["COUNT()"], f"SystemModstamp >= {_moment(since)}")


def master_of(lead_id: str) -> str:
    """Into which lead a lead was merged."""
    return _select(["MasterRecordId"], f"Id = '{_id(lead_id)}'")


def _select(names: Sequence[str], where: str, end: str = "") -> str:
    columns = names if names == ["COUNT()"] else [_name(each) for each in names]
    return " ".join(["SELECT", ",".join(columns), "FROM", "Lead", "WHERE", where, end]).strip()


def _name(text: str) -> str:
    """A field's name. Raises ValueError for another text, which would be a mistake here."""
    if NAME.fullmatch(text) is None:
        raise ValueError("not a field's name")
    return text


def _id(text: str) -> str:
    """A record's id. Raises ValueError for another text."""
    if ID.fullmatch(text) is None:
        raise ValueError("not a record's id")
    return text


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

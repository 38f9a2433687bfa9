"""Calls of QuickBooks' accounting API, as the recipe makes them."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from broker.crm.partners import PartnerAnswer, PartnerCalls, PartnerUser
from broker.recipes.invoices.quickbooks.refusals import raise_for

MINOR_VERSION = 75
MOST_ROWS = 1000

Record = dict[str, Any]


def target_of(user: PartnerUser, path: str, **query: str) -> str:
    """A path in the user's company."""
    encoded = urlencode({**query, "minorversion": str(MINOR_VERSION)}, quote_via=quote)
    return f"/v3/company/{user.account_id}/{path}?{encoded}"


def literal(text: str) -> str:
    """A string of a query, quoted: Intuit escapes with backslashes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def one_of(texts: Sequence[str]) -> str:
    """A list of strings of a query, for IN."""
    return f"({', '.join(literal(each) for each in texts)})"


async def find(calls: PartnerCalls, user: PartnerUser, entity: str, rest: str) -> list[Record]:
    """The records of a query. Raises as `raise_for`."""
    # Intuit's own language, which has no parameters: texts in it are quoted by `literal`.
    statement = " ".join(("SELECT *", "FROM", entity, rest, f"MAXRESULTS {MOST_ROWS}"))
    answer = await calls.read(user, "GET", target_of(user, "query", query=statement))
    raise_for(answer)
    found: list[Record] = answer.payload["QueryResponse"].get(entity, [])
    return found


async def read(calls: PartnerCalls, user: PartnerUser, path: str) -> PartnerAnswer:
    """One record as it is answered; what a refusal means is the caller's."""
    return await calls.read(user, "GET", target_of(user, path))

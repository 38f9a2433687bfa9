"""Calls of Xero's accounting API, as the recipe makes them."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from broker.crm.partners import PartnerAnswer, PartnerCalls, PartnerUser
from broker.recipes.invoices.xero.refusals import raise_for

BASE = "/api.xro/2.0"
Record = dict[str, Any]


def target_of(path: str, **query: str) -> str:
    """A path of the API."""
    encoded = urlencode(query, quote_via=quote)
    return f"{BASE}/{path}?{encoded}" if encoded else f"{BASE}/{path}"


def is_literal(text: str) -> bool:
    """Whether a text can stand in a filter: how Xero escapes is not documented."""
    return re.search(r'["\\\x00-\x1f]', text) is None


async def find(
    calls: PartnerCalls,
    user: PartnerUser,
    kind: str,
    headers: dict[str, str] | None = None,
    **query: str,
) -> list[Record]:
    """The records of a list. Raises as `raise_for`."""
    answer = await calls.read(user, "GET", target_of(kind, **query), headers=headers)
    raise_for(answer)
    found: list[Record] = answer.payload.get(kind.partition("/")[0], [])
    return found


async def put(
    calls: PartnerCalls, user: PartnerUser, kind: str, body: Record, token: UUID
) -> PartnerAnswer:
    """Create a record: PUT refuses what is there, where POST would change it. The key is another
    for another body, which Xero would refuse under the same key.
    """
    text = json.dumps(body, default=str, sort_keys=True)
    key = f"{token}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    target = target_of(kind, unitdp="4")
    return await calls.send(user, "PUT", target, {kind: [body]}, {"Idempotency-Key": key})

"""Leads through Salesforce's REST API, as the user's connection.

Source: https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/.
"""

import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote, urlencode

from broker.crm.partners import PartnerAnswer, PartnerCalls, PartnerUser, understood
from broker.errors import InputRefused
from broker.recipes.leads.fields import MappedField, as_json
from broker.recipes.leads.org import queries
from broker.recipes.leads.org.day import OrgCalls
from broker.recipes.leads.org.queries import ID
from broker.recipes.leads.org.records import SYSTEM, Described, Lead, described_in, lead_in, time_of
from broker.recipes.leads.org.refusals import LeadGone, LeadTaken, error_of, raise_refusal

DATA = "/services/data/v66.0"
LEAD, CONTACT = "Lead", "Contact"
OF_CONTACTS = ("Id", "SystemModstamp", "LastModifiedDate")

WRITING = {
    # Without FALSE the org's assignment rules replace the owner, even where none is active.
    "Sforce-Auto-Assign": "FALSE",
    "Sforce-Call-Options": "client=broker",
}
SAVE_DUPLICATES = {"Sforce-Duplicate-Rule-Header": "allowSave=true; runAsCurrentUser=true"}

DESCRIBED_S = 300.0
"""For how long a description of an object is used."""

MAX_DESCRIBED = 200
MOST_IDS = 200
"""How many descriptions are held, and how many records are read by their ids at once."""

MOST_FOUND = 2000
"""How many leads a search or a query answers at once."""

INDEX_LAG = timedelta(minutes=30)
"""For how long a search may not find what was written. What was written since is looked through."""

_ADDRESS = re.compile(r"[\x21-\x7e]{3,80}")
_OF_SEARCHES = re.compile(r"""([?&|!{}\[\]()^~*:\\"'+-])""")
"""What means something in a search, unless it is escaped."""


class Leads:
    """Reads and writes leads of one process's users."""

    provider = "salesforce"

    def __init__(self, partners: PartnerCalls) -> None:
        self._partners = OrgCalls(partners)
        self._described: dict[tuple[Any, ...], tuple[float, Described]] = {}

    @understood
    async def describe(
        self, user: PartnerUser, sobject: str = LEAD, *, fresh: bool = False
    ) -> Described:
        """An object's fields, at most five minutes old, or as they are now. Raises as every method
        here: what `PartnerCalls` raises, and InputRefused or ScopesMissing for what a person has to
        mend.
        """
        key = (user.workspace_id, user.app_slug, user.user_ref, user.account_id, sobject)
        at, found = self._described.get(key, (0.0, None))
        if found is not None and not fresh and time.monotonic() < at + DESCRIBED_S:
            return found
        answer = await self._partners.read(user, "GET", f"{DATA}/sobjects/{sobject}/describe")
        described = described_in(_checked(answer)["fields"])
        if len(self._described) >= MAX_DESCRIBED:
            self._described.clear()
        self._described[key] = (time.monotonic(), described)
        return described

    def clear_cache(self) -> None:
        """Forget descriptions."""
        self._described.clear()

    @understood
    async def read(
        self, user: PartnerUser, lead_id: str, fields: Sequence[MappedField], external: str
    ) -> Lead | None:
        """A lead by its id; None when it is deleted or was never there."""
        names = _names(fields, (*SYSTEM, external))
        target = f"{DATA}/sobjects/{LEAD}/{quote(lead_id)}?fields={','.join(names)}"
        return await self._one(user, target, LEAD, external)

    @understood
    async def read_contact(
        self, user: PartnerUser, contact_id: str, fields: Sequence[MappedField]
    ) -> Lead | None:
        """The Salesforce contact to which a lead was converted."""
        names = _names(fields, OF_CONTACTS)
        target = f"{DATA}/sobjects/{CONTACT}/{quote(contact_id)}?fields={','.join(names)}"
        return await self._one(user, target, CONTACT, "")

    @understood
    async def of_external_id(
        self, user: PartnerUser, key: str, fields: Sequence[MappedField], external: str
    ) -> Lead | None:
        """The lead with an external id."""
        names = _names(fields, (*SYSTEM, external))
        target = f"{DATA}/sobjects/{LEAD}/{external}/{quote(key, safe='')}?fields={','.join(names)}"
        return await self._one(user, target, LEAD, external)

    @understood
    async def of_email(
        self, user: PartnerUser, email: str, fields: Sequence[MappedField], external: str
    ) -> Sequence[Lead]:
        """Live leads with an address and no external id, of those that a search by its words finds
        and those that its index may lack; none for an address with other characters than those of
        ASCII.
        """
        if _ADDRESS.fullmatch(email) is None:
            return []
        names = _names(fields, (*SYSTEM, external, "Email"))
        body = {
            "q": _OF_SEARCHES.sub(r"\\\1", email),
            "in": "EMAIL",
            "sobjects": [{"name": LEAD, "fields": names, "limit": MOST_FOUND}],
        }
        answer = await self._partners.read(user, "POST", f"{DATA}/parameterizedSearch", body)
        found = [lead_in(each, LEAD, external) for each in _checked(answer)["searchRecords"]]
        since = datetime.now(UTC) - INDEX_LAG
        recent = queries.unlinked_since(names, external, since, MOST_FOUND)
        found += (await self._query(user, "query", recent, external))[0]
        return list(
            {
                each.id: each
                for each in found
                if each.values.get("Email", "").lower() == email.lower()
                and each.converted_to is None
                and not each.is_deleted
                and not each.external_id
            }.values()
        )

    @understood
    async def read_many(
        self, user: PartnerUser, ids: Sequence[str], fields: Sequence[MappedField], external: str
    ) -> dict[str, Lead]:
        """Live leads by their ids, at most 200."""
        records = await self._collected(user, LEAD, ids, _names(fields, (*SYSTEM, external)))
        return {each["Id"]: lead_in(each, LEAD, external) for each in records}

    @understood
    async def merged_into(self, user: PartnerUser, lead_id: str) -> str | None:
        """The lead into which a deleted one was merged; None when it was only deleted."""
        if ID.fullmatch(lead_id) is None:
            return None
        target = f"{DATA}/queryAll?{urlencode({'q': queries.master_of(lead_id)})}"
        records = _checked(await self._partners.read(user, "GET", target))["records"]
        return records[0]["MasterRecordId"] if records else None

    @understood
    async def owners(self, user: PartnerUser, ids: Sequence[str]) -> dict[str, bool]:
        """Whether each of some users and queues is active, by the first 15 characters of its id;
        those that the org does not have are missing.
        """
        found: dict[str, bool] = {}
        for prefix, kind, columns in (
            ("005", "User", ["Id", "IsActive"]),
            ("00G", "Group", ["Id"]),
        ):
            wanted = sorted({each for each in ids if each[:3] == prefix})
            for start in range(0, len(wanted), MOST_IDS):
                part = wanted[start : start + MOST_IDS]
                records = await self._collected(user, kind, part, columns)
                found |= {each["Id"][:15]: each.get("IsActive", True) for each in records}
        return found

    @understood
    async def changed(
        self,
        user: PartnerUser,
        since: datetime,
        after: tuple[datetime, str] | None,
        fields: Sequence[MappedField],
        external: str,
        limit: int,
    ) -> tuple[Sequence[Lead], datetime | None]:
        """Leads written since a moment, deleted ones among them, by time and id; those behind
        `after`, the last one of the page before. With them the time by Salesforce's clock; None
        where it does not say.
        """
        names = _names(fields, (*SYSTEM, external))
        query = queries.changed_since(names, since, after, limit)
        return await self._query(user, "queryAll", query, external)

    @understood
    async def count_since(self, user: PartnerUser, since: datetime) -> int:
        """How many leads were written since a moment, deleted ones among them."""
        target = f"{DATA}/queryAll?{urlencode({'q': queries.number_since(since)})}"
        return int(_checked(await self._partners.read(user, "GET", target))["totalSize"])

    @understood
    async def day(self, user: PartnerUser) -> tuple[int, int]:
        """How many calls the org has had in the last 24 hours, and may have."""
        answer = await self._partners.read(user, "GET", f"{DATA}/limits")
        found = _checked(answer)["DailyApiRequests"]
        return int(found["Max"]) - int(found["Remaining"]), int(found["Max"])

    async def upsert(
        self,
        user: PartnerUser,
        external: str,
        key: str,
        values: Mapping[str, tuple[str, str]],
        *,
        save_duplicates: bool,
    ) -> tuple[str, bool]:
        """Create the lead with an external id, or update it; its id, and whether it is new.
        `values`: Salesforce's type and the value of each field. Raises what `raise_refusal` does.
        """
        body = {name: as_json(kind, value) for name, (kind, value) in values.items()}
        headers = {**WRITING, **(SAVE_DUPLICATES if save_duplicates else {})}
        target = f"{DATA}/sobjects/{LEAD}/{external}/{quote(key, safe='')}"
        answer = await self._partners.send(user, "PATCH", target, body, headers)
        if answer.status >= 300:
            raise_refusal(answer, body)
        return str(answer.payload["id"]), answer.status == 201

    async def update(
        self,
        user: PartnerUser,
        lead: Lead,
        values: Mapping[str, tuple[str, str]],
        *,
        save_duplicates: bool,
    ) -> None:
        """Write fields of a lead or contact that nobody has written since it was read, which
        Salesforce knows to the second. Raises what `raise_refusal` does.
        """
        body = {name: as_json(kind, value) for name, (kind, value) in values.items()}
        unmodified = {"If-Unmodified-Since": format_datetime(lead.modified_at, usegmt=True)}
        headers = {**WRITING, **unmodified, **(SAVE_DUPLICATES if save_duplicates else {})}
        target = f"{DATA}/sobjects/{lead.sobject}/{quote(lead.id)}"
        answer = await self._partners.send(user, "PATCH", target, body, headers)
        if answer.status >= 300:
            raise_refusal(answer, body)

    async def _one(
        self, user: PartnerUser, target: str, sobject: str, external: str
    ) -> Lead | None:
        answer = await self._partners.read(user, "GET", target)
        if answer.status == 404 and "external ID field" not in str(error_of(answer).get("message")):
            return None
        return lead_in(_checked(answer), sobject, external)

    async def _collected(
        self, user: PartnerUser, kind: str, ids: Sequence[str], names: Sequence[str]
    ) -> list[Mapping[str, Any]]:
        """Records by their ids, less those that are not there."""
        listed = [each for each in ids if ID.fullmatch(each)]
        if not listed:
            return []
        query = urlencode({"ids": ",".join(listed), "fields": ",".join(names)}, safe=",")
        target = f"{DATA}/composite/sobjects/{kind}?{query}"
        found = _checked(await self._partners.read(user, "GET", target))
        return [each for each in found if each is not None]

    async def _query(
        self, user: PartnerUser, kind: str, query: str, external: str
    ) -> tuple[list[Lead], datetime | None]:
        """All leads of a query, and when it was answered. Salesforce makes more pages of wide
        records than were asked for.
        """
        target, found, at = f"{DATA}/{kind}?{urlencode({'q': query})}", list[Lead](), None
        while target:
            answer = await self._partners.read(user, "GET", target)
            payload = _checked(answer)
            found += [lead_in(each, LEAD, external) for each in payload["records"]]
            at = at or time_of(answer.headers)
            target = "" if payload.get("done", True) else str(payload["nextRecordsUrl"])
        return found, at


def _names(fields: Sequence[MappedField], more: Sequence[str]) -> list[str]:
    return sorted({*(each.salesforce for each in fields), *more} - {""})


def _checked(answer: PartnerAnswer) -> Any:
    if answer.status >= 300:
        try:
            raise_refusal(answer, {})
        except LeadGone:
            raise InputRefused("Salesforce does not show leads to the connected user.") from None
        except LeadTaken as several:
            raise InputRefused(f"{several} Merge them in Salesforce, then retry.") from None
    return answer.payload

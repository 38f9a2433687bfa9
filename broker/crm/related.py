"""Reading around a record: what it is associated with, many records at once, pipelines, and the
account's own facts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from broker.crm.answers import raise_for_status

MOST_ASSOCIATED = 500
MOST_READ = 100
MOST_OWNERS = 500
"""HubSpot's limits of one page of associations, of one batch, and of one page of owners."""


@dataclass(frozen=True, slots=True)
class Associated:
    """A record that another is associated with, and the labels of their associations."""

    id: str
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """An account's currency (ISO 4217) and time zone (an IANA name), as far as HubSpot says."""

    currency: str | None
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline."""

    id: str
    label: str
    pipeline_id: str
    pipeline_label: str


class RelatedRecords:
    """The part of a reader that goes beyond one record. Every method raises as a reader's do."""

    async def _request(
        self, method: str, target: str, body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        raise NotImplementedError

    async def associated(self, object_type: str, record_id: str, to_type: str) -> list[Associated]:
        """The records of a type that a record is associated with, the oldest first; at most 500."""
        status, payload = await self._request(
            "GET",
            f"/crm/v4/objects/{quote(object_type)}/{quote(record_id, safe='')}/associations/"
            f"{quote(to_type)}?limit={MOST_ASSOCIATED}",
        )
        if status == 404:
            return []
        raise_for_status(status, payload)
        found = [
            Associated(
                str(each["toObjectId"]),
                frozenset(
                    kind["label"] for kind in each.get("associationTypes", ()) if kind.get("label")
                ),
            )
            for each in payload.get("results", ())
        ]
        return sorted(found, key=lambda each: int(each.id))

    async def read_many(
        self, object_type: str, record_ids: Sequence[str], names: Sequence[str]
    ) -> dict[str, dict[str, str | None]]:
        """Properties of records by their ids; those that are gone are missing."""
        found: dict[str, dict[str, str | None]] = {}
        for start in range(0, len(record_ids), MOST_READ):
            inputs = [{"id": each} for each in record_ids[start : start + MOST_READ]]
            status, payload = await self._request(
                "POST",
                f"/crm/v3/objects/{quote(object_type)}/batch/read",
                {"inputs": inputs, "properties": list(names)},
            )
            raise_for_status(status, payload)
            for each in payload.get("results", ()):
                found[str(each["id"])] = each.get("properties") or {}
        return found

    async def stages(self, object_type: str) -> list[Stage]:
        """The stages of every pipeline of a type, in order."""
        status, payload = await self._request("GET", f"/crm/v3/pipelines/{quote(object_type)}")
        raise_for_status(status, payload)
        return [
            Stage(str(stage["id"]), str(stage["label"]), str(each["id"]), str(each["label"]))
            for each in payload.get("results", ())
            for stage in each.get("stages", ())
        ]

    async def page(
        self, object_type: str, after: str | None, names: Sequence[str], limit: int
    ) -> tuple[list[tuple[str, dict[str, str | None]]], str | None]:
        """Ids and properties of some of all records, at most 100, and the token of the next page;
        None after the last one.
        """
        query = {"limit": str(limit), "properties": ",".join(names)}
        if after is not None:
            query["after"] = after
        target = f"/crm/v3/objects/{quote(object_type)}?{urlencode(query)}"
        status, payload = await self._request("GET", target)
        raise_for_status(status, payload)
        found = [(str(each["id"]), each["properties"]) for each in payload.get("results", ())]
        return found, _next(payload)

    async def count_since(self, object_type: str, name: str, since: datetime) -> int:
        """How many records have a moment in a property that is not before another."""
        moment = str(int(since.timestamp() * 1000))
        condition = {"propertyName": name, "operator": "GTE", "value": moment}
        body = {"filterGroups": [{"filters": [condition]}], "limit": 1}
        target = f"/crm/v3/objects/{quote(object_type)}/search"
        status, payload = await self._request("POST", target, body)
        raise_for_status(status, payload)
        return int(payload.get("total", 0))

    async def owners(self) -> set[str]:
        """The ids of those who may own records."""
        found: set[str] = set()
        after: str | None = ""
        while after is not None:
            more = f"&after={quote(after, safe='')}" if after else ""
            status, payload = await self._request(
                "GET", f"/crm/v3/owners?limit={MOST_OWNERS}{more}"
            )
            raise_for_status(status, payload)
            found |= {str(each["id"]) for each in payload.get("results", ())}
            after = _next(payload)
        return found

    async def account(self) -> AccountFacts:
        """What HubSpot says about the account itself."""
        status, payload = await self._request("GET", "/account-info/v3/details")
        raise_for_status(status, payload)
        return AccountFacts(payload.get("companyCurrency"), payload.get("timeZone"))


def _next(payload: Mapping[str, Any]) -> str | None:
    """The token of the page after this one."""
    following = (payload.get("paging") or {}).get("next") or {}
    return following.get("after")

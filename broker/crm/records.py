"""Records of any HubSpot object type, as one user, through the user's connection, its policy and
its quota: all that recipes know of HubSpot.

There are two kinds of access and no flag: a reader has nothing that writes, and what it sends is
judged by the proxy as a caller's that may only read. Both act in one HubSpot account only: access
is for a named account, and the proxy refuses a call whose connection has another.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

from broker.crm.answers import properties_rejected, raise_for_status, record_path
from broker.crm.object_types import label
from broker.crm.related import RelatedRecords
from broker.domain.model import Caller, ProxyCall
from broker.domain.runs import RetryLater, Run
from broker.errors import BrokerError, HubSpotUnavailable, InputRefused
from broker.providers.hubspot.client import read_body
from broker.services.proxy.forwarding import Proxy

MAX_RESPONSE_BYTES = 8 * 1_048_576
RECIPES = UUID(int=0x726563697065)
"""The key id of recipes in the call log: "recipe" in ASCII."""

MAX_RETRY_AFTER_S = 600.0
_EXISTING = re.compile(r"Existing ID: ([0-9]{1,20})")

SYNC_GROUP = "broker_sync"
"""The group of the properties that recipes bring, which HubSpot does not have of its own."""


@dataclass(frozen=True, slots=True)
class HubSpotUser:
    """A connected user and the HubSpot account in which calls for it may act; `hub_id` None: in
    whichever account the user is connected to.
    """

    workspace_id: UUID
    app_slug: str
    user_ref: str
    hub_id: int | None


@dataclass(frozen=True, slots=True)
class UpsertedRecord:
    """A record after an upsert, and whether it is new."""

    id: str
    created: bool


class RecordReader(RelatedRecords):
    """Reads records as one user; there is nothing here that could change one.

    Every method raises what `Proxy.forward` raises (OtherAccount among it), ScopesMissing,
    HubSpotUnavailable, and RetryLater when HubSpot throttles.
    """

    _scope = "proxy:read"

    def __init__(self, proxy: Proxy, user: HubSpotUser) -> None:
        self._proxy = proxy
        self._user = user
        self._caller = Caller(user.workspace_id, RECIPES, frozenset({self._scope}), None)

    async def read(
        self, object_type: str, record_id: str, names: Sequence[str], id_property: str | None = None
    ) -> dict[str, str | None] | None:
        """Properties of a record by its id, or by the value of a unique property; None when there
        is no such record. Properties that HubSpot does not know are missing.
        """
        query = {"properties": ",".join(names)}
        if id_property is not None:
            query["idProperty"] = id_property
        status, payload = await self._request(
            "GET", f"{record_path(object_type, record_id)}?{urlencode(query)}"
        )
        if status == 404:
            return None
        raise_for_status(status, payload)
        properties = payload.get("properties")
        return properties if isinstance(properties, dict) else {}

    async def sources(
        self, object_type: str, record_id: str, names: Sequence[str]
    ) -> dict[str, str]:
        """What wrote the present values of a record's properties, as HubSpot names it (CRM_UI, API,
        IMPORT); empty when there is no such record.
        """
        found = await self.history(object_type, record_id, names)
        return {name: str(each[0].get("sourceType")) for name, each in found.items()}

    async def changed_at(
        self, object_type: str, record_id: str, names: Sequence[str]
    ) -> dict[str, datetime]:
        """When the present values of a record's properties were written; empty when there is no
        such record.
        """
        found = await self.history(object_type, record_id, names)
        return {
            name: datetime.fromisoformat(str(each[0]["timestamp"]))
            for name, each in found.items()
            if each[0].get("timestamp")
        }

    async def history(
        self, object_type: str, record_id: str, names: Sequence[str]
    ) -> dict[str, Sequence[Mapping[str, Any]]]:
        """Versions of a record's properties, newest first; empty when there is no such record."""
        query = urlencode({"propertiesWithHistory": ",".join(names)})
        status, payload = await self._request(
            "GET", f"{record_path(object_type, record_id)}?{query}"
        )
        if status == 404:
            return {}
        raise_for_status(status, payload)
        history = payload.get("propertiesWithHistory") or {}
        return {name: each for name, each in history.items() if each}

    async def property_names(self, object_type: str) -> set[str]:
        """The properties that records of a type have."""
        return set(await self.definitions(object_type))

    async def definitions(self, object_type: str) -> dict[str, Mapping[str, Any]]:
        """The properties that records of a type have, as HubSpot defines them, by name."""
        status, payload = await self._request("GET", _properties(object_type))
        raise_for_status(status, payload)
        return {each["name"]: each for each in payload.get("results", ())}

    async def _request(
        self, method: str, target: str, body: Any = None
    ) -> tuple[int, dict[str, Any]]:
        headers = [("Accept", "application/json"), ("Content-Type", "application/json")]
        call = ProxyCall(
            self._user.app_slug,
            self._user.user_ref,
            method,
            target,
            headers,
            None if body is None else json.dumps(body).encode(),
            request_id=uuid4().hex,
            account_id=None if self._user.hub_id is None else str(self._user.hub_id),
        )
        try:
            async with self._proxy.forward(self._caller, call) as answer:
                status, received = answer.status, dict(answer.headers)
                text = await read_body(answer, MAX_RESPONSE_BYTES)
        except BrokerError as refusal:
            if refusal.status == 429:  # the account's quota is used up for the moment
                raise RetryLater(refusal.retry_after or 2, refusal.code) from refusal
            raise
        if status == 429:
            lower = {name.lower(): value for name, value in received.items()}
            wait = lower.get("retry-after", "")
            seconds = float(wait[:5]) if wait.isascii() and wait.isdecimal() else 2.0
            raise RetryLater(min(max(seconds, 1.0), MAX_RETRY_AFTER_S), "HubSpot is throttling")
        if status >= 500 or status in {423, 477}:
            raise HubSpotUnavailable(f"HubSpot answered {status}.")
        try:
            payload = json.loads(text) if text else {}
        except ValueError as error:
            raise HubSpotUnavailable("HubSpot's answer is not JSON.") from error
        return status, payload if isinstance(payload, dict) else {}


class RecordWriter(RecordReader):
    """Reads and changes records as one user."""

    _scope = "proxy"

    async def update(
        self, object_type: str, record_id: str, properties: Mapping[str, str | None]
    ) -> bool:
        """Write properties of a record; False when it is gone. Raises InputRefused when HubSpot
        rejects a property, naming it.
        """
        status, payload = await self._request(
            "PATCH", record_path(object_type, record_id), {"properties": dict(properties)}
        )
        if status == 404:
            return False
        if status == 400:
            raise properties_rejected(object_type, properties, payload)
        raise_for_status(status, payload)
        return True

    async def create(
        self, object_type: str, properties: Mapping[str, str | None]
    ) -> UpsertedRecord:
        """Create a record, or find the one whose e-mail address (any of its addresses) this is,
        which stays as it is. Raises InputRefused when HubSpot rejects a property.
        """
        target = f"/crm/v3/objects/{quote(object_type)}"
        status, payload = await self._request("POST", target, {"properties": dict(properties)})
        taken = _EXISTING.search(str(payload.get("message")))
        if status == 409 and taken:
            return UpsertedRecord(taken[1], False)
        if status in {400, 409}:
            raise properties_rejected(object_type, properties, payload)
        raise_for_status(status, payload)
        return UpsertedRecord(str(payload.get("id")), True)

    async def upsert(
        self,
        object_type: str,
        id_property: str,
        value: str,
        properties: Mapping[str, str | None],
    ) -> UpsertedRecord:
        """Create the record whose unique property has a value, or update it: HubSpot makes no
        second one, however often this is repeated. Raises InputRefused when it rejects a property.
        """
        fields = {**properties, id_property: value}
        one = {"idProperty": id_property, "id": value, "properties": fields}
        status, payload = await self._request(
            "POST", f"/crm/v3/objects/{quote(object_type)}/batch/upsert", {"inputs": [one]}
        )
        results = payload.get("results") or [{}]
        if status == 400 or (status == 207 and "id" not in results[0]):
            raise properties_rejected(object_type, fields, payload)
        raise_for_status(status, payload)
        return UpsertedRecord(str(results[0].get("id")), results[0].get("new") is True)

    async def associate(
        self, object_type: str, record_id: str, to_type: str, to_record_id: str
    ) -> None:
        """Associate two records by the default association of their types; one that is there
        already stays. Raises InputRefused when one of them is gone.
        """
        target = f"/crm/v4/objects/{quote(object_type)}/{quote(record_id)}/associations/default"
        status, payload = await self._request(
            "PUT", f"{target}/{quote(to_type)}/{quote(to_record_id)}"
        )
        if status in {400, 404}:
            raise InputRefused(
                f"HubSpot cannot associate {label(object_type)} {record_id} with {label(to_type)} "
                f"{to_record_id}: one of them is gone."
            )
        raise_for_status(status, payload)

    async def create_property(self, object_type: str, definition: Mapping[str, Any]) -> None:
        """Define a property of a type; one that is there already stays as it is."""
        if definition.get("groupName") == SYNC_GROUP:
            group = {"name": SYNC_GROUP, "label": "Synchronised by the broker"}
            status, payload = await self._request(
                "POST", f"{_properties(object_type)}/groups", group
            )
            if status != 409:
                raise_for_status(status, payload)
        status, payload = await self._request("POST", _properties(object_type), definition)
        if status != 409:
            raise_for_status(status, payload)

    async def complete_action(self, callback_id: str, output: Mapping[str, Any]) -> bool:
        """Complete a workflow action; False when HubSpot no longer waits for it
        (https://developers.hubspot.com/docs/api-reference/latest/automation/workflow-actions).
        """
        target = f"/automation/v4/actions/callbacks/{quote(callback_id, safe='')}/complete"
        status, payload = await self._request("POST", target, {"outputFields": dict(output)})
        if status == 404:
            return False
        raise_for_status(status, payload)
        return True


class CrmRecords:
    """Hands out access to users' records."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def reader(self, user: HubSpotUser) -> RecordReader:
        """Read-only access."""
        return RecordReader(self._proxy, user)

    def writer(self, user: HubSpotUser) -> RecordWriter:
        """Access that may write."""
        return RecordWriter(self._proxy, user)


def user_of(run: Run) -> HubSpotUser | None:
    """The user for whom a run acts, in the account in which the run began; None when the run needs
    no HubSpot.
    """
    if run.user_ref is None:
        return None
    return HubSpotUser(run.workspace_id, run.app_slug, run.user_ref, run.hub_id)


def _properties(object_type: str) -> str:
    return f"/crm/v3/properties/{quote(object_type)}"

"""One company: its records with ids and sync tokens, and what changed in it when."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.api.rendering import pacific
from broker.sandbox.quickbooks.books.entities import ENTITIES, Entity
from broker.sandbox.quickbooks.levers import Settings

FIRST_NUMBER = 1001

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a record. `operation` is created, updated, deleted, void, emailed
    or merged.
    """

    realm_id: str
    entity: str
    record_id: str
    operation: str
    at: float


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """The first answer to a `requestid`."""

    body: dict[str, Any]


class Company:
    """A company's books. `publish` is called with every change."""

    def __init__(
        self,
        realm_id: str,
        settings: Settings,
        now: Callable[[], float],
        publish: Callable[[Change], None],
    ) -> None:
        self.realm_id = realm_id
        self.settings = settings
        self.now = now
        self._publish = publish
        self.records: dict[str, dict[str, Record]] = {name: {} for name in ENTITIES}
        self.touched: dict[tuple[str, str], float] = {}
        self.deleted: dict[tuple[str, str], float] = {}
        self.answers: dict[tuple[str, str], SavedAnswer] = {}
        self.emails: dict[str, int] = {}
        self._last_ids: dict[str, int] = {}
        self._next_number = FIRST_NUMBER

    def moment(self) -> datetime:
        """The present, in UTC."""
        return datetime.fromtimestamp(self.now(), UTC)

    def today(self) -> str:
        """The date where the company is."""
        return self.moment().astimezone(ZoneInfo(self.settings.timezone)).date().isoformat()

    def find(self, entity: str, record_id: str) -> Record | None:
        return self.records[entity].get(record_id)

    def get(self, entity: str, record_id: str) -> Record:
        """A record. Raises a 610 when there is none."""
        if not record_id.isdecimal() and entity != "TaxCode":
            raise problems.bad_id(record_id)
        found = self.find(entity, record_id)
        if found is None:
            raise problems.not_found()
        return found

    def active(self, entity: str, reference: Any) -> Record:
        """The record that a `...Ref` names. Raises a 2500 when there is none or it is inactive."""
        value = str(reference.get("value", "")) if isinstance(reference, dict) else ""
        found = self.find(entity, value)
        if found is None or not found.get("Active", True):
            raise problems.invalid_reference(f"{entity} {value}")
        return found

    def all(self, entity: str) -> Iterator[Record]:
        """Every record of an entity, by id."""
        return iter(self.records[entity].values())

    def save(
        self, entity: Entity, fields: Record, operation: str | None = None, record_id: str = ""
    ) -> Record:
        """Write a record down with a new sync token. A record without `Id` is new and takes
        `record_id`, or the next one.
        """
        now = pacific(self.moment())
        old = self.find(entity.name, str(fields.get("Id", "")))
        if old is None:
            record_id = record_id or self._next_id(entity.ids)
            token, created = "0", now
        else:
            record_id = str(old["Id"])
            token, created = str(int(old["SyncToken"]) + 1), old["MetaData"]["CreateTime"]
        record = {
            **fields,
            "domain": "QBO",
            "sparse": False,
            "Id": record_id,
            "SyncToken": token,
            "MetaData": {"CreateTime": created, "LastUpdatedTime": now},
        }
        self.records[entity.name][record_id] = record
        self.record_change(entity.name, record_id, operation or ("updated" if old else "created"))
        return record

    def delete(self, entity: str, record_id: str) -> None:
        del self.records[entity][record_id]
        self.deleted[entity, record_id] = self.now()
        self.record_change(entity, record_id, "deleted")

    def record_change(self, entity: str, record_id: str, operation: str) -> None:
        """Record and publish a change."""
        self.touched[entity, record_id] = self.now()
        self._publish(Change(self.realm_id, entity, record_id, operation, self.now()))

    def next_number(self) -> str:
        """The next document number that no invoice has."""
        taken = {str(each.get("DocNumber", "")) for each in self.all("Invoice")}
        while str(self._next_number) in taken:
            self._next_number += 1
        self._next_number += 1
        return str(self._next_number - 1)

    def balance(self, customer_id: str) -> Decimal:
        """A customer's balance."""
        balances = (
            each["Balance"]
            for each in self.all("Invoice")
            if each["CustomerRef"]["value"] == customer_id
        )
        return sum(balances, Decimal(0))

    def shown(self, entity: str, record: Record) -> Record:
        """A record as the API shows it: a customer with its balance."""
        if entity != "Customer":
            return record
        balance = self.balance(record["Id"])
        return {**record, "Balance": balance, "BalanceWithJobs": balance}

    def _next_id(self, counter: str) -> str:
        self._last_ids[counter] = self._last_ids.get(counter, 0) + 1
        return str(self._last_ids[counter])

"""One organisation: its records by id, and the changes that it publishes."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from broker.sandbox.xero.levers import Settings

KINDS = ("Contacts", "Invoices", "Items", "Payments", "Accounts", "TaxRates", "Currencies")

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A contact or an invoice was created or updated. `category` is CONTACT or INVOICE."""

    tenant_id: str
    category: str
    kind: str
    record_id: str
    created: bool
    at: float


class Organisation:
    """An organisation's books. Records are replaced, never changed in place."""

    def __init__(
        self,
        tenant_id: str,
        settings: Settings,
        now: Callable[[], float],
        publish_change: Callable[[Change], None],
    ) -> None:
        self.tenant_id = tenant_id
        self.settings = settings
        self.now = now
        self._publish_change = publish_change
        self.records: dict[str, dict[str, Record]] = {kind: {} for kind in KINDS}
        self._changes: list[Change] = []

    def today(self) -> str:
        """The date where the organisation is."""
        here = datetime.fromtimestamp(self.now(), UTC).astimezone(ZoneInfo(self.settings.timezone))
        return here.date().isoformat()

    def all(self, kind: str) -> Iterator[Record]:
        return iter(self.records[kind].values())

    def find(self, kind: str, **values: Any) -> Record | None:
        """The first record whose fields have these values, ignoring case in text."""
        for record in self.all(kind):
            if all(_folded(record.get(name)) == _folded(value) for name, value in values.items()):
                return record
        return None

    def account(self, code: str) -> Record | None:
        return self.find("Accounts", Code=code, Status="ACTIVE")

    def tax_rate(self, tax_type: str) -> Decimal | None:
        """A tax type's rate in per cent; None for an unknown type."""
        found = self.find("TaxRates", TaxType=tax_type, Status="ACTIVE")
        return None if found is None else found["EffectiveRate"]

    def save(self, kind: str, key: str, record: Record) -> Record:
        """Write a record down; a new one gets an id under `key`."""
        created = not record.get(key)
        record_id = str(uuid.uuid4()) if created else str(record[key])
        saved = {**record, key: record_id, "UpdatedDateUTC": self.now()}
        self.records[kind][record_id] = saved
        category = {"Contacts": "CONTACT", "Invoices": "INVOICE"}.get(kind)
        if category is not None:
            self._changes.append(
                Change(self.tenant_id, category, kind, record_id, created, self.now())
            )
        return saved

    def snapshot(self) -> dict[str, dict[str, Record]]:
        """The records as they are now, to go back to."""
        return {kind: dict(records) for kind, records in self.records.items()}

    def restore(self, snapshot: dict[str, dict[str, Record]]) -> None:
        """Undo what was saved since a snapshot."""
        self.records = snapshot
        self._changes.clear()

    def publish(self) -> None:
        """Publish the changes since the last call."""
        changes, self._changes = self._changes, []
        for change in changes:
            self._publish_change(change)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value

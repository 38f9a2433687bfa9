"""The records of one type in one portal."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Values = dict[str, str | None]


@dataclass(slots=True)
class Record:
    """One record. `indexed` is what search knows of it: None until it was indexed once."""

    id: str
    created_at: str
    updated_at: str
    properties: dict[str, str] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    archived_at: str | None = None
    indexed: dict[str, str] | None = None
    changed_at: float = 0.0
    locked_until: float = 0.0

    def set(self, values: Values, source: dict[str, Any], stamp: str, now: float) -> list[str]:
        """Take values; the names of those that changed."""
        changed = [name for name, value in values.items() if self.properties.get(name) != value]
        for name in changed:
            value = values[name]
            if value is None:
                self.properties.pop(name, None)
            else:
                self.properties[name] = value
            entry = {"value": value or "", "timestamp": stamp, **source}
            self.history.setdefault(name, []).insert(0, entry)
        self.updated_at, self.changed_at = stamp, now
        return changed

    def catch_up(self, now: float, lag: float) -> None:
        """Let the search index see the record as it is, once it has stood for `lag` seconds."""
        if now - self.changed_at >= lag:
            self.indexed = dict(self.properties)


@dataclass(slots=True)
class Records:
    """Records by id; `aliases` lead from a merged record's id to the one that took it in."""

    by_id: dict[str, Record] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    unique: dict[str, dict[str, str]] = field(default_factory=dict)

    def get(self, record_id: str) -> Record | None:
        return self.by_id.get(self.aliases.get(record_id, record_id))

    def live(self, *, archived: bool = False) -> Iterator[Record]:
        """Records that are not archived, or only those that are, oldest first."""
        return (each for each in self.by_id.values() if (each.archived_at is not None) == archived)

    def holding(self, name: str, value: str) -> str | None:
        """Which live record holds a unique value."""
        return self.unique.get(name, {}).get(value.lower())

    def index(self, record: Record, unique: list[str]) -> None:
        """Remember a record's unique values."""
        for name in unique:
            if name in record.properties:
                self.unique.setdefault(name, {})[record.properties[name].lower()] = record.id

    def unindex(self, record: Record, unique: list[str]) -> None:
        """Free a record's unique values."""
        for name in unique:
            ids_by_value = self.unique.get(name, {})
            value = record.properties.get(name, "").lower()
            if ids_by_value.get(value) == record.id:
                del ids_by_value[value]

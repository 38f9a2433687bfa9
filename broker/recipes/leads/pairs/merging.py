"""What to write to bring a contact and a lead together, field by field. No I/O.

A change is what differs from the value last seen on the same side, so what the recipe wrote itself
is none. Where only one side has changed, its value goes to the other. Where both have, and differ,
the field's rule decides. Where neither has, nothing is written, even if the two differ.

A write is recorded before it is made. Where its end is not known, the side that it was for has
changed only if it shows neither the former value nor the written one, and the other side's value is
still to be brought over, whatever it is now.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from broker.recipes.leads.fields import MappedField
from broker.recipes.leads.models import Direction, Side, Wins

MARKED = 2
"""How many hashes are stored of a field, both sides', when no write is intended."""

Values = Mapping[str, str]
"""Values of one side, by the side's own field names."""


@dataclass(frozen=True, slots=True)
class Change:
    """A value to write to one side. `overwritten`: that side had changed too, to `before`."""

    field: MappedField
    side: Side
    before: str
    after: str
    overwritten: bool


@dataclass(frozen=True, slots=True)
class Merge:
    """What is to be written, and what is not, with the reason."""

    changes: tuple[Change, ...]
    notes: tuple[str, ...]


def merge(
    fields: Iterable[MappedField],
    hubspot: Values,
    salesforce: Values,
    changed: tuple[frozenset[str], frozenset[str]],
    *,
    direction: Direction = "both",
    required: frozenset[str] = frozenset(),
    newer: Callable[[MappedField], Side] = lambda _: Side.HUBSPOT,
) -> Merge:
    """`changed`: the properties that have changed at HubSpot, and the fields at Salesforce.
    `required` are Salesforce's fields that cannot be empty. `newer` says which side changed a field
    last; it is asked for conflicts only.
    """
    changes, notes = [], []
    for field in fields:
        contact_value = hubspot.get(field.hubspot, "")
        lead_value = salesforce.get(field.salesforce, "")
        side = _target(field, contact_value, lead_value, changed, direction, newer)
        if side is None:
            continue
        both = field.hubspot in changed[0] and field.salesforce in changed[1]
        if field.is_backward(contact_value, lead_value, to_hubspot=side is Side.HUBSPOT):
            notes.append(f"{field.hubspot} and {field.salesforce} do not go to an earlier stage.")
            continue
        if side is Side.SALESFORCE:
            before, after = lead_value, field.to_salesforce(contact_value)
            name, value = field.salesforce, contact_value
        else:
            before, after = contact_value, field.to_hubspot(lead_value, contact_value)
            name, value = field.hubspot, lead_value
        if after is None:
            notes.append(f"{name} was not written: the settings map no value to {value!r}.")
        elif not after and side is Side.SALESFORCE and field.salesforce in required:
            notes.append(f"{field.salesforce} was not emptied: Salesforce requires it.")
        else:
            changes.append(Change(field, side, before, after, both and bool(before)))
    return Merge(tuple(changes), tuple(notes))


def _target(
    field: MappedField,
    contact_value: str,
    lead_value: str,
    changed: tuple[frozenset[str], frozenset[str]],
    direction: Direction,
    newer: Callable[[MappedField], Side],
) -> Side | None:
    """The side that is to take over the other's value; None for neither."""
    at_hubspot = field.hubspot in changed[0] and direction != "to-hubspot"
    at_salesforce = field.salesforce in changed[1] and direction != "to-salesforce"
    if not (at_hubspot or at_salesforce) or field.equal(contact_value, lead_value):
        return None
    if at_hubspot and at_salesforce:
        winner = newer(field) if field.wins is Wins.NEWEST else Side(field.wins)
        return Side.SALESFORCE if winner is Side.HUBSPOT else Side.HUBSPOT
    return Side.SALESFORCE if at_hubspot else Side.HUBSPOT


def filled(
    fields: Iterable[MappedField], hubspot: Values, salesforce: Values
) -> tuple[frozenset[str], frozenset[str]]:
    """The changes of two records that were never compared: each value that is there."""
    listed = list(fields)
    return (
        frozenset(each.hubspot for each in listed if hubspot.get(each.hubspot)),
        frozenset(each.salesforce for each in listed if salesforce.get(each.salesforce)),
    )


class Marks:
    """Hashes of a pair's values, which tell a change and hold no value."""

    def __init__(self, workspace_id: UUID, hub_id: int, contact_id: str) -> None:
        self._salt = f"{workspace_id}/{hub_id}/{contact_id}"

    def of(self, field: MappedField, side: Side, value: str) -> str:
        text = f"{self._salt}/{field.hubspot}/{side}/{field.normal(value)}"
        return hashlib.sha256(text.encode()).hexdigest()[:24]

    def all(
        self, fields: Iterable[MappedField], hubspot: Values, salesforce: Values
    ) -> dict[str, tuple[str, str]]:
        """What is stored of both sides' values."""
        return {
            _name(each): (
                self.of(each, Side.HUBSPOT, hubspot.get(each.hubspot, "")),
                self.of(each, Side.SALESFORCE, salesforce.get(each.salesforce, "")),
            )
            for each in fields
        }

    def intended(
        self,
        fields: Iterable[MappedField],
        hubspot: Values,
        salesforce: Values,
        changes: Iterable[Change],
    ) -> dict[str, tuple[str, ...]]:
        """What is stored of both sides' values before changes are written."""
        stored: dict[str, tuple[str, ...]] = {**self.all(fields, hubspot, salesforce)}
        for each in changes:
            mark = self.of(each.field, each.side, each.after)
            stored[_name(each.field)] = (*stored[_name(each.field)], each.side.value, mark)
        return stored

    def changed_at_hubspot(
        self, fields: Iterable[MappedField], values: Values, seen: Mapping[str, Sequence[str]]
    ) -> frozenset[str]:
        """The properties that have changed since; one that was never seen counts if it is there."""
        return frozenset(
            each.hubspot
            for each in fields
            if self._differs(each, Side.HUBSPOT, values.get(each.hubspot, ""), seen)
        )

    def changed_at_salesforce(
        self, fields: Iterable[MappedField], values: Values, seen: Mapping[str, Sequence[str]]
    ) -> frozenset[str]:
        """The fields that have changed since; one that was never seen counts if it is there."""
        return frozenset(
            each.salesforce
            for each in fields
            if self._differs(each, Side.SALESFORCE, values.get(each.salesforce, ""), seen)
        )

    def _differs(
        self, field: MappedField, side: Side, value: str, seen: Mapping[str, Sequence[str]]
    ) -> bool:
        stored = seen.get(_name(field))
        if stored is None:
            return bool(value)
        known = {stored[0 if side is Side.HUBSPOT else 1]}
        if len(stored) > MARKED:  # a write was intended
            if stored[2] != side:
                return True
            known.add(stored[3])
        return self.of(field, side, value) not in known


def _name(field: MappedField) -> str:
    return f"{field.hubspot}={field.salesforce}"

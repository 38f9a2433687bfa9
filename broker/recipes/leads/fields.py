"""The mapped fields, and when their two values are equal: after what the vendors do to values by
themselves (white space, letter case of addresses, forms of numbers). No I/O.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from broker.recipes.leads.models import LeadsSettings, Wins

STAGE, STATUS, OWNER = "lifecyclestage", "Status", "OwnerId"

NUMBERS = frozenset({"int", "double", "currency", "percent", "long"})
_NOT_DIALLED = re.compile(r"[^0-9+]")


def _number(text: str) -> str:
    try:
        return format(Decimal(text).normalize(), "f")
    except InvalidOperation:
        return text


_FORMS: Mapping[str, Callable[[str], str]] = {
    "email": str.lower,
    "phone": lambda text: _NOT_DIALLED.sub("", text) or text,
    "boolean": lambda text: text.lower() or "false",
    # The other three characters of an id only repeat the case of its letters.
    "reference": lambda text: text[:15],
}


@dataclass(frozen=True, slots=True)
class MappedField:
    """A contact property and a lead field. `kind` is Salesforce's type of the field. `pairs` are
    the values that mean each other, in order; None: both sides have the same values. `fallback`
    is the Salesforce value for all others. `forward`: no change goes to an earlier one of `pairs`.
    """

    hubspot: str
    salesforce: str
    wins: Wins
    kind: str = "string"
    pairs: tuple[tuple[str, str], ...] | None = None
    fallback: str | None = None
    forward: bool = False

    def normal(self, value: str | None) -> str:
        """A value of either side in the form in which two are compared; empty for none."""
        text = (value or "").strip()
        form = _number if self.kind in NUMBERS else _FORMS.get(self.kind)
        return text if form is None else form(text)

    def to_salesforce(self, value: str) -> str | None:
        """Salesforce's value for one of HubSpot's; None where the mapping has none."""
        if self.pairs is None or not value.strip():
            return value.strip()
        return next(
            (salesforce for hubspot, salesforce in self.pairs if hubspot == value), self.fallback
        )

    def to_hubspot(self, value: str, current: str) -> str | None:
        """HubSpot's value for one of Salesforce's; None where the mapping has none. What HubSpot
        shows stays where it means the same: several values may.
        """
        if self.equal(current, value):
            return current
        if self.pairs is None or not value.strip():
            return value.strip()
        wanted = self.normal(value)
        return next(
            (hubspot for hubspot, salesforce in self.pairs if self.normal(salesforce) == wanted),
            None,
        )

    def equal(self, hubspot: str, salesforce: str) -> bool:
        """Whether the two sides show the same."""
        meant = self.to_salesforce(hubspot)
        return meant is not None and self.normal(meant) == self.normal(salesforce)

    def is_backward(self, hubspot: str, salesforce: str, *, to_hubspot: bool) -> bool:
        """Whether writing one side's value to the other goes to an earlier stage."""
        if not self.forward or self.pairs is None:
            return False
        hubspot_values = [each for each, _ in self.pairs]
        salesforce_values = [self.normal(each) for _, each in self.pairs]
        shown = self.normal(salesforce)
        if hubspot not in hubspot_values or shown not in salesforce_values:
            return False
        at_hubspot = hubspot_values.index(hubspot)
        if to_hubspot:
            return salesforce_values.index(shown) < at_hubspot
        meant = self.normal(self.pairs[at_hubspot][1])
        return salesforce_values.index(meant) < salesforce_values.index(shown)


def mapped_fields(settings: LeadsSettings, types: Mapping[str, str]) -> list[MappedField]:
    """The fields that the settings name and the connected Salesforce user sees; `types` has
    Salesforce's type of each visible field, by its name.
    """
    by_lower = {name.lower(): name for name in types}
    found = []
    for each in settings.fields:
        name = by_lower.get(each.salesforce.lower())
        if name is not None:
            found.append(MappedField(each.hubspot, name, each.wins, types[name]))
    lifecycle = settings.lifecycle
    if lifecycle is not None and STATUS in types:
        stages = tuple((each.hubspot, each.salesforce) for each in lifecycle.stages)
        found.append(
            MappedField(
                STAGE,
                STATUS,
                lifecycle.wins,
                types[STATUS],
                stages,
                forward=not lifecycle.back,
            )
        )
    if (settings.owners or settings.defaultOwner) and OWNER in types:
        found.append(
            MappedField(
                "hubspot_owner_id",
                OWNER,
                Wins.NEWEST,
                types[OWNER],
                tuple(settings.owners.items()),
                settings.defaultOwner,
            )
        )
    return found


def as_text(value: Any) -> str:
    """A value of Salesforce's JSON as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def as_json(kind: str, value: str) -> Any:
    """A text as Salesforce's JSON of a type; null for none. A text that is no number stays one,
    which Salesforce then refuses with its words.
    """
    text = value.strip()
    if kind == "boolean":
        return text.lower() == "true"
    if not text:
        return None
    if kind in NUMBERS:
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        whole = number == number.to_integral_value()
        return int(number) if whole and kind in {"int", "long"} else number
    return text

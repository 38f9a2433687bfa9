"""What a run has replaced, told even where an attempt at it ended in between, and where a person
wrote in the moment between its reading and its writing.

An attempt stores what it is about to write in its step's checkpoint. The next attempt looks whether
it is there. HubSpot keeps the versions of a property, so that the one before the recipe's own shows
what was replaced. Salesforce writes only to a lead that nobody has changed since it was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from broker.crm.object_types import CONTACTS
from broker.crm.records import RecordReader
from broker.recipes.leads.fields import STAGE, MappedField
from broker.recipes.leads.models import ChangedField, Side, Wins
from broker.recipes.leads.pairs.merging import Change, Values
from broker.recipes.leads.pairs.work import Work, shown

CHANGES = "changes"
"""The key of a checkpoint under which changes stand that may have been written."""


def checkpoint_with(work: Work, changes: Sequence[Change]) -> dict[str, Any]:
    """The step's checkpoint while changes are written."""
    kept = {} if work.attempt is None else work.attempt.checkpoint
    return {**kept, CHANGES: [shown(each) for each in changes]}


def unconfirmed(work: Work) -> Sequence[Mapping[str, Any]]:
    """What earlier attempts at this step were about to write."""
    stored = () if work.attempt is None else work.attempt.checkpoint.get(CHANGES, ())
    return tuple(stored)


def earlier_changes(work: Work, hubspot: Values, salesforce: Values) -> list[Change]:
    """The changes of earlier attempts at this step, less those that were not written."""
    by_name = {(each.hubspot, each.salesforce): each for each in work.fields}
    found = []
    for each in map(ChangedField.model_validate, unconfirmed(work)):
        name = each.hubspot, each.salesforce
        field = by_name.get(name) or MappedField(*name, Wins.NEWEST)
        change = Change(field, each.side, each.before, each.after, each.overwritten)
        value = (
            hubspot.get(field.hubspot, "")
            if change.side is Side.HUBSPOT
            else salesforce.get(field.salesforce, "")
        )
        if field.normal(value) != field.normal(change.before):
            found.append(change)
    return found


async def with_replaced(
    reader: RecordReader, contact_id: str, changes: Sequence[Change]
) -> list[Change]:
    """The changes, those of HubSpot with the values that they have in fact replaced."""
    names = sorted({each.field.hubspot for each in changes if each.side is Side.HUBSPOT})
    if not names:
        return list(changes)
    history = await reader.history(CONTACTS, contact_id, names)
    return [
        _with_replaced(each, history.get(each.field.hubspot, ()))
        if each.side is Side.HUBSPOT
        else each
        for each in changes
    ]


def _with_replaced(change: Change, versions: Sequence[Mapping[str, Any]]) -> Change:
    """The change with the value of the version before the one that it made."""
    values = [str(each.get("value") or "") for each in versions]
    normal = change.field.normal
    after, before = normal(change.after), normal(change.before)
    made = next((place for place, each in enumerate(values) if normal(each) == after), None)
    if made is None:
        return change
    # A stage that goes back is emptied first, which replaces nothing of a person's.
    skipped = {after, ""} if change.field.hubspot == STAGE else {after}
    replaced = next((each for each in values[made + 1 :] if normal(each) not in skipped), None)
    if replaced is None or normal(replaced) == before:
        return change
    return replace(change, before=replaced, overwritten=True)

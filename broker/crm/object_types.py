"""HubSpot's object types: the names of paths, webhooks and workflows, and the id behind them
(https://developers.hubspot.com/docs/guides/crm/understanding-the-crm, "object type ids").
"""

import json
import re

from broker.domain.events import ProviderEvent
from broker.domain.runs import RecordChange

COMPANIES, CONTACTS, DEALS, LINE_ITEMS = "companies", "contacts", "deals", "line_items"

_SINGULAR = {
    "contacts": ("contact", "0-1"),
    "companies": ("company", "0-2"),
    "deals": ("deal", "0-3"),
    "tickets": ("ticket", "0-5"),
    "products": ("product", "0-7"),
    "line_items": ("line_item", "0-8"),
}
_IDS = {
    name: type_id
    for plural, (singular, type_id) in _SINGULAR.items()
    for name in (plural, singular, type_id)
}
_TYPE_ID = re.compile(r"[0-9]{1,3}-[0-9]{1,20}")

RECORD_ID = re.compile(r"[0-9]{1,20}")


def type_id(name: str) -> str | None:
    """The id of an object type by its plural, its singular or its id, in any letter case; None for
    a custom object's name, which means something in one account only.
    """
    name = name.lower()
    return _IDS.get(name) or (name if _TYPE_ID.fullmatch(name) else None)


def label(object_type: str) -> str:
    """An object type as HubSpot's pages write one record of it."""
    singular, _ = _SINGULAR.get(object_type, ("record", ""))
    return singular.replace("_", " ").capitalize()


def change_of(event: ProviderEvent) -> RecordChange | None:
    """The change that an event reports: a property's new value or a new record; None for any other
    event. The value is as HubSpot writes it, and empty where `propertyValue` is missing or null.
    """
    noun, _, action = event.topic.partition(".")
    fields = event.data
    named = str(fields.get("objectTypeId", "")) if noun == "object" else noun
    object_type, record_id = type_id(named), str(fields.get("objectId"))
    if object_type is None or RECORD_ID.fullmatch(record_id) is None:
        return None
    if action == "creation":
        return RecordChange(object_type, record_id, None, "")
    name, value = fields.get("propertyName"), fields.get("propertyValue")
    if action != "propertyChange" or not isinstance(name, str):
        return None
    if not isinstance(value, str):
        value = "" if value is None else json.dumps(value)
    return RecordChange(object_type, record_id, name, value)


def deleted_record(event: ProviderEvent) -> tuple[str, str] | None:
    """Object type id and record id of a record that an event reports as deleted, for its owner's
    privacy or otherwise; None for any other event.
    """
    noun, _, action = event.topic.partition(".")
    fields = event.data
    named = str(fields.get("objectTypeId", "")) if noun == "object" else noun
    object_type, record_id = type_id(named), str(fields.get("objectId"))
    if action not in {"deletion", "privacyDeletion"} or object_type is None:
        return None
    return (object_type, record_id) if RECORD_ID.fullmatch(record_id) else None

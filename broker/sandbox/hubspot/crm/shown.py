"""How records look in an answer."""

from collections.abc import Iterable
from typing import Any

from broker.sandbox.hubspot.crm.records import Record
from broker.sandbox.hubspot.crm.types import ObjectType
from broker.sandbox.hubspot.portal import Portal


def listed(values: Iterable[str]) -> list[str]:
    """Names that came as repeated keys or comma-joined; SDKs send either."""
    return [name for value in values for name in value.split(",") if name]


def whole(portal: Portal, kind: ObjectType, record: Record) -> dict[str, Any]:
    """A record with every property that is set, as create and update answer."""
    return shown(portal, kind, record, list(record.properties))


def shown(
    portal: Portal,
    kind: ObjectType,
    record: Record,
    names: list[str],
    history: list[str] | None = None,
) -> dict[str, Any]:
    """A record with the requested properties, or the type's usual ones when none are."""
    defined = portal.live_definitions(kind)
    always = ("createdate" if "createdate" in kind.defaults else "hs_createdate", kind.modified)
    selected = {*names, *always, "hs_object_id"} if names else set(kind.defaults)
    values = record.properties
    body: dict[str, Any] = {
        "id": record.id,
        "properties": {
            name: values.get(name) for name in sorted(selected) if name in defined or name in values
        },
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "archived": record.archived_at is not None,
        "url": f"https://app.hubspot.com/contacts/{portal.hub_id}/record/{kind.id}/{record.id}",
    }
    if record.archived_at is not None:
        body["archivedAt"] = record.archived_at
    if history:
        body["propertiesWithHistory"] = {name: record.history.get(name, []) for name in history}
    return body


def with_associations(
    portal: Portal, kind: ObjectType, record: Record, names: list[str]
) -> dict[str, Any]:
    """The `associations` part of a record, for the types that a caller names."""
    found: dict[str, Any] = {}
    for name in names:
        target = portal.type(name)
        if target is None:
            continue
        results = [
            {"id": other, "type": link.name}
            for other, links in portal.links.of(kind.id, record.id, target.id).items()
            for link in links
        ]
        if results:
            found[target.association_name] = {"results": results}
    return {"associations": found} if found else {}

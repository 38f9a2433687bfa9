"""Records and results as the REST API shows them."""

from typing import Any

from broker.sandbox.salesforce.ids import PREFIXES
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.schema.fields import Field, SObject
from broker.sandbox.salesforce.stamps import to_json


def attributes(base: str, kind: SObject, record: Record) -> dict[str, str]:
    """What every shown record begins with."""
    return {"type": kind.name, "url": f"{base}/sobjects/{kind.name}/{record['Id']}"}


def shown(base: str, kind: SObject, record: Record, fields: list[Field]) -> dict[str, Any]:
    """A record with some of its fields."""
    body: dict[str, Any] = {"attributes": attributes(base, kind, record)}
    body.update((each.name, to_json(record[each.name])) for each in fields)
    return body


def saved(record_id: str, **rest: Any) -> dict[str, Any]:
    """The result of a write that succeeded."""
    return {"id": record_id, "success": True, "errors": [], **rest}


def summary(base: str, kind: SObject) -> dict[str, Any]:
    """An object as the list of objects shows it."""
    url = f"{base}/sobjects/{kind.name}"
    return {
        "name": kind.name,
        "label": kind.label,
        "custom": False,
        "createable": kind.writable,
        "deletable": kind.writable,
        "updateable": kind.writable,
        "queryable": True,
        "replicateable": True,
        "urls": {"sobject": url, "describe": f"{url}/describe", "rowTemplate": f"{url}/{{ID}}"},
    }


def described(org: Org, base: str, kind: SObject) -> dict[str, Any]:
    """An object with the fields that the caller may see."""
    fields = [
        each.described(
            editable=kind.writable and (kind.name, each.name) not in org.read_only,
            required=org.is_required(kind, each),
        )
        for each in org.visible_fields(kind)
    ]
    return {**summary(base, kind), "keyPrefix": PREFIXES[kind.name], "fields": fields}

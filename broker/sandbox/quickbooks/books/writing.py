"""Create and update as the API does them: known properties, sync tokens, sparse or full."""

from typing import Any

from broker.sandbox.quickbooks.api import problems
from broker.sandbox.quickbooks.books.company import Company, Record
from broker.sandbox.quickbooks.books.entities import Entity
from broker.sandbox.quickbooks.books.invoices import invoice_fields
from broker.sandbox.quickbooks.books.names import item_fields, person_fields
from broker.sandbox.quickbooks.levers import Levers

META = frozenset({"Id", "SyncToken", "domain", "sparse", "status", "MetaData"})


def write(
    company: Company, levers: Levers, entity: Entity, sent: dict[str, Any], include: str
) -> Record:
    """Create a record, or update the one with its `Id`."""
    _check_names(entity, sent)
    old = current(company, levers, entity, sent) if sent.get("Id") else None
    sparse = sent.get("sparse") in {True, "true"}
    fields = {name: value for name, value in sent.items() if name not in META}
    if old is not None and sparse:
        unchanged = {name: value for name, value in old.items() if name not in META}
        fields = {**unchanged, **fields}
    fields = {name: value for name, value in fields.items() if value is not None}
    made = _prepared(company, entity, fields, old, include)
    return company.save(entity, {**made, "Id": old["Id"]} if old is not None else made)


def current(company: Company, levers: Levers, entity: Entity, sent: dict[str, Any]) -> Record:
    """The record that is to be changed, when the sync token is its present one."""
    old = company.get(entity.name, str(sent.get("Id", "")))
    token = sent.get("SyncToken")
    if token is None:
        raise problems.missing("SyncToken")
    if levers.stale > 0:
        # Another user saves just before.
        levers.stale -= 1
        company.save(entity, old)
        raise problems.stale()
    if str(token) != old["SyncToken"]:
        raise problems.stale()
    return old


def _prepared(
    company: Company, entity: Entity, fields: Record, old: Record | None, include: str
) -> Record:
    if entity.name == "Invoice":
        return invoice_fields(company, fields, old, include)
    if entity.name == "Item":
        return item_fields(company, fields, old)
    return person_fields(company, entity, fields, old)


def _check_names(entity: Entity, sent: dict[str, Any]) -> None:
    for name in sent:
        if name not in entity.fields:
            raise problems.unsupported(name)

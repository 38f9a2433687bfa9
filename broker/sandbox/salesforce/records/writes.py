"""Creating, updating, upserting and deleting records, as one caller, by all the rules.

Every function changes nothing when it raises.
"""

from typing import Any

from broker.sandbox.salesforce.errors import ApiError, MultipleChoicesError, not_found
from broker.sandbox.salesforce.ids import parse_id
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.records.rules import (
    Caller,
    check_duplicates,
    check_places,
    check_required,
    check_rules,
    check_unique,
    matches,
)
from broker.sandbox.salesforce.records.values import to_stored
from broker.sandbox.salesforce.schema.fields import Field, SObject


def create(org: Org, caller: Caller, kind: SObject, body: dict[str, Any]) -> Record:
    """Create a record; the stored one."""
    _writable(org, kind, "create")
    if "id" in {name.lower() for name in body}:
        code = "INVALID_FIELD_FOR_INSERT_UPDATE"
        raise ApiError(400, code, "cannot specify Id in an insert call", ["Id"])
    changes = _changes(org, kind, body, creating=True)
    record: Record = {each.name: each.default for each in kind.fields.values()}
    record.update(changes, Id=None)
    if "OwnerId" in record and record["OwnerId"] is None:
        record["OwnerId"] = caller.user_id
    _assign(org, caller, kind, record, owner_sent=True)
    _check(org, kind, record, set(changes), caller)
    return org.insert(kind.name, record, by=caller.user_id)


def update(org: Org, caller: Caller, kind: SObject, record: Record, body: dict[str, Any]) -> None:
    """Change fields of a record."""
    _writable(org, kind, "update")
    if record["IsDeleted"]:
        raise deleted()
    if "id" in {name.lower() for name in body}:
        problem = "The Id field should not be specified in the sobject data."
        raise ApiError(400, "INVALID_FIELD", problem, ["Id"])
    changes = _changes(org, kind, body, creating=False)
    if record.get("IsConverted"):
        raise ApiError(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])
    changed = {**record, **changes}
    _assign(org, caller, kind, changed, owner_sent="OwnerId" in changes)
    _check(org, kind, changed, set(changes), caller)
    record.update(changed)
    org.touch(kind, record, caller.user_id)


def upsert(
    org: Org,
    caller: Caller,
    kind: SObject,
    key: tuple[Field, str],
    body: dict[str, Any],
    *,
    update_only: bool = False,
) -> tuple[Record, bool]:
    """Update the record with an external id, or create it; whether it was created.

    Raises MultipleChoicesError when several records have the external id.
    """
    field, value = key
    if field.name.lower() in {name.lower() for name in body}:
        problem = f"The {field.name} field should not be specified in the sobject data."
        raise ApiError(400, "INVALID_FIELD", problem, [field.name])
    found = matches(org, kind, field, value)
    if len(found) > 1:
        raise MultipleChoicesError(
            [f"/services/data/v66.0/sobjects/{kind.name}/{each['Id']}" for each in found]
        )
    if found:
        update(org, caller, kind, found[0], body)
        return found[0], False
    if update_only:
        raise not_found()
    return create(org, caller, kind, {**body, field.name: value}), True


def delete(org: Org, caller: Caller, kind: SObject, record: Record) -> None:
    """Move a record to the recycle bin."""
    _writable(org, kind, "delete")
    if record["IsDeleted"]:
        raise deleted()
    record["IsDeleted"] = True
    org.touch(kind, record, caller.user_id)
    org.deleted_at[record["Id"]] = org.stamp()


def find_type(org: Org, name: str) -> SObject:
    """An object's type by its name in any case; raises 404."""
    kind = org.objects.get(name.lower())
    if kind is None:
        raise not_found()
    return kind


def find_record(org: Org, kind: SObject, text: str) -> Record:
    """A live record by either form of its id; raises 400 or 404 as Salesforce does."""
    full = parse_id(text)
    if full is None:
        raise ApiError(400, "MALFORMED_ID", f"{kind.label} ID: id value of incorrect type: {text}",
                       ["Id"])  # fmt: skip
    record = org.tables[kind.name].get(full)
    if record is None:
        raise not_found()
    if record["IsDeleted"]:
        raise deleted()
    return record


def find_key(org: Org, kind: SObject, name: str) -> Field:
    """An external id field by its name; raises 404 when it is missing, hidden or none."""
    field = org.find_field(kind, name)
    if field is None or not field.external_id:
        raise not_found("Provided external ID field does not exist or is not accessible: " + name)
    return field


def deleted() -> ApiError:
    return ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", [])


def _writable(org: Org, kind: SObject, operation: str) -> None:
    if not kind.writable:
        problem = f"entity type {kind.name} does not support {operation}"
        raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", problem, [])
    if kind.name in org.levers.read_only_objects:
        problem = "insufficient access rights on object id"
        raise ApiError(403, "INSUFFICIENT_ACCESS_OR_READONLY", problem, [])
    planned = org.levers.refuse_writes
    if planned is not None and planned.get("times", 1) > 0:
        planned["times"] = planned.get("times", 1) - 1
        raise ApiError(planned.get("status", 400), planned["errorCode"], planned["message"], [])


def _changes(org: Org, kind: SObject, body: dict[str, Any], *, creating: bool) -> Record:
    changes: Record = {}
    closed: list[str] = []
    for name, value in body.items():
        if name == "attributes":
            continue
        field = org.find_field(kind, name)
        if field is None:
            problem = f"No such column '{name}' on sobject of type {kind.name}"
            raise ApiError(400, "INVALID_FIELD", problem, [])
        may = field.createable if creating else field.updateable
        if not may or (kind.name, field.name) in org.read_only:
            closed.append(field.name)
        elif not closed:
            changes[field.name] = to_stored(org, field, value)
    if closed:
        problem = (
            f"Unable to create/update fields: {', '.join(closed)}. Please check the security"
            " settings of this field and verify that it is read/write for your profile or"
            " permission set."
        )
        raise ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", problem, closed)
    return changes


def _check(org: Org, kind: SObject, record: Record, changed: set[str], caller: Caller) -> None:
    check_required(org, kind, record)
    if "Status" in changed and kind.name == "Lead":
        statuses = kind.fields["status"].values
        if any(each.converted and each.value == record["Status"] for each in statuses):
            # Which code Salesforce gives is not known; that it refuses is.
            problem = "Lead Status: a converted status is set by converting the lead"
            raise ApiError(400, "FIELD_INTEGRITY_EXCEPTION", problem, ["Status"])
    check_places(org, kind, record, changed)
    check_rules(org, kind, record)
    if not record["Id"] or changed & {"Email", "FirstName", "LastName", "Company"}:
        check_duplicates(org, kind, record, caller)
    check_unique(org, kind, record)


def _assign(org: Org, caller: Caller, kind: SObject, record: Record, *, owner_sent: bool) -> None:
    # Without the header FALSE the rules decide the owner of a lead, even when no rule is active
    # (https://help.salesforce.com/s/articleView?id=000395506).
    if kind.name != "Lead" or not caller.auto_assign:
        return
    rule = org.levers.assignment_rule
    if rule is not None:
        record["OwnerId"] = rule
    elif owner_sent:
        record["OwnerId"] = org.default_lead_owner

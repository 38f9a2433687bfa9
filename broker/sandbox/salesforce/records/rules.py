"""Rules for a whole record: required fields, the admin's rules, uniqueness, duplicates."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from broker.sandbox.salesforce.errors import ApiError
from broker.sandbox.salesforce.org import Org, Record
from broker.sandbox.salesforce.schema.fields import Field, SObject

MATCHED = ("Lead", "Contact")
STATES = {"US": {"CA": "California", "NY": "New York", "TX": "Texas"}, "GB": {}, "DE": {}}
COUNTRIES = {"US": "United States", "GB": "United Kingdom", "DE": "Germany"}


@dataclass(frozen=True, slots=True)
class Caller:
    """The writing user, and the options from the request's headers."""

    user_id: str
    auto_assign: bool = True
    allow_duplicates: bool = False
    record_details: bool = False


def check_required(org: Org, kind: SObject, record: Record) -> None:
    """Raises REQUIRED_FIELD_MISSING with the names of all that are null."""
    missing = [
        each.name
        for each in kind.fields.values()
        if org.exists(each) and org.is_required(kind, each) and record[each.name] is None
    ]
    if missing:
        problem = f"Required fields are missing: [{', '.join(missing)}]"
        raise ApiError(400, "REQUIRED_FIELD_MISSING", problem, missing)


def check_places(org: Org, kind: SObject, record: Record, changed: set[str]) -> None:
    """With state and country picklists on, addresses must be of the lists."""
    if not org.levers.state_country_picklists or kind.name != "Lead":
        return
    country = record["CountryCode"]
    if "Country" in changed and record["Country"] not in {None, *COUNTRIES.values()}:
        raise _address_error("country", "Country")
    if "CountryCode" in changed and country not in {None, *COUNTRIES}:
        raise _address_error("country", "CountryCode")
    states = STATES.get(country or "", {})
    if "State" in changed and record["State"] not in {None, *states.values()}:
        raise _address_error("state", "State")
    if "StateCode" in changed and record["StateCode"] not in {None, *states}:
        raise _address_error("state", "StateCode")


def _address_error(what: str, field: str) -> ApiError:
    several = "countries" if what == "country" else "states"
    problem = (
        f"There's a problem with this {what}, even though it may appear correct."
        f" Please choose a {what} from the list of valid {several}."
    )
    return ApiError(400, "FIELD_INTEGRITY_EXCEPTION", problem, [field])


def check_rules(org: Org, kind: SObject, record: Record) -> None:
    """Raises FIELD_CUSTOM_VALIDATION_EXCEPTION with the text of the first rule that strikes."""
    for rule in org.rules:
        if rule.sobject == kind.name and all(
            record.get(name) == value for name, value in rule.when.items()
        ):
            fields = [rule.field] if rule.field else []
            raise ApiError(400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", rule.text, fields)


def check_unique(org: Org, kind: SObject, record: Record) -> None:
    """Raises DUPLICATE_VALUE with the id of the record that has a unique value already."""
    for field in kind.fields.values():
        if not field.unique or record[field.name] is None:
            continue
        for other in matches(org, kind, field, record[field.name]):
            if other["Id"] != record["Id"]:
                problem = (
                    f"duplicate value found: {field.name} duplicates value on record with id:"
                    f" {other['Id'][:15]}"
                )
                raise ApiError(400, "DUPLICATE_VALUE", problem, [])


def matches(org: Org, kind: SObject, field: Field, value: str) -> list[Record]:
    """The live records with a value in a field, by the field's own sense of case."""
    compared = comparable(field, value)
    return [
        each
        for each in org.tables[kind.name].values()
        if not each["IsDeleted"]
        and each[field.name] is not None
        and comparable(field, each[field.name]) == compared
    ]


def comparable(field: Field, value: Any) -> Any:
    return value.lower() if isinstance(value, str) and not field.case_sensitive else value


def check_duplicates(org: Org, kind: SObject, record: Record, caller: Caller) -> None:
    """Raises DUPLICATES_DETECTED when the org's rule finds a record with the same e-mail, unless
    the rule only alerts and the caller allowed saving.
    """
    rule, email = org.levers.duplicate_rule, record.get("Email")
    if rule is None or kind.name not in MATCHED or not email:
        return
    if rule == "alert" and caller.allow_duplicates:
        return
    found = [
        (name, other)
        for name in MATCHED
        for other in org.tables[name].values()
        if other["Id"] != record["Id"]
        and not other["IsDeleted"]
        and not other.get("IsConverted")
        and (other["Email"] or "").lower() == email.lower()
    ]
    if found:
        result = _duplicate_result(kind, rule, found, caller)
        text = "Use one of these records?"
        raise ApiError(400, "DUPLICATES_DETECTED", text, duplicateResult=result)


def _duplicate_result(
    kind: SObject, rule: str, found: Iterable[tuple[str, Record]], caller: Caller
) -> dict[str, Any]:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for name, other in found:
        url = f"/services/data/v66.0/sobjects/{name}/{other['Id']}"
        shown = {"attributes": {"type": name, "url": url}, "Id": other["Id"]}
        if caller.record_details:
            shown |= {"Name": other["Name"], "Email": other["Email"]}
        match = {"matchConfidence": 100.0, "record": shown, "fieldDiffs": []}
        by_type.setdefault(name, []).append({"additionalInformation": [], **match})
    return {
        "allowSave": rule == "alert",
        "duplicateRule": f"Standard_{kind.name}_Duplicate_Rule",
        "duplicateRuleEntityType": kind.name,
        "errorMessage": "Use one of these records?",
        "matchResults": [
            {
                "entityType": name,
                "errors": [],
                "matchEngine": "ExactMatchEngine",
                "matchRecords": records,
                "rule": f"Standard_{name}_Match_Rule_v1_0",
                "size": len(records),
                "success": True,
            }
            for name, records in by_type.items()
        ],
    }

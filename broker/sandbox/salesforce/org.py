"""One org: its users, objects, records and rules, and what may be changed about it."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.sandbox.salesforce.ids import make_id
from broker.sandbox.salesforce.schema.fields import Field, PicklistValue, SObject
from broker.sandbox.salesforce.schema.standard import standard_objects
from broker.sandbox.salesforce.stamps import moment

Record = dict[str, Any]
Table = dict[str, Record]

DAY_S = 86_400.0


@dataclass(slots=True)
class OrgLevers:
    """How an org is set up, and what may go wrong in it.

    `duplicate_rule` is None, "alert" or "block"; `assignment_rule` the id of the owner it picks;
    `stamp_late` how many seconds a write's stamps lie behind, as a long transaction's do;
    `page_size` how many records a page of a query has at most, fewer for wide ones;
    `search_lag` after how many seconds a search finds what was written;
    `refuse_writes` an error (status, errorCode, message, times) that the next writes get.
    """

    session_minutes: float = 120.0
    api_budget: int = 15_000
    api_disabled: bool = False
    duplicate_rule: str | None = None
    assignment_rule: str | None = None
    person_accounts: bool = False
    state_country_picklists: bool = False
    stamp_late: float = 0.0
    page_size: int = 2000
    search_lag: float = 0.0
    read_only_objects: list[str] = field(default_factory=list)
    refuse_writes: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A rule of the admin: `text` refuses a record of `sobject` whose fields equal `when`;
    an empty `when` refuses every record. `field` is where the page would show it.
    """

    sobject: str
    text: str
    when: dict[str, Any]
    field: str = ""


class Org:
    """One simulated org. `instance_url` is where its API answers."""

    def __init__(self, name: str, serial: int, now: Callable[[], float], *, sandbox: bool) -> None:
        self.id = make_id("Organization", serial)
        self.name = name
        self.sandbox = sandbox
        self.instance_url = f"https://{name}.my.salesforce.com"
        self.now = now
        self.levers = OrgLevers()
        self.objects = standard_objects()
        self.tables: dict[str, Table] = {each.name: {} for each in self.objects.values()}
        self.hidden: set[tuple[str, str]] = set()
        self.read_only: set[tuple[str, str]] = set()
        self.rules: list[ValidationRule] = []
        self.admins: set[str] = set()
        self.deleted_at: dict[str, datetime] = {}
        self.calls: deque[float] = deque()
        self._serial = serial * 100_000
        self.default_lead_owner = ""
        edition = {"OrganizationType": "Developer Edition", "InstanceName": "SBX1"}
        self.insert(
            "Organization", {"Name": name, "IsSandbox": sandbox, **edition}, record_id=self.id
        )
        self.set_statuses(self.objects["lead"].fields["status"].values)
        business = {
            "Name": "Business Account",
            "DeveloperName": "Business",
            "SobjectType": "Account",
        }
        person = {"Name": "Person Account", "DeveloperName": "PersonAccount", "IsPersonType": True}
        self.insert("RecordType", business)
        self.insert("RecordType", {**person, "SobjectType": "Account"})

    def stamp(self) -> datetime:
        """The time that a write of now gets."""
        return moment(self.now() - self.levers.stamp_late)

    def next_id(self, sobject: str) -> str:
        self._serial += 1
        return make_id(sobject, self._serial)

    def insert(self, sobject: str, values: Record, by: str = "", record_id: str = "") -> Record:
        """Store a record, unchecked; fields that it lacks have their defaults."""
        kind, stamp = self.objects[sobject.lower()], self.stamp()
        record_id = record_id or self.next_id(kind.name)
        record: Record = {each.name: each.default for each in kind.fields.values()}
        record.update(values)
        record.update(Id=record_id, IsDeleted=False, CreatedDate=stamp, CreatedById=by or None)
        self.tables[kind.name][record_id] = record
        self.touch(kind, record, by)
        return record

    def touch(self, kind: SObject, record: Record, by: str) -> None:
        """Stamp a record as written now, and compute its name."""
        record["LastModifiedDate"] = record["SystemModstamp"] = self.stamp()
        record["LastModifiedById"] = by or None
        if "lastname" in kind.fields:
            names = (record.get("FirstName"), record["LastName"])
            record["Name"] = " ".join(each for each in names if each)

    def add_user(self, username: str, email: str | None = None, **values: Any) -> Record:
        """Add a user; the first one is the admin, and owns leads that no rule assigns."""
        last = values.pop("LastName", username.partition("@")[0].title())
        fields = {"Username": username, "Email": email or username, "LastName": last}
        user = self.insert("User", {**fields, **values})
        if not self.admins:
            self.admins.add(user["Id"])
            self.default_lead_owner = user["Id"]
        return user

    def find_user(self, username: str) -> Record | None:
        for user in self.tables["User"].values():
            if user["Username"].lower() == username.lower():
                return user
        return None

    def add_queue(self, name: str) -> Record:
        """Add a queue, which may own leads."""
        fields = {"Name": name, "DeveloperName": name.replace(" ", "_"), "Type": "Queue"}
        return self.insert("Group", fields)

    def add_field(self, sobject: str, made: Field, *, visible: bool = True) -> None:
        """Add a field; one made by API is invisible until field-level security grants it.

        Raises ValueError when the object has the field.
        """
        kind = self.objects[sobject.lower()]
        if made.name.lower() in kind.fields:
            raise ValueError(f"There is already a field named {made.name} on {kind.name}.")
        kind.fields[made.name.lower()] = made
        for record in self.tables[kind.name].values():
            record[made.name] = made.default
        if not visible:
            self.hidden.add((kind.name, made.name))

    def set_statuses(self, values: list[PicklistValue]) -> None:
        """Replace the values of Lead.Status, which are records of LeadStatus as well."""
        status = self.objects["lead"].fields["status"]
        status.values = list(values)
        status.default = next((each.value for each in values if each.default), None)
        self.tables["LeadStatus"].clear()
        for order, each in enumerate(values, start=1):
            if each.active:
                named = {"ApiName": each.value, "MasterLabel": each.value, "SortOrder": order}
                marks = {"IsConverted": each.converted, "IsDefault": each.default}
                self.insert("LeadStatus", {**named, **marks})

    def exists(self, each: Field) -> bool:
        """Whether the feature that brings a field is on."""
        return not each.feature or bool(getattr(self.levers, each.feature))

    def visible_fields(self, kind: SObject) -> list[Field]:
        """The fields that the API shows: those of features that are on, less hidden ones."""
        return [
            each
            for each in kind.fields.values()
            if self.exists(each) and (kind.name, each.name) not in self.hidden
        ]

    def find_field(self, kind: SObject, name: str) -> Field | None:
        """A field by its name in any case; None when it is missing or hidden."""
        found = kind.fields.get(name.lower())
        if found is None or not self.exists(found) or (kind.name, found.name) in self.hidden:
            return None
        return found

    def is_required(self, kind: SObject, each: Field) -> bool:
        if (kind.name, each.name) == ("Lead", "Company"):
            return not self.levers.person_accounts
        return each.required

    def find(self, record_id: str) -> tuple[SObject, Record] | None:
        """A record of any type by its 18 characters, deleted or not."""
        for kind in self.objects.values():
            record = self.tables[kind.name].get(record_id)
            if record is not None:
                return kind, record
        return None

    def used_calls(self) -> int:
        """How many API calls the last 24 hours saw."""
        while self.calls and self.calls[0] <= self.now() - DAY_S:
            self.calls.popleft()
        return len(self.calls)

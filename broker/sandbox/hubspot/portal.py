"""One HubSpot account: its users, records and definitions."""

from dataclasses import dataclass, field
from typing import Any

from broker.sandbox.hubspot.crm.definitions import BORN, built_in, group_of
from broker.sandbox.hubspot.crm.links import Links
from broker.sandbox.hubspot.crm.records import Records
from broker.sandbox.hubspot.crm.types import BUILT_IN, ObjectType, resolve

FIRST_USER_ID = 1000
FIRST_OWNER_ID = 70_001
_STAGES = {
    "0-3": (
        ("appointmentscheduled", "Appointment Scheduled", {"probability": "0.2"}),
        ("qualifiedtobuy", "Qualified To Buy", {"probability": "0.4"}),
        ("contractsent", "Contract Sent", {"probability": "0.9"}),
        ("closedwon", "Closed Won", {"probability": "1.0", "isClosed": "true"}),
        ("closedlost", "Closed Lost", {"probability": "0.0", "isClosed": "true"}),
    ),
    "0-5": (
        ("1", "New", {"ticketState": "OPEN", "isClosed": "false"}),
        ("2", "Waiting on contact", {"ticketState": "OPEN", "isClosed": "false"}),
        ("3", "Waiting on us", {"ticketState": "OPEN", "isClosed": "false"}),
        ("4", "Closed", {"ticketState": "CLOSED", "isClosed": "true"}),
    ),
}
_PIPELINES = {"0-3": ("default", "Sales Pipeline"), "0-5": ("0", "Support Pipeline")}


def _pipelines() -> dict[str, dict[str, dict[str, Any]]]:
    return {
        type_id: {number: pipeline(number, label, 0, _STAGES[type_id])}
        for type_id, (number, label) in _PIPELINES.items()
    }


def pipeline(
    number: str,
    label: str,
    order: int,
    stages: tuple[tuple[str, str, dict[str, str]], ...],
    moment: str = BORN,
) -> dict[str, Any]:
    """A pipeline as HubSpot shows it."""
    return {
        "label": label,
        "displayOrder": order,
        "id": number,
        "stages": [
            stage(stage_id, name, index, metadata, moment)
            for index, (stage_id, name, metadata) in enumerate(stages)
        ],
        "createdAt": moment,
        "updatedAt": moment,
        "archived": False,
    }


def stage(
    number: str, label: str, order: int, metadata: dict[str, str], moment: str
) -> dict[str, Any]:
    """A stage of a pipeline as HubSpot shows it."""
    return {
        "label": label,
        "displayOrder": order,
        "metadata": metadata,
        "id": number,
        "createdAt": moment,
        "updatedAt": moment,
        "archived": False,
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
    }


@dataclass(slots=True)
class Portal:
    """A HubSpot account. Everything by type is keyed by the type's id, such as `0-1`."""

    hub_id: int
    domain: str
    users: list[str]
    records: dict[str, Records] = field(default_factory=dict)
    links: Links = field(default_factory=Links)
    types: dict[str, ObjectType] = field(default_factory=dict)
    schemas: dict[str, dict[str, Any]] = field(default_factory=dict)
    properties: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    groups: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    pipelines: dict[str, dict[str, dict[str, Any]]] = field(default_factory=_pipelines)
    next_id: int = 101
    moving_until: float = 0.0

    def type(self, name: str) -> ObjectType | None:
        """The object type that a path names."""
        return resolve(name, self.types)

    def all_types(self) -> list[ObjectType]:
        return [*BUILT_IN, *self.types.values()]

    def of(self, kind: ObjectType) -> Records:
        """The records of a type."""
        return self.records.setdefault(kind.id, Records())

    def definitions(self, kind: ObjectType) -> dict[str, dict[str, Any]]:
        """The properties of a type by name, archived ones included."""
        if kind.id not in self.properties:
            self.properties[kind.id] = built_in(kind.id)
        return self.properties[kind.id]

    def live_definitions(self, kind: ObjectType) -> dict[str, dict[str, Any]]:
        """The properties of a type by name."""
        every = self.definitions(kind)
        return {name: each for name, each in every.items() if not each["archived"]}

    def groups_of(self, kind: ObjectType) -> dict[str, dict[str, Any]]:
        """The property groups of a type by name."""
        name = group_of(kind.id)
        first = {"name": name, "label": "Information", "displayOrder": 0, "archived": False}
        return self.groups.setdefault(kind.id, {name: first})

    def unique(self, kind: ObjectType) -> list[str]:
        """The properties of a type of which no two records may hold the same value."""
        return [n for n, each in self.definitions(kind).items() if each["hasUniqueValue"]]

    def choices(self, kind: ObjectType) -> dict[str, list[str]]:
        """Options that are not listed on the property itself: pipelines and their stages."""
        names = {"0-3": ("pipeline", "dealstage"), "0-5": ("hs_pipeline", "hs_pipeline_stage")}
        if kind.id not in names:
            return {}
        own = self.pipelines.get(kind.id, {})
        stages = [stage["id"] for each in own.values() for stage in each["stages"]]
        return dict(zip(names[kind.id], (list(own), stages), strict=True))

    def new_id(self) -> str:
        self.next_id += 1
        return str(self.next_id - 1)

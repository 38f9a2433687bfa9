"""Which object types a portal has, by the names that HubSpot takes in a path.

Ids: https://developers.hubspot.com/docs/guides/crm/understanding-the-crm ("object type ids").
"""

from dataclasses import dataclass

DATES = ("createdate", "hs_lastmodifieddate", "hs_object_id")


@dataclass(frozen=True, slots=True)
class ObjectType:
    """One type of record. `defaults` are the properties shown when a caller names none."""

    id: str
    singular: str
    plural: str
    defaults: tuple[str, ...] = DATES
    scope: str = ""
    full_name: str = ""

    @property
    def modified(self) -> str:
        """The property with the moment of the last change."""
        return "lastmodifieddate" if self.id == "0-1" else "hs_lastmodifieddate"

    @property
    def association_name(self) -> str:
        """Under which key a record's associations to this type are shown."""
        return self.full_name or self.plural.replace("_", " ")

    def scopes(self, right: str) -> tuple[str, ...]:
        """The scopes of which any one allows `right` ("read" or "write") on records."""
        if self.id == "0-5":
            return ("tickets",)
        if self.id.startswith("2-"):
            return (f"crm.objects.custom.{right}",)
        return (f"crm.objects.{self.scope or self.plural}.{right}",)

    def definition_scopes(self, right: str) -> tuple[str, ...]:
        """The scopes of which any one allows `right` on property definitions and pipelines."""
        records = self.scopes(right)
        if self.id == "0-5":
            return records
        schema = records[0].replace("crm.objects.", "crm.schemas.")
        return (schema, *records) if right == "read" else (schema,)


def _activity(number: str, singular: str, plural: str) -> ObjectType:
    shown = ("hs_createdate", "hs_lastmodifieddate", "hs_object_id")
    return ObjectType(number, singular, plural, shown, scope="contacts")


BUILT_IN = (
    ObjectType(
        "0-1",
        "contact",
        "contacts",
        ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"),
    ),
    ObjectType("0-2", "company", "companies", ("domain", "name", *DATES)),
    ObjectType(
        "0-3",
        "deal",
        "deals",
        ("amount", "closedate", "dealname", "dealstage", "pipeline", *DATES),
    ),
    ObjectType(
        "0-5",
        "ticket",
        "tickets",
        ("content", "hs_pipeline", "hs_pipeline_stage", "subject", *DATES),
    ),
    ObjectType("0-7", "product", "products", ("name", "price", *DATES)),
    ObjectType("0-8", "line_item", "line_items", ("name", "price", "quantity", *DATES)),
    ObjectType("0-14", "quote", "quotes", ("hs_title", *DATES)),
    ObjectType("0-136", "lead", "leads", ("hs_lead_name", *DATES)),
    _activity("0-27", "task", "tasks"),
    _activity("0-46", "note", "notes"),
    _activity("0-47", "meeting", "meetings"),
    _activity("0-48", "call", "calls"),
    _activity("0-49", "email", "emails"),
)
NAMED = {name: each for each in BUILT_IN for name in (each.id, each.singular, each.plural)}


def custom(number: str, name: str, hub_id: int) -> ObjectType:
    """The type that a schema makes; `number` is its id, such as `2-7`."""
    return ObjectType(number, name, name, full_name=f"p{hub_id}_{name}")


def resolve(name: str, customs: dict[str, ObjectType]) -> ObjectType | None:
    """The type that a path names by id, singular, plural or full name; case does not matter."""
    lowered = name.lower()
    if lowered in NAMED:
        return NAMED[lowered]
    for each in customs.values():
        if lowered in {each.id, each.singular.lower(), each.full_name.lower()}:
            return each
    return None

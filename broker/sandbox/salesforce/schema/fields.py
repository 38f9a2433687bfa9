"""What an object's fields are, and how describe shows them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

TEXTS = frozenset({"string", "email", "phone", "textarea", "url", "picklist"})
NUMBERS = frozenset({"double", "currency", "percent", "int"})
_SOAP = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "datetime": "xsd:dateTime",
    "date": "xsd:date",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
}


@dataclass(frozen=True, slots=True)
class PicklistValue:
    """A value of a picklist; `converted` marks lead statuses that only conversion sets."""

    value: str
    active: bool = True
    default: bool = False
    converted: bool = False


@dataclass(slots=True)
class Field:
    """A field. `feature` names the org's lever without which the field does not exist;
    `default` is what a new record gets.
    """

    name: str
    label: str
    type: str = "string"
    length: int = 0
    required: bool = False
    createable: bool = True
    updateable: bool = True
    default: Any = None
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    restricted: bool = False
    values: list[PicklistValue] = field(default_factory=list)
    reference_to: tuple[str, ...] = ()
    relationship: str | None = None
    feature: str = ""

    @property
    def custom(self) -> bool:
        return self.name.endswith("__c")

    @property
    def filterable(self) -> bool:
        return self.type != "textarea" or self.length <= 255

    def active_values(self) -> list[str]:
        return [each.value for each in self.values if each.active]

    def described(self, *, editable: bool, required: bool) -> dict[str, Any]:
        """The field as `describe` shows it to a user who may edit it, or only read it."""
        default = self.default if self.type == "boolean" else None
        return {
            "autoNumber": False,
            "byteLength": self.length * 3,
            "calculated": False,
            "caseSensitive": self.case_sensitive,
            "createable": self.createable and editable,
            "custom": self.custom,
            "defaultValue": default,
            "defaultedOnCreate": self.default is not None
            or self.name == "OwnerId"
            or not self.createable,
            "externalId": self.external_id,
            "filterable": self.filterable,
            "groupable": self.filterable,
            "idLookup": self.external_id or self.type in {"id", "email"},
            "label": self.label,
            "length": self.length,
            "name": self.name,
            "nameField": self.name == "Name",
            "nillable": not (required or self.type in {"id", "boolean"}),
            "permissionable": self.custom or not (required or self.type == "id"),
            "picklistValues": [
                {
                    "active": each.active,
                    "defaultValue": each.default,
                    "label": each.value,
                    "validFor": None,
                    "value": each.value,
                }
                for each in self.values
            ],
            "precision": 18 if self.type in NUMBERS else 0,
            "referenceTo": list(self.reference_to),
            "relationshipName": self.relationship,
            "restrictedPicklist": self.restricted,
            "scale": 2 if self.type in {"double", "currency"} else 0,
            "soapType": _SOAP.get(self.type, "xsd:string"),
            "sortable": self.filterable,
            "type": self.type,
            "unique": self.unique,
            "updateable": self.updateable and editable,
        }


@dataclass(slots=True)
class SObject:
    """A type of record. `writable` is whether the API may write it at all."""

    name: str
    label: str
    fields: dict[str, Field]
    writable: bool = True

    @classmethod
    def of(
        cls, name: str, label: str, fields: Iterable[Field], *, writable: bool = True
    ) -> "SObject":
        """The type with its fields, which are found under their names in lower case."""
        return cls(name, label, {each.name.lower(): each for each in fields}, writable)

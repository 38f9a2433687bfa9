"""The Company properties of the KYB recipe, as HubSpot defines them."""

from typing import Any

from broker.crm.object_types import COMPANIES
from broker.recipes.base import PropertyDefinitions
from broker.recipes.kyb.models import KybSettings

LABELS = {
    "customerEmail": "KYB contact e-mail",
    "customerName": "KYB contact name",
    "companyName": "Company name",
    "country": "Country",
    "caseId": "FML case id",
    "status": "FML case status",
    "stage": "FML stage",
    "decision": "FML decision",
    "lastEventAt": "FML last event",
}


def property_definitions(settings: KybSettings) -> PropertyDefinitions:
    """The Company properties that the settings name."""
    found: dict[str, dict[str, Any]] = {}
    for field, name in settings.properties.model_dump().items():
        found[name] = _definition(name, LABELS[field])
    for field, written in settings.writeBack.model_dump().items():
        if written is not None:
            kind = ("datetime", "date") if field == "lastEventAt" else ("string", "text")
            found[written] = _definition(written, LABELS[field], *kind)
    trigger = settings.trigger
    if trigger is not None and trigger.property not in found and trigger.value == "true":
        yes_no = [
            {"label": label, "value": value, "displayOrder": order, "hidden": False}
            for order, (label, value) in enumerate((("Yes", "true"), ("No", "false")))
        ]
        name = trigger.property
        checkbox = _definition(name, "Ready for KYB", "enumeration", "booleancheckbox")
        found[name] = {**checkbox, "options": yes_no}
    return PropertyDefinitions(COMPANIES, found)


def _definition(
    name: str, label: str, kind: str = "string", field_type: str = "text"
) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "fieldType": field_type,
        "groupName": "companyinformation",
    }

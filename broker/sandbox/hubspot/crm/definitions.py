"""The properties that every portal has from the start, and what one looks like on the wire."""

from typing import Any

# name, label, type, fieldType, then flags (u unique, r read-only) or the values of an enumeration
_OWN = "hubspot_owner_id|Owner|string|text"
_LIFECYCLE = (
    "lifecyclestage|Lifecycle stage|enumeration|radio|subscriber,lead,marketingqualifiedlead,"
    "salesqualifiedlead,opportunity,customer,evangelist,other"
)
_ADDRESS = (
    "phone|Phone number|string|phonenumber",
    "address|Street address|string|text",
    "city|City|string|text",
    "state|State/Region|string|text",
    "zip|Postal code|string|text",
    "country|Country/Region|string|text",
    "website|Website URL|string|text",
)
_SYSTEM = ("hs_object_id|Record ID|number|number|r",)
_DATES = (
    "createdate|Create date|datetime|date|r",
    "hs_lastmodifieddate|Last modified date|datetime|date|r",
)
_WHEN = (
    "hs_createdate|Create date|datetime|date|r",
    "hs_lastmodifieddate|Last modified date|datetime|date|r",
    "hs_timestamp|Activity date|datetime|date",
)

_TABLE: dict[str, tuple[str, ...]] = {
    "0-1": (
        "email|Email|string|text|u",
        "firstname|First name|string|text",
        "lastname|Last name|string|text",
        "company|Company name|string|text",
        "jobtitle|Job title|string|text",
        "mobilephone|Mobile phone number|string|phonenumber",
        (
            "hs_lead_status|Lead status|enumeration|radio|NEW,OPEN,IN_PROGRESS,UNQUALIFIED,"
            "ATTEMPTED_TO_CONTACT,CONNECTED,BAD_TIMING"
        ),
        _LIFECYCLE,
        *_ADDRESS,
        "createdate|Create date|datetime|date|r",
        "lastmodifieddate|Last modified date|datetime|date|r",
    ),
    "0-2": (
        "name|Company name|string|text",
        "domain|Company domain name|string|text",
        "description|Description|string|textarea",
        (
            "industry|Industry|enumeration|select|ACCOUNTING,BANKING,COMPUTER_SOFTWARE,"
            "FINANCIAL_SERVICES,INFORMATION_TECHNOLOGY_AND_SERVICES,INSURANCE,INTERNET,RETAIL"
        ),
        "type|Type|enumeration|select|PROSPECT,PARTNER,RESELLER,VENDOR,OTHER",
        "numberofemployees|Number of employees|number|number",
        "annualrevenue|Annual revenue|number|number",
        "founded_year|Year founded|string|text",
        "is_public|Is public|bool|booleancheckbox",
        _LIFECYCLE,
        *_ADDRESS,
        *_DATES,
    ),
    "0-3": (
        "dealname|Deal name|string|text",
        "amount|Amount|number|number",
        "deal_currency_code|Currency|enumeration|select|USD,EUR,GBP",
        "closedate|Close date|datetime|date",
        "pipeline|Pipeline|enumeration|select|*",
        "dealstage|Deal stage|enumeration|radio|*",
        "dealtype|Deal type|enumeration|radio|newbusiness,existingbusiness",
        "description|Deal description|string|textarea",
        *_DATES,
    ),
    "0-5": (
        "subject|Ticket name|string|text",
        "content|Ticket description|string|textarea",
        "hs_pipeline|Pipeline|enumeration|select|*",
        "hs_pipeline_stage|Ticket status|enumeration|select|*",
        "hs_ticket_priority|Priority|enumeration|select|LOW,MEDIUM,HIGH,URGENT",
        *_DATES,
    ),
    "0-7": (
        "name|Name|string|text",
        "price|Unit price|number|number",
        "hs_sku|SKU|string|text",
        "description|Product description|string|textarea",
        *_DATES,
    ),
    "0-8": (
        "name|Name|string|text",
        "price|Unit price|number|number",
        "quantity|Quantity|number|number",
        "amount|Net price|number|number",
        "discount|Unit discount|number|number",
        "hs_line_item_currency_code|Currency|enumeration|select|USD,EUR,GBP",
        "hs_position_on_quote|Position on quote|number|number",
        "hs_product_id|Product ID|number|number",
        *_DATES,
    ),
    "0-14": (
        "hs_title|Quote title|string|text",
        "hs_expiration_date|Expiration date|date|date",
        *_DATES,
    ),
    "0-136": ("hs_lead_name|Lead name|string|text", *_DATES),
    "0-27": (
        "hs_task_subject|Task title|string|text",
        "hs_task_body|Notes|string|html",
        "hs_task_status|Task status|enumeration|select|NOT_STARTED,IN_PROGRESS,WAITING,COMPLETED",
        "hs_task_priority|Priority|enumeration|select|NONE,LOW,MEDIUM,HIGH",
        *_WHEN,
    ),
    "0-46": ("hs_note_body|Note body|string|html", *_WHEN),
    "0-47": (
        "hs_meeting_title|Meeting name|string|text",
        "hs_meeting_body|Meeting description|string|html",
        *_WHEN,
    ),
    "0-48": (
        "hs_call_title|Call title|string|text",
        "hs_call_body|Call notes|string|html",
        "hs_call_duration|Call duration|number|number",
        *_WHEN,
    ),
    "0-49": (
        "hs_email_subject|Email subject|string|text",
        "hs_email_text|Text body|string|textarea",
        "hs_email_direction|Email direction|enumeration|select|EMAIL,INCOMING_EMAIL",
        *_WHEN,
    ),
}
_GROUPS = {
    "0-1": "contactinformation",
    "0-2": "companyinformation",
    "0-3": "dealinformation",
    "0-5": "ticketinformation",
}
BORN = "2020-01-01T00:00:00Z"


def group_of(type_id: str) -> str:
    """The property group of a type's own properties."""
    return _GROUPS.get(type_id, "information")


def built_in(type_id: str) -> dict[str, dict[str, Any]]:
    """The definitions that a type begins with, by name; a custom type has the common ones."""
    lines = _TABLE.get(type_id, _DATES)
    return {
        made["name"]: made
        for made in (_from_line(line, group_of(type_id)) for line in (*lines, _OWN, *_SYSTEM))
    }


def _from_line(line: str, group: str) -> dict[str, Any]:
    name, label, kind, field, *rest = line.split("|")
    extra = rest[0] if rest else ""
    values = extra.split(",") if kind == "enumeration" and extra != "*" else []
    if kind == "bool":
        values = ["true", "false"]
    made = definition(
        {
            "name": name,
            "label": label,
            "type": kind,
            "fieldType": field,
            "groupName": group,
            "hasUniqueValue": extra == "u",
            "options": [
                {"label": value, "value": value, "displayOrder": index, "hidden": False}
                for index, value in enumerate(values)
            ],
        },
        BORN,
    )
    made["hubspotDefined"] = True
    made["modificationMetadata"] = {
        "archivable": False,
        "readOnlyDefinition": True,
        "readOnlyValue": extra == "r",
    }
    return made


def definition(payload: dict[str, Any], moment: str) -> dict[str, Any]:
    """The body of a created property, with the fields that HubSpot adds."""
    return {
        "updatedAt": moment,
        "createdAt": moment,
        "name": payload["name"],
        "label": payload["label"],
        "type": payload["type"],
        "fieldType": payload["fieldType"],
        "description": payload.get("description") or "",
        "groupName": payload["groupName"],
        "options": [
            {"displayOrder": index, "hidden": False, **option}
            for index, option in enumerate(payload.get("options") or [])
        ],
        "displayOrder": payload.get("displayOrder", -1),
        "calculated": False,
        "externalOptions": bool(payload.get("externalOptions", False)),
        "archived": False,
        "hasUniqueValue": bool(payload.get("hasUniqueValue", False)),
        "hidden": bool(payload.get("hidden", False)),
        "hubspotDefined": False,
        "modificationMetadata": {
            "archivable": True,
            "readOnlyDefinition": False,
            "readOnlyValue": False,
        },
        "formField": bool(payload.get("formField", False)),
        "dataSensitivity": payload.get("dataSensitivity", "non_sensitive"),
    }

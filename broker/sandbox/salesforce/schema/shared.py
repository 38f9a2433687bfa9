"""Fields that several standard objects have."""

from typing import Any

from broker.sandbox.salesforce.schema.fields import Field, PicklistValue

SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
USER = ("User",)


def fixed(name: str, label: str, kind: str, **rest: Any) -> Field:
    return Field(name, label, kind, createable=False, updateable=False, **rest)


def system(*, owned: bool = True) -> list[Field]:
    fields = [
        fixed("Id", "Record ID", "id", length=18),
        fixed("IsDeleted", "Deleted", "boolean", default=False),
        fixed("CreatedDate", "Created Date", "datetime"),
        fixed(
            "CreatedById", "Created By ID", "reference", reference_to=USER, relationship="CreatedBy"
        ),
        fixed("LastModifiedDate", "Last Modified Date", "datetime"),
        fixed(
            "LastModifiedById",
            "Last Modified By ID",
            "reference",
            reference_to=USER,
            relationship="LastModifiedBy",
        ),
        fixed("SystemModstamp", "System Modstamp", "datetime"),
    ]
    if owned:
        owners = ("User", "Group")
        fields.append(
            Field("OwnerId", "Owner ID", "reference", 18, reference_to=owners, relationship="Owner")
        )
    return fields


def picked(name: str, label: str, values: tuple[str, ...]) -> Field:
    return Field(name, label, "picklist", 255, values=[PicklistValue(each) for each in values])


def address(prefix: str = "") -> list[Field]:
    return [
        Field(f"{prefix}Street", f"{prefix}Street", "textarea", 255),
        Field(f"{prefix}City", f"{prefix}City", "string", 40),
        Field(f"{prefix}State", f"{prefix}State/Province", "string", 80),
        Field(f"{prefix}PostalCode", f"{prefix}Zip/Postal Code", "string", 20),
        Field(f"{prefix}Country", f"{prefix}Country", "string", 80),
    ]


def person(label_of_name: str) -> list[Field]:
    return [
        Field("LastName", "Last Name", "string", 80, required=True),
        Field("FirstName", "First Name", "string", 40),
        fixed("Name", label_of_name, "string", length=121),
        Field("Title", "Title", "string", 128),
        Field("Email", "Email", "email", 80),
        Field("Phone", "Phone", "phone", 40),
        Field("MobilePhone", "Mobile Phone", "phone", 40),
        Field("HasOptedOutOfEmail", "Email Opt Out", "boolean", default=False),
        picked("LeadSource", "Lead Source", SOURCES),
        Field("Description", "Description", "textarea", 32_000),
    ]

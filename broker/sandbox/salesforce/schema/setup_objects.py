"""The standard objects of setup, which the API reads only."""

from broker.sandbox.salesforce.schema.fields import Field, PicklistValue, SObject
from broker.sandbox.salesforce.schema.shared import fixed, system


def setup_objects() -> tuple[SObject, ...]:
    """Users, queues, lead statuses, record types and the organization itself."""
    named = fixed("Name", "Name", "string", length=80)
    kind = fixed("Type", "Type", "string", length=40)
    return (
        _user(),
        SObject.of(
            "Group",
            "Group",
            [
                *system(owned=False), named, kind,
                fixed("DeveloperName", "Developer Name", "string", length=80),
                fixed("Email", "Email", "email", length=255),
            ],
            writable=False,
        ),
        SObject.of(
            "LeadStatus",
            "Lead Status Value",
            [
                *system(owned=False),
                fixed("ApiName", "Api Name", "string", length=255),
                fixed("MasterLabel", "Master Label", "string", length=255),
                fixed("IsConverted", "Is Converted", "boolean", default=False),
                fixed("IsDefault", "Is Default", "boolean", default=False),
                fixed("SortOrder", "Sort Order", "int"),
            ],
            writable=False,
        ),
        SObject.of(
            "RecordType",
            "Record Type",
            [
                *system(owned=False), named,
                fixed("DeveloperName", "Developer Name", "string", length=80),
                fixed("SobjectType", "Sobject Type Name", "string", length=40),
                fixed("IsActive", "Active", "boolean", default=True),
                fixed("IsPersonType", "Is Person Type", "boolean", default=False,
                       feature="person_accounts"),
            ],
            writable=False,
        ),
        SObject.of(
            "Organization",
            "Organization",
            [
                *system(owned=False), named,
                fixed("IsSandbox", "Is Sandbox", "boolean", default=False),
                fixed("OrganizationType", "Edition", "string", length=40),
                fixed("InstanceName", "Instance Name", "string", length=5),
            ],
            writable=False,
        ),
    )  # fmt: skip


def _user() -> SObject:
    return SObject.of(
        "User",
        "User",
        [
            *system(owned=False),
            Field("Username", "Username", "string", 80, required=True),
            Field("LastName", "Last Name", "string", 80, required=True),
            Field("FirstName", "First Name", "string", 40),
            fixed("Name", "Full Name", "string", length=121),
            Field("Email", "Email", "email", 128, required=True),
            Field("IsActive", "Active", "boolean", default=True),
            Field("UserType", "User Type", "picklist", 40, default="Standard",
                  values=[PicklistValue("Standard"), PicklistValue("AutomatedProcess")]),
            Field("TimeZoneSidKey", "Time Zone", "string", 40, default="Europe/London"),
            Field("LocaleSidKey", "Locale", "string", 40, default="en_GB"),
        ],
        writable=False,
    )  # fmt: skip

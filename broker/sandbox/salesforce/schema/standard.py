"""The standard objects that a new org has, as far as lead synchronization meets them."""

from broker.sandbox.salesforce.schema.fields import Field, PicklistValue, SObject
from broker.sandbox.salesforce.schema.setup_objects import setup_objects
from broker.sandbox.salesforce.schema.shared import address, fixed, person, picked, system

LEAD_STATUSES = (
    PicklistValue("Open - Not Contacted", default=True),
    PicklistValue("Working - Contacted"),
    PicklistValue("Closed - Converted", converted=True),
    PicklistValue("Closed - Not Converted"),
)
STAGES = ("Prospecting", "Qualification", "Closed Won", "Closed Lost")


def standard_objects() -> dict[str, SObject]:
    """A new org's objects, by their names in lower case; each call makes its own."""
    everything = (_lead(), _contact(), _account(), _opportunity(), *setup_objects())
    return {each.name.lower(): each for each in everything}


def _lead() -> SObject:
    picklists = "state_country_picklists"
    status = Field(
        "Status", "Lead Status", "picklist", 255, required=True, restricted=True,
        default="Open - Not Contacted", values=list(LEAD_STATUSES),
    )  # fmt: skip
    return SObject.of(
        "Lead",
        "Lead",
        [
            *system(),
            fixed("MasterRecordId", "Master Record ID", "reference", reference_to=("Lead",)),
            *person("Full Name"),
            Field("Company", "Company", "string", 255, required=True),
            status,
            *address(),
            Field("StateCode", "State/Province Code", "string", 10, feature=picklists),
            Field("CountryCode", "Country Code", "string", 10, feature=picklists),
            Field("Website", "Website", "url", 255),
            picked("Industry", "Industry", ("Banking", "Technology", "Other")),
            picked("Rating", "Rating", ("Hot", "Warm", "Cold")),
            Field("NumberOfEmployees", "Employees", "int"),
            Field("AnnualRevenue", "Annual Revenue", "currency"),
            fixed("IsConverted", "Converted", "boolean", default=False),
            fixed("ConvertedDate", "Converted Date", "date"),
            fixed(
                "ConvertedAccountId",
                "Converted Account ID",
                "reference",
                reference_to=("Account",),
                relationship="ConvertedAccount",
            ),
            fixed(
                "ConvertedContactId",
                "Converted Contact ID",
                "reference",
                reference_to=("Contact",),
                relationship="ConvertedContact",
            ),
            fixed(
                "ConvertedOpportunityId",
                "Converted Opportunity ID",
                "reference",
                reference_to=("Opportunity",),
                relationship="ConvertedOpportunity",
            ),
        ],
    )


def _contact() -> SObject:
    account = Field(
        "AccountId", "Account ID", "reference", reference_to=("Account",), relationship="Account"
    )
    return SObject.of(
        "Contact",
        "Contact",
        [
            *system(),
            fixed("MasterRecordId", "Master Record ID", "reference", reference_to=("Contact",)),
            *person("Full Name"),
            account,
            *address("Mailing"),
            fixed(
                "IsPersonAccount", "Is Person Account", "boolean", default=False,
                feature="person_accounts",
            ),
        ],
    )  # fmt: skip


def _account() -> SObject:
    feature = "person_accounts"
    return SObject.of(
        "Account",
        "Account",
        [
            *system(),
            fixed("MasterRecordId", "Master Record ID", "reference", reference_to=("Account",)),
            Field("Name", "Account Name", "string", 255, required=True),
            Field("Phone", "Account Phone", "phone", 40),
            Field("Website", "Website", "url", 255),
            *address("Billing"),
            fixed(
                "IsPersonAccount", "Is Person Account", "boolean", default=False, feature=feature
            ),
            fixed(
                "PersonContactId",
                "Contact ID",
                "reference",
                reference_to=("Contact",),
                feature=feature,
            ),
        ],
    )


def _opportunity() -> SObject:
    return SObject.of(
        "Opportunity",
        "Opportunity",
        [
            *system(),
            Field("Name", "Name", "string", 120, required=True),
            Field("StageName", "Stage", "picklist", 255, required=True,
                  values=[PicklistValue(each) for each in STAGES]),
            Field("CloseDate", "Close Date", "date", required=True),
            Field("Amount", "Amount", "currency"),
            Field("AccountId", "Account ID", "reference", reference_to=("Account",),
                  relationship="Account"),
        ],
    )  # fmt: skip

"""The leads recipe's bodies: settings, starts, and their answers."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from broker.domain.runs import ObjectTrigger
from broker.errors import wrong_field
from broker.recipes.base import StartRequest, StartResponse
from broker.recipes.fields import HubSpotId, PropertyName
from broker.recipes.monitoring import MonitoredSettings
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, Text, UserRef

NAME = "leads"
VERSION = 1

CONTACT = "0-1"
"""The id of HubSpot's contacts."""

KEY = "sf_lead_key"
"""The unique contact property that names the lead: `{org id}-{lead id}`."""

Direction = Literal["both", "to-salesforce", "to-hubspot"]


class Side(StrEnum):
    """One of the two sides of a pair."""

    HUBSPOT = "hubspot"
    SALESFORCE = "salesforce"


class Wins(StrEnum):
    """Whose value of a field stays when both sides have changed it."""

    HUBSPOT = "hubspot"
    SALESFORCE = "salesforce"
    NEWEST = "newest"


FieldName = Annotated[
    str, Matches(r"[A-Za-z][A-Za-z0-9_]{0,79}", "must be a Salesforce field's API name")
]
LeadId = Annotated[
    str,
    Matches(
        r"00Q[A-Za-z0-9]{12}([A-Za-z0-9]{3})?",
        "must be a Salesforce lead's id: 00Q and 15 or 18 characters in all",
    ),
]

RESERVED = frozenset({"id", "isconverted", "isdeleted", "systemmodstamp", "masterrecordid"})
"""Salesforce's own fields, which no mapping may name."""


class LeadField(RequestModel):
    """A contact property and the lead field that it is kept equal to; `wins` says whose value stays
    when both have changed.
    """

    hubspot: PropertyName
    salesforce: FieldName
    wins: Wins = Wins.NEWEST


class Stage(RequestModel):
    """A lifecycle stage (its internal name) and the lead status (its API name) that it means."""

    hubspot: Text
    salesforce: Text


class Lifecycle(RequestModel):
    """Stages in the order in which a person goes through them. Several stages may mean one status:
    the first of them is written to HubSpot. `back`: whether a change may go to an earlier one.
    """

    stages: Annotated[list[Stage], Field(min_length=1, max_length=50)]
    back: bool = False
    wins: Wins = Wins.NEWEST


def default_fields() -> list[LeadField]:
    """What is kept equal unless the settings say otherwise."""
    pairs = {
        "firstname": "FirstName",
        "lastname": "LastName",
        "email": "Email",
        "phone": "Phone",
        "jobtitle": "Title",
        "company": "Company",
    }
    return [LeadField(hubspot=each, salesforce=pairs[each]) for each in pairs]


class LeadsSettings(MonitoredSettings):
    """The whole of the settings. `salesforceApp` is the slug of the app whose users connect orgs;
    `owners` maps HubSpot's owner ids to ids of users or queues.
    """

    salesforceApp: Text
    direction: Direction = "both"
    fields: Annotated[list[LeadField], Field(min_length=1, max_length=100)] = Field(
        default_factory=default_fields
    )
    lifecycle: Lifecycle | None = None
    owners: Annotated[dict[Text, Text], Field(max_length=2000)] = Field(default_factory=dict)
    defaultOwner: Text | None = None
    externalIdField: FieldName = "HubSpot_Contact_ID__c"
    pollSeconds: Annotated[int, Field(ge=30, le=3600)] = 60
    maxWritesPerHour: Annotated[int, Field(ge=1, le=10_000)] = 6
    backfillShare: Annotated[float, Field(ge=0.01, le=0.8)] = 0.1
    createLeads: bool = True
    createContacts: bool = True
    onDuplicate: Literal["adopt", "save", "stop"] = "adopt"
    onConverted: Literal["follow", "stop"] = "stop"
    onMerged: Literal["follow", "stop"] = "follow"
    onDeleted: Literal["unlink", "recreate"] = "unlink"
    besideConnector: bool = False


class LeadsRequest(StartRequest):
    """A contact or a lead of a connected user, or all leads, or all contacts where `side` is
    `hubspot`, that have changed since a moment.
    """

    userForeignIdentifier: UserRef
    contactId: HubSpotId | None = None
    leadId: LeadId | None = None
    since: AwareDatetime | None = None
    side: Side | None = None

    def check(self) -> None:
        """Raise InvalidRequest unless it is one of the three forms."""
        named = [each for each in (self.contactId, self.leadId, self.since) if each is not None]
        if len(named) != 1:
            raise wrong_field("contactId", "is needed, or leadId, or since, and only one of them")
        if self.since is not None and self.dryRun:
            raise wrong_field("dryRun", "is for one contact or lead")
        if self.side is not None and self.since is None:
            raise wrong_field("side", "goes with since")

    def check_side(self, settings: LeadsSettings) -> None:
        """Raise InvalidRequest for a side from which the settings take nothing."""
        side = self.side or Side.SALESFORCE
        against = "to-hubspot" if side is Side.HUBSPOT else "to-salesforce"
        if settings.direction == against:
            raise wrong_field("side", f"must be the other one: the direction is {against}")


class ChangedField(BaseModel):
    """A field that was written (`side` says where), with both values. `overwritten`: the other side
    had changed it too, to `before`.
    """

    hubspot: str
    salesforce: str
    side: Side
    before: str
    after: str
    overwritten: bool = False


class LeadsResponse(StartResponse):
    """What became of the pair, or how many were brought over. `skipped` says why nothing was done,
    `notes` what a person should know.
    """

    contactId: str | None = None
    leadId: str | None = None
    operation: Literal["create", "update", "from-salesforce", "none"] | None = None
    changed: list[ChangedField] | None = None
    skipped: str | None = None
    notes: list[str] | None = None
    seen: int | None = None
    written: int | None = None
    refused: list[dict[str, str]] | None = None
    wouldWrite: list[dict[str, Any]] | None = None


def check_settings(settings: LeadsSettings) -> None:
    """Raise InvalidRequest for fields that are named twice or cannot be mapped."""
    used_in_hubspot, used_in_salesforce = set[str](), set[str]()
    if settings.lifecycle is not None:
        used_in_hubspot.add("lifecyclestage")
        used_in_salesforce.add("status")
    if settings.owners or settings.defaultOwner:
        used_in_hubspot.add("hubspot_owner_id")
        used_in_salesforce.add("ownerid")
    used_in_salesforce |= {settings.externalIdField.lower(), *RESERVED}
    used_in_hubspot |= {KEY, "hs_object_id", "lastmodifieddate"}
    for number, each in enumerate(settings.fields):
        for name, used, side in (
            (each.hubspot, used_in_hubspot, "hubspot"),
            (each.salesforce.lower(), used_in_salesforce, "salesforce"),
        ):
            if name in used:
                raise wrong_field(f"fields.{number}.{side}", "is mapped already, or cannot be")
            used.add(name)


def triggers(settings: LeadsSettings) -> tuple[ObjectTrigger, ...]:
    """The changes of contacts that start the recipe: new ones, and those of mapped properties."""
    if settings.direction == "to-hubspot":
        return ()
    names = [each.hubspot for each in settings.fields]
    if settings.lifecycle is not None:
        names.append("lifecyclestage")
    if settings.owners or settings.defaultOwner:
        names.append("hubspot_owner_id")
    return (
        ObjectTrigger(CONTACT, None, None),
        *(ObjectTrigger(CONTACT, name, None) for name in names),
    )

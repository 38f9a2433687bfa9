"""The KYB recipe's bodies: settings, kickoffs, and their answers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from broker.errors import InvalidRequest, wrong_field
from broker.recipes.base import StartRequest, StartResponse, TriggerRule
from broker.recipes.fields import HubSpotId, PropertyName
from broker.recipes.monitoring import MonitoredSettings
from broker.recipes.secret_fields import NeededSecret, OptionalSecret
from broker.web.core.patterns import Matches
from broker.web.core.requests import NumberOrText, RequestModel, Text, UserRef

NAME = "kyb"
HUBSPOT = "hubspot"

READ = {
    "customerEmail": "kyb_contact_email",
    "customerName": "kyb_contact_name",
    "companyName": "name",
    "country": "country",
}
"""What First Mile Labs is sent, and the Company property that it is read from, as FML advises
(https://www.firstmilelabs.com/docs/hubspot)."""

WRITTEN = {
    "caseId": "fml_case_id",
    "status": "fml_case_status",
    "stage": "fml_stage",
    "decision": "fml_decision",
    "lastEventAt": "fml_last_event_at",
}
"""What is written back, and the Company property that shows it."""

HubId = Annotated[int, Field(ge=1, lt=2**53)]


class Properties(RequestModel):
    """The Company properties that First Mile Labs' fields are read from."""

    customerEmail: PropertyName = READ["customerEmail"]
    customerName: PropertyName = READ["customerName"]
    companyName: PropertyName = READ["companyName"]
    country: PropertyName = READ["country"]


class WriteBack(RequestModel):
    """The Company properties that show the case; null writes nothing."""

    caseId: PropertyName | None = WRITTEN["caseId"]
    status: PropertyName | None = WRITTEN["status"]
    stage: PropertyName | None = WRITTEN["stage"]
    decision: PropertyName | None = WRITTEN["decision"]
    lastEventAt: PropertyName | None = WRITTEN["lastEventAt"]


class CompanyTrigger(TriggerRule):
    """A Company whose property becomes this value is kicked off."""

    property: PropertyName


class KybSettings(MonitoredSettings):
    """The whole of the settings; a secret that is left out stays as it is."""

    clientId: Text
    clientSecret: NeededSecret = None
    webhookSecret: OptionalSecret = None
    properties: Properties = Field(default_factory=Properties)
    trigger: CompanyTrigger | None = None
    sendInvite: bool = True
    writeBack: WriteBack = Field(default_factory=WriteBack)
    callsPerMinute: Annotated[int, Field(ge=1, le=100_000)] = 120
    recordIds: Literal["company", "account"] = "company"
    hubId: HubId | None = None
    cards: bool = False


def check_settings(body: KybSettings) -> None:
    """Raise InvalidRequest for a trigger that the recipe would pull itself."""
    if body.trigger and body.trigger.property in body.writeBack.model_dump().values():
        raise wrong_field(
            "trigger.property", "is written by the recipe itself and would trigger it again"
        )


SourceName = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}",
        "must have 1 to 63 letters, digits, dots, hyphens and underscores, "
        "and begin with a letter or digit",
    ),
]
OverrideText = Annotated[str, Field(max_length=1024)]


class KickoffRequest(StartRequest):
    """A Company of a connected user (`userForeignIdentifier`, `companyId`), or any CRM's record
    (`crmRecordId`, `crmSource`) with its fields; the fields override those of a Company.
    """

    userForeignIdentifier: UserRef | None = None
    companyId: HubSpotId | None = None
    crmRecordId: Annotated[NumberOrText, Field(max_length=200)] | None = None
    crmSource: SourceName | None = None
    customerEmail: OverrideText | None = None
    customerName: OverrideText | None = None
    companyName: OverrideText | None = None
    country: OverrideText | None = None
    sendInvite: bool | None = None

    @property
    def overrides(self) -> dict[str, str | None]:
        """The fields that override a Company's, by First Mile Labs' names."""
        return {name: getattr(self, name) for name in READ}

    def check(self) -> None:
        """Raise InvalidRequest unless it is one of the two forms."""
        if self.companyId is not None or self.userForeignIdentifier is not None:
            for name in ("userForeignIdentifier", "companyId"):
                if getattr(self, name) is None:
                    raise wrong_field(name, "is needed for a Company")
            for name in ("crmRecordId", "crmSource"):
                if getattr(self, name) is not None:
                    raise wrong_field(name, "cannot be combined with companyId")
            return
        if self.crmRecordId is None or self.crmSource is None:
            raise InvalidRequest(
                "Provide either userForeignIdentifier and companyId, or crmRecordId and crmSource.",
                errors=[
                    {"field": name, "message": "is needed"}
                    for name in ("crmRecordId", "crmSource")
                    if getattr(self, name) is None
                ],
            )
        if self.crmSource.lower() == HUBSPOT:
            raise wrong_field(
                "crmSource", "is hubspot; use userForeignIdentifier and companyId for that"
            )


class KickoffResponse(StartResponse):
    """What came of a kickoff; `ok` is null while it goes on."""

    caseId: str | None = None
    status: str | None = None
    customerPortalUrl: str | None = None
    analystUrl: str | None = None
    inviteSentAt: str | None = None
    crmRecordId: str | None = None
    crmSource: str | None = None
    writtenBack: bool | None = None
    wouldSend: dict[str, Any] | None = None
    wouldWrite: dict[str, Any] | None = None
    missingProperties: list[str] | None = None

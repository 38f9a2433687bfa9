"""The enrichment recipe's bodies: settings, starts, and their answers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from broker.domain.runs import ObjectTrigger
from broker.errors import wrong_field
from broker.providers.enrichment.base import FIELDS
from broker.recipes.base import StartRequest, StartResponse
from broker.recipes.fields import HubSpotId, PropertyName
from broker.recipes.monitoring import MonitoredSettings
from broker.recipes.secret_fields import NeededSecret
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, Text, UserRef

NAME = "enrichment"
VERSION = 1

AT, BY, CONFIDENCE = "enriched_at", "enriched_by", "enriched_confidence"
MARKERS = (AT, BY, CONFIDENCE)
"""The contact properties that say when, by whom and how surely a contact was enriched."""

CONTACT = "0-1"
"""The id of HubSpot's contacts."""

NEVER_WRITTEN = frozenset({"email", "hs_additional_emails", "hs_object_id", *MARKERS})
"""Written by the recipe itself, or what it looks a person up by."""

VendorName = Literal["hunter", "peopledatalabs", "apollo", "fullcontact", "clearbit"]
KnownField = Annotated[str, Matches("|".join(FIELDS), f"must be one of: {', '.join(FIELDS)}")]


class FieldRule(RequestModel):
    """What a property is filled from, and when: `fill` an empty one, `overwrite` any, `never`."""

    model_config = ConfigDict(serialize_by_alias=True)

    source: KnownField = Field(alias="from")
    policy: Literal["fill", "overwrite", "never"] = "fill"


class EnrichmentTrigger(RequestModel):
    """What starts the recipe by itself: a new contact, another e-mail address, or a property that
    becomes a value.
    """

    creation: bool = True
    emailChange: bool = True
    property: PropertyName | None = None
    value: Text | None = None


def default_fields() -> dict[str, FieldRule]:
    """What is filled unless the settings say otherwise: properties that every account has."""
    sources = {
        "firstname": "first_name",
        "lastname": "last_name",
        "jobtitle": "job_title",
        "company": "company_name",
        "city": "city",
        "state": "state",
        "country": "country",
    }
    return {name: FieldRule.model_validate({"from": each}) for name, each in sources.items()}


class EnrichmentSettings(MonitoredSettings):
    """The whole of the settings; `apiKey` is sealed and never shown."""

    vendor: VendorName
    apiKey: NeededSecret = None
    fields: dict[PropertyName, FieldRule] = Field(default_factory=default_fields, max_length=50)
    minConfidence: Annotated[float, Field(ge=0, le=1)] = 0.6
    dailyBudget: Annotated[int, Field(ge=1, le=1_000_000)] = 500
    callsPerMinute: Annotated[int, Field(ge=1, le=10_000)] | None = None
    skipFreeMail: bool = True
    cards: bool = False
    trigger: EnrichmentTrigger | None = None


class EnrichmentRequest(StartRequest):
    """A contact of a connected user, by its id or its e-mail address."""

    userForeignIdentifier: UserRef
    contactId: HubSpotId | None = None
    email: Annotated[str, Field(min_length=3, max_length=320)] | None = None

    def check(self) -> None:
        """Raise InvalidRequest unless it is one of the two forms."""
        if (self.contactId is None) == (self.email is None):
            raise wrong_field("contactId", "is needed, or email, but not both")


class SkippedField(BaseModel):
    """A property that was not written, and why."""

    field: str
    why: str


class EnrichmentResponse(StartResponse):
    """What became of the contact. `reason` says more where nothing was written."""

    outcome: Literal["found", "not-found", "later", "refused"] | None = None
    reason: str | None = None
    contactId: str | None = None
    vendor: str | None = None
    confidence: float | None = None
    written: list[str] | None = None
    overwritten: dict[str, str] | None = None
    skipped: list[SkippedField] | None = None
    lookedUp: bool | None = None
    wouldLookUp: dict[str, Any] | None = None
    wouldWrite: dict[str, Any] | None = None


def check_settings(settings: EnrichmentSettings) -> None:
    """Raise InvalidRequest for what would start itself or could not work."""
    for name in settings.fields:
        if name in NEVER_WRITTEN:
            raise wrong_field(f"fields.{name}", "cannot be filled by the recipe")
    trigger = settings.trigger
    if trigger is None:
        return
    if (trigger.property is None) != (trigger.value is None):
        raise wrong_field("trigger.value", "is needed with trigger.property, and only then")
    if trigger.property in {*settings.fields, *MARKERS}:
        raise wrong_field(
            "trigger.property", "is written by the recipe itself and would trigger it again"
        )


def triggers(settings: EnrichmentSettings) -> tuple[ObjectTrigger, ...]:
    """The changes of contacts that start the recipe. None is of a property that it writes, so it
    never starts itself.
    """
    trigger = settings.trigger
    if trigger is None:
        return ()
    found = []
    if trigger.creation:
        found.append(ObjectTrigger(CONTACT, None, None))
    if trigger.emailChange:
        found.append(ObjectTrigger(CONTACT, "email", None))
    if trigger.property is not None:
        found.append(ObjectTrigger(CONTACT, trigger.property, trigger.value))
    return tuple(found)

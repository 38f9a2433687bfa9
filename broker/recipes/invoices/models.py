"""The invoices recipe's bodies: settings, starts, and their answers."""

from typing import Annotated, Any, Literal

from pydantic import Field

from broker.errors import wrong_field
from broker.recipes.base import StartRequest, StartResponse, TriggerRule
from broker.recipes.fields import HubSpotId, PropertyName
from broker.recipes.monitoring import MonitoredSettings
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, Text, UserRef

NAME = "invoices"
VERSION = 1

INVOICE_ID, NUMBER, STATUS, ERROR = (
    "invoice_sync_id",
    "invoice_sync_number",
    "invoice_sync_status",
    "invoice_sync_error",
)
CUSTOMER_ID = "accounting_customer_id"

NumberPrefix = Annotated[
    str, Matches(r"[A-Za-z0-9-]{1,8}", "must have 1 to 8 letters, digits and hyphens")
]


class DealTrigger(TriggerRule):
    """A deal whose property becomes this value gets its invoice; for a stage, the stage's id."""

    property: PropertyName


class CustomerMapping(RequestModel):
    """Who is billed, and the HubSpot properties that the customer is made from; null leaves a
    field out. With `billTo` "company" a deal that has a company bills it.
    """

    billTo: Literal["company", "contact"] = "company"
    contactLabel: Text | None = None
    email: PropertyName = "email"
    firstName: PropertyName = "firstname"
    lastName: PropertyName = "lastname"
    companyName: PropertyName = "name"
    phone: PropertyName | None = "phone"
    street: PropertyName | None = "address"
    city: PropertyName | None = "city"
    state: PropertyName | None = "state"
    postalCode: PropertyName | None = "zip"
    country: PropertyName | None = "country"
    customerId: PropertyName | None = CUSTOMER_ID


class InvoiceWriteBack(RequestModel):
    """The deal property that shows each; null writes nothing."""

    invoiceId: PropertyName | None = INVOICE_ID
    number: PropertyName | None = NUMBER
    status: PropertyName | None = STATUS
    error: PropertyName | None = ERROR


class InvoicesSettings(MonitoredSettings):
    """The whole of the settings. `accountingApp` is the slug of the app whose users connect
    QuickBooks or Xero.
    """

    accountingApp: Text
    item: Text | None = None
    account: Text | None = None
    taxCode: Text | None = None
    dueDays: Annotated[int, Field(ge=0, le=365)] = 30
    lines: Literal["items", "amount"] = "items"
    approve: bool = True
    sendEmail: bool = False
    numberPrefix: NumberPrefix | None = None
    trigger: DealTrigger | None = None
    customer: CustomerMapping = Field(default_factory=CustomerMapping)
    writeBack: InvoiceWriteBack = Field(default_factory=InvoiceWriteBack)
    cards: bool = False


DEALS_OWN = frozenset(
    {"amount", "deal_currency_code", "dealname", "dealstage", "hs_object_id", "pipeline"}
)
"""Properties of a deal that say what is billed, which nothing about the invoice may replace."""


def check_settings(body: InvoicesSettings) -> None:
    """Raise InvalidRequest for a trigger that the recipe would pull itself, for drafts that should
    be sent, and for properties that would be written over what is billed, or twice.
    """
    taken: set[str] = set()
    for field, name in body.writeBack.model_dump().items():
        if name in DEALS_OWN:
            raise wrong_field(f"writeBack.{field}", "is a property that the invoice is made from")
        if name in taken:
            raise wrong_field(f"writeBack.{field}", "is the property of another field too")
        taken |= {name} - {None}
    customer = body.customer.model_dump(exclude={"billTo", "contactLabel", "customerId"})
    if body.customer.customerId in {*customer.values(), "hs_object_id"} - {None}:
        raise wrong_field("customer.customerId", "is a property that the customer is made from")
    if body.trigger and body.trigger.property in body.writeBack.model_dump().values():
        raise wrong_field(
            "trigger.property", "is written by the recipe itself and would trigger it again"
        )
    if body.sendEmail and not body.approve:
        raise wrong_field("sendEmail", "needs approved invoices: drafts cannot be e-mailed")


class InvoiceRequest(StartRequest):
    """A deal of the HubSpot account that the user has connected."""

    userForeignIdentifier: UserRef
    dealId: HubSpotId


class InvoiceResponse(StartResponse):
    """The deal's invoice. `total` is the vendor's, with tax; `difference` is there when the vendor
    counts another net amount than the deal's.
    """

    invoiceId: str | None = None
    invoiceNumber: str | None = None
    customerId: str | None = None
    customerCreated: bool | None = None
    total: str | None = None
    currency: str | None = None
    status: str | None = None
    difference: str | None = None
    emailed: bool | None = None
    writtenBack: bool | None = None
    wouldSend: dict[str, Any] | None = None
    wouldWrite: dict[str, Any] | None = None

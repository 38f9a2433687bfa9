"""The orders recipe's bodies: settings, starts, and their answers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from broker.errors import wrong_field
from broker.recipes.base import StartRequest, StartResponse
from broker.recipes.fields import PropertyName
from broker.recipes.monitoring import MonitoredSettings
from broker.web.core.moments import AwareMoment
from broker.web.core.patterns import Matches
from broker.web.core.requests import NumberOrText, RequestModel, Text, UserRef

NAME = "orders"
VERSION = 1

KEY, ORDER_NAME, FINANCIAL = "shop_order_key", "shop_order_name", "shop_financial_status"
STATE, CUSTOMER_KEY = "shop_order_state", "shop_customer_key"


class Stages(RequestModel):
    """The ids of the pipeline's stages for orders that are to be paid, paid, and lost."""

    open: Text = "appointmentscheduled"
    won: Text = "closedwon"
    lost: Text = "closedlost"


class ContactMapping(RequestModel):
    """The contact property that shows each field of the buyer; null writes nothing."""

    firstName: PropertyName | None = "firstname"
    lastName: PropertyName | None = "lastname"
    phone: PropertyName | None = "phone"
    company: PropertyName | None = None


class DealMapping(RequestModel):
    """The deal property that shows each field of the order; null writes nothing."""

    name: PropertyName | None = "dealname"
    amount: PropertyName | None = "amount"
    currency: PropertyName | None = "deal_currency_code"
    closeDate: PropertyName | None = "closedate"
    orderName: PropertyName | None = ORDER_NAME
    financialStatus: PropertyName | None = FINANCIAL


class OrdersSettings(MonitoredSettings):
    """The whole of the settings. `shopApp` is the slug of the app whose users connect shops;
    `reopen`: a deal that a person closed as lost is won when its order is paid after all.
    """

    shopApp: Text
    pipeline: Text = "default"
    stages: Stages = Field(default_factory=Stages)
    amount: Literal["net", "current", "total"] = "net"
    skipTest: bool = True
    reopen: bool = False
    contact: ContactMapping = Field(default_factory=ContactMapping)
    deal: DealMapping = Field(default_factory=DealMapping)


WRITTEN_ITSELF = {
    "deal": frozenset({KEY, STATE, "dealstage", "pipeline", "hs_object_id"}),
    "contact": frozenset({CUSTOMER_KEY, "email", "hs_object_id"}),
}
"""Properties that no field of the mapping may be written into."""


def check_settings(body: OrdersSettings) -> None:
    """Raise InvalidRequest for a field that would be written over a property that the recipe lives
    by, or over another field.
    """
    for side, mapping in (("deal", body.deal), ("contact", body.contact)):
        taken: set[str] = set()
        for field, name in mapping.model_dump().items():
            if name in WRITTEN_ITSELF[side]:
                raise wrong_field(f"{side}.{field}", "is a property that the recipe itself writes")
            if name in taken:
                raise wrong_field(f"{side}.{field}", "is the property of another field too")
            taken |= {name} - {None}


class OrderRequest(StartRequest):
    """An order of the shop that the user has connected, by its id, or all that have changed since
    a moment.
    """

    userForeignIdentifier: UserRef
    orderId: (
        Annotated[
            NumberOrText,
            Matches(r"[0-9]{1,20}", "must be the order's id at the shop: 1 to 20 digits"),
        ]
        | None
    ) = None
    since: AwareMoment | None = None

    def check(self) -> None:
        """Raise InvalidRequest unless it is one of the two forms."""
        if (self.orderId is None) == (self.since is None):
            raise wrong_field("orderId", "is needed, or since, but not both")
        if self.since is not None and self.dryRun:
            raise wrong_field("dryRun", "is for one order")


class RefusedOrder(BaseModel):
    """An order that a person has to look at."""

    orderId: str
    message: str


class OrderResponse(StartResponse):
    """What became of the order, or how many were written; `skipped` says why none was written, and
    `notes` what a person should know.
    """

    dealId: str | None = None
    contactId: str | None = None
    amount: str | None = None
    currency: str | None = None
    stage: str | None = None
    skipped: str | None = None
    written: int | None = None
    refused: list[RefusedOrder] | None = None
    notes: list[str] | None = None
    wouldWrite: dict[str, Any] | None = None

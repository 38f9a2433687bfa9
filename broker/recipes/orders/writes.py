"""What an order becomes in HubSpot: properties of a deal and of a contact. No I/O."""

from collections.abc import Mapping
from typing import Any

from broker.crm.object_types import CONTACTS, DEALS
from broker.crm.records import SYNC_GROUP
from broker.recipes.base import PropertyDefinitions
from broker.recipes.orders.models import (
    CUSTOMER_KEY,
    FINANCIAL,
    KEY,
    ORDER_NAME,
    STATE,
    OrdersSettings,
)
from broker.recipes.orders.port import Buyer, ShopOrder

DELETED = "DELETED"


def deal_key(shop: str, order_id: str) -> str:
    """The value of the deal's unique property: order ids mean nothing without their shop."""
    return f"{shop}:{order_id}"


def amount_of(order: ShopOrder, settings: OrdersSettings) -> str:
    """The deal's amount, as the settings say, without an exponent."""
    by_name = {"net": order.net, "current": order.current, "total": order.total}
    return format(by_name[settings.amount], "f")


def deal_properties(
    order: ShopOrder, settings: OrdersSettings, current: Mapping[str, str | None] | None
) -> dict[str, str | None]:
    """The deal's properties for an order as it is now. `current`: the deal's, None for a new one.

    The stage of a deal that exists is written when the order has become won or lost since it was
    written last, and otherwise left alone: a person may have moved it. A deal that a person has
    closed as lost stays closed, unless the settings say `reopen`. What the shop does not say is not
    written.
    """
    mapping, stages = settings.deal, settings.stages
    shown: dict[str | None, str | None] = {
        mapping.amount: amount_of(order, settings),
        mapping.currency: order.currency,
        mapping.closeDate: order.placed_at,
        mapping.orderName: order.name,
        STATE: order.state,
    }
    if order.financial is not None:
        shown[mapping.financialStatus] = order.financial
    if current is None:
        shown[mapping.name] = f"Order {order.name}"
    if current is None or (_moves(order, current) and not stays_lost(order, settings, current)):
        stage = getattr(stages, order.state or "open")
        shown |= {"pipeline": settings.pipeline, "dealstage": stage}
    return {
        name: value
        for name, value in shown.items()
        if name is not None and (value is not None or name != STATE)
    }


def stays_lost(
    order: ShopOrder, settings: OrdersSettings, current: Mapping[str, str | None] | None
) -> bool:
    """Whether a deal that a person has closed as lost stays so although its order is paid."""
    if current is None or settings.reopen or order.state != "won" or not _moves(order, current):
        return False
    return current.get("dealstage") == settings.stages.lost and current.get(STATE) != "lost"


def _moves(order: ShopOrder, current: Mapping[str, str | None]) -> bool:
    return order.state in {"won", "lost"} and order.state != current.get(STATE)


def deleted_properties(settings: OrdersSettings) -> dict[str, str | None]:
    """The deal's properties when its order is gone."""
    shown = {
        settings.deal.amount: "0",
        settings.deal.financialStatus: DELETED,
        STATE: "lost",
        "pipeline": settings.pipeline,
        "dealstage": settings.stages.lost,
    }
    return {name: value for name, value in shown.items() if name is not None}


def contact_of(shop: str, buyer: Buyer) -> tuple[str, str] | None:
    """The unique property by which the contact is known, and its value: the e-mail address, else
    the shop's customer; None for a guest without an address.
    """
    if buyer.email:
        return "email", buyer.email
    if buyer.customer_id:
        return CUSTOMER_KEY, f"{shop}:{buyer.customer_id}"
    return None


def contact_properties(buyer: Buyer, settings: OrdersSettings) -> dict[str, str | None]:
    """The contact's properties: those that the shop knows, for an empty one erases nothing."""
    mapping = settings.contact
    shown = {
        mapping.firstName: buyer.first_name,
        mapping.lastName: buyer.last_name,
        mapping.phone: buyer.phone,
        mapping.company: buyer.company,
    }
    return {name: value for name, value in shown.items() if name is not None and value}


def definitions() -> tuple[PropertyDefinitions, ...]:
    """The properties that the recipe brings."""
    deal = {
        KEY: _definition(KEY, "Shop order key", unique=True),
        ORDER_NAME: _definition(ORDER_NAME, "Shop order"),
        FINANCIAL: _definition(FINANCIAL, "Shop payment status"),
        STATE: _definition(STATE, "Shop order state"),
    }
    contact = {CUSTOMER_KEY: _definition(CUSTOMER_KEY, "Shop customer key", unique=True)}
    return PropertyDefinitions(DEALS, deal), PropertyDefinitions(CONTACTS, contact)


def _definition(name: str, label: str, *, unique: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "string",
        "fieldType": "text",
        "groupName": SYNC_GROUP,
        **({"hasUniqueValue": True} if unique else {}),
    }

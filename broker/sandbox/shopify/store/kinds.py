"""Orders as shops have them, by name, each with what makes it awkward to read."""

from typing import Any

from broker.sandbox.shopify.store.merchant import Merchant
from broker.sandbox.shopify.store.records import Order

LINES = [
    {"title": "Enamel mug", "sku": "MUG-1", "quantity": 2, "price": "14.50"},
    {"title": "Linen apron", "sku": "APR-2", "quantity": 1, "price": "39.00", "discount": "4.00"},
]
ADA = {
    "email": "Ada.Lovelace@Example.com",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "phone": "+15551230001",
    "address": {
        "first_name": "Ada", "last_name": "Lovelace", "company": "Analytical Ltd",
        "address1": "12 Engine Street", "city": "New York", "province_code": "NY",
        "zip": "10001", "country_code": "US",
    },
}  # fmt: skip
KINDS = ("plain", "guest", "pos", "test", "pending", "authorized", "multi_currency", "free", "long")


def place(merchant: Merchant, kind: str = "plain", **fields: Any) -> Order:
    """An order of a kind of `KINDS`; `fields` go over it. Raises ValueError on another kind.

    `guest` has an e-mail address at most and no customer, `pos` neither, `multi_currency` is paid
    in euros, `long` has more lines than a page.
    """
    order: dict[str, Any] = {"lines": LINES}
    if kind in {"plain", "test", "pending", "authorized", "multi_currency", "long", "free"}:
        customers = merchant.shop.customers.values()
        ada = next((each for each in customers if each.email == ADA["email"]), None)
        order["customer"] = ada or merchant.add_customer(**ADA)
    if kind == "pos":
        order |= {"source": "pos", "email": "", "fulfillment": "FULFILLED"}
    elif kind == "test":
        order["test"] = True
    elif kind == "pending":
        order["paid"] = False
    elif kind == "authorized":
        order |= {"paid": False, "payment": "AUTHORIZED"}
    elif kind == "multi_currency":
        order |= {"currency": "EUR", "rate": "0.9237"}
    elif kind == "free":
        order["lines"] = [{"title": "Sample", "price": "0"}]
    elif kind == "long":
        order["lines"] = [{"title": f"Part {n}", "price": "1.00"} for n in range(60)]
    elif kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    order |= fields
    return merchant.place(order.pop("lines"), **order)

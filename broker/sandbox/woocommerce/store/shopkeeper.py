"""What buyers and shopkeepers do, each with the webhooks that WooCommerce fires for it."""

from decimal import Decimal
from typing import Any

from broker.sandbox.woocommerce.store.records import (
    PAID,
    Customer,
    LineItem,
    Order,
    Refund,
    address,
)
from broker.sandbox.woocommerce.world import WooCommerce

ADA = {
    "first_name": "Ada", "last_name": "Lovelace", "company": "Analytical Ltd",
    "address_1": "12 Engine Street", "city": "London", "postcode": "EC1A 1BB", "country": "GB",
    "email": "Ada.Lovelace@Example.com", "phone": "+442012300001",
}  # fmt: skip
LINES = [
    {"name": "Enamel mug", "sku": "MUG-1", "quantity": 2, "price": "14.50", "tax": "5.80"},
    {"name": "Linen apron", "sku": "APR-2", "quantity": 1, "price": "39.00", "discount": "4.00"},
]
KINDS = ("plain", "guest", "pending", "draft", "failed", "multi_currency")


class Shopkeeper:
    """The people of a site."""

    def __init__(self, world: WooCommerce) -> None:
        self._world = world

    def add_customer(self, email: str, **fields: Any) -> Customer:
        """A registered customer: email, first_name, last_name, billing. Raises ValueError when
        the address has an account.
        """
        if any(each.email.lower() == email.lower() for each in self._world.customers.values()):
            raise ValueError("An account is already registered with that email address.")
        now = self._world.now()
        customer = Customer(
            next(self._world.ids),
            email,
            str(fields.get("first_name", "")),
            str(fields.get("last_name", "")),
            email.partition("@")[0],
            now,
            now,
            address(fields.get("billing", {})),
        )
        self._world.customers[customer.id] = customer
        self._world.webhooks.emit("customer.created", customer.id)
        return customer

    def place(self, kind: str = "plain", **fields: Any) -> Order:
        """An order of a kind of `KINDS`, with fields over it: lines (name, quantity, price,
        discount, tax, sku), status, currency, billing, customer_id, shipping, number,
        customer_note, created_at, created_via, meta. Raises ValueError on others.
        """
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        world, now = self._world, self._world.now()
        number = next(world.ids)
        status = {"pending": "pending", "draft": "checkout-draft", "failed": "failed"}.get(kind)
        status = fields.pop("status", status or "processing")
        if status not in {*world.statuses, "trash"}:
            raise ValueError(f"status is one of {', '.join(world.statuses)}")
        currency = "EUR" if kind == "multi_currency" else world.levers.currency
        order = Order(
            number,
            str(fields.pop("number", f"{world.levers.number_prefix}{number}")),
            status,
            str(fields.pop("currency", currency)),
            now,
            now,
            [self._line(each) for each in fields.pop("lines", LINES)],
            address(fields.pop("billing", ADA)),
            shipping=Decimal(str(fields.pop("shipping", 0))),
        )
        has_account = kind not in {"guest", "draft"} and "customer_id" not in fields
        if has_account and order.billing["email"]:
            order.customer_id = self._account(order.billing).id
        for name, value in fields.items():
            if name not in {"customer_id", "customer_note", "created_at", "created_via", "meta"}:
                raise ValueError(f"an order has no {name}")
            setattr(order, name, value)
        order.modified_at = order.created_at
        if status in PAID:
            order.paid_at = order.created_at
        world.orders[order.id] = order
        if status != "checkout-draft":
            world.webhooks.emit("order.created", order.id)
            if status in PAID:
                # Payment changes the order that was just made: WooCommerce fires both.
                world.webhooks.emit("order.updated", order.id)
        return order

    def change(self, order: Order, **fields: Any) -> None:
        """Change an order: status, customer_note, meta, billing. Raises ValueError on others."""
        for name, value in fields.items():
            if name not in {"status", "customer_note", "meta", "billing"}:
                raise ValueError(f"an order has no {name}")
            if name == "status" and value not in self._world.statuses:
                raise ValueError(f"status is one of {', '.join(self._world.statuses)}")
            setattr(order, name, value)
        now = self._world.now()
        order.modified_at = now
        if order.status in PAID and order.paid_at is None:
            order.paid_at = now
        if order.status == "completed" and order.completed_at is None:
            order.completed_at = now
        self._world.webhooks.emit("order.updated", order.id)

    def refund(self, order: Order, amount: str | None = None, reason: str = "") -> Refund:
        """Refund money; everything that is left by default. A full refund sets the order's status;
        its total stays. Raises ValueError when the amount is more than what is left.
        """
        left = order.total - order.refunded
        refunded = left if amount is None else Decimal(amount)
        if refunded < 0 or refunded > left:
            raise ValueError("Invalid refund amount.")
        refund = Refund(next(self._world.ids), self._world.now(), refunded, reason)
        order.refunds.append(refund)
        fields = {"status": "refunded"} if order.refunded >= order.total else {}
        self.change(order, **fields)
        return refund

    def trash(self, order: Order) -> None:
        """Move an order to the trash."""
        order.status, order.modified_at = "trash", self._world.now()
        self._world.webhooks.emit("order.deleted", order.id)

    def restore(self, order: Order) -> None:
        """Take an order out of the trash."""
        order.status, order.modified_at = "processing", self._world.now()
        self._world.webhooks.emit("order.restored", order.id)

    def delete(self, order: Order) -> None:
        """Delete an order for good."""
        del self._world.orders[order.id]
        self._world.webhooks.emit("order.deleted", order.id)

    def _account(self, billing: dict[str, str]) -> Customer:
        for each in self._world.customers.values():
            if each.email.lower() == billing["email"].lower():
                return each
        names = {name: billing[name] for name in ("first_name", "last_name")}
        return self.add_customer(billing["email"], **names, billing=billing)

    def _line(self, fields: dict[str, Any]) -> LineItem:
        quantity = int(fields.get("quantity", 1))
        subtotal = Decimal(str(fields["price"])) * quantity
        return LineItem(
            next(self._world.ids),
            str(fields["name"]),
            str(fields.get("sku", "")),
            quantity,
            subtotal,
            subtotal - Decimal(str(fields.get("discount", 0))),
            Decimal(str(fields.get("tax", 0))),
        )

"""Actions of buyers and merchants in a shop, each with its webhooks."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from broker.sandbox.shopify.apps import App
from broker.sandbox.shopify.store.money import Rate, rounded
from broker.sandbox.shopify.store.payloads import (
    customer_body,
    edit_body,
    order_body,
    refund_body,
)
from broker.sandbox.shopify.store.records import Address, Customer, LineItem, Order, Refund, Shop
from broker.sandbox.shopify.world import Shopify

ORDER_FIELDS = (
    "email", "phone", "source", "test", "note", "tags", "payment", "fulfillment", "created_at",
)  # fmt: skip


class Merchant:
    """The people of one shop."""

    def __init__(self, world: Shopify, shop: Shop) -> None:
        self._world = world
        self.shop = shop

    def add_customer(self, **fields: Any) -> Customer:
        """A customer: email, first_name, last_name, phone, address, tags."""
        now = self._world.now()
        customer = Customer(
            next(self._world.ids),
            fields.get("email"),
            fields.get("first_name"),
            fields.get("last_name"),
            fields.get("phone"),
            now,
            now,
        )
        customer.tags = list(fields.get("tags", []))
        if "address" in fields:
            customer.address = Address(**fields["address"])
        self.shop.customers[customer.id] = customer
        self._emit("CUSTOMERS_CREATE", lambda p: customer_body(self.shop, customer, personal=p))
        return customer

    def place(
        self,
        lines: list[dict[str, Any]],
        *,
        customer: Customer | None = None,
        paid: bool = True,
        currency: str | None = None,
        rate: str = "1",
        **fields: Any,
    ) -> Order:
        """An order. `lines` have title, price, quantity, sku, discount; `currency` is what the
        buyer sees, at `rate` to the shop's; `shipping`, `tax` are amounts.
        """
        unknown = set(fields) - {*ORDER_FIELDS, "billing", "shipping_address", "shipping", "tax"}
        if unknown:
            raise ValueError(f"an order has no {', '.join(sorted(unknown))}")
        shop, now = self.shop, self._world.now()
        number, shop.next_number = shop.next_number, shop.next_number + 1
        order = Order(
            next(self._world.ids), number, f"#{number}", now, now, shop.currency,
            Rate(currency or shop.currency, Decimal(rate)),
            [self._line(each) for each in lines],
        )  # fmt: skip
        if customer is not None:
            order.customer_id = customer.id
            order.email, order.phone, order.billing = (
                customer.email, customer.phone, customer.address,
            )  # fmt: skip
        for name in set(ORDER_FIELDS) & set(fields):
            setattr(order, name, fields[name])
        for name in {"billing", "shipping_address"} & set(fields):
            setattr(order, name, Address(**fields[name]))
        order.shipping = Decimal(str(fields.get("shipping", 0)))
        order.tax = Decimal(str(fields.get("tax", 0)))
        order.updated_at = order.created_at
        order.original_total = order.total
        shop.orders[order.id] = order
        if paid:
            order.received = order.total
        self._changed(order, "ORDERS_CREATE", *(["ORDERS_PAID"] if paid else []), touch=False)
        return order

    def pay(self, order: Order, amount: str | None = None) -> None:
        """Receive money; the outstanding amount by default."""
        outstanding = order.current_total - order.net_payment
        order.received += outstanding if amount is None else Decimal(amount)
        self._changed(order, *(["ORDERS_PAID"] if order.financial == "PAID" else []))

    def edit(self, order: Order, add: list[dict[str, Any]], remove: list[int]) -> None:
        """Add lines to an order and take lines off it."""
        fresh = [self._line(each) for each in add]
        for line in order.lines:
            if line.id in remove:
                line.current_quantity = 0
        order.lines.extend(fresh)
        order.edited = True
        self._changed(order)
        body = edit_body(self.shop, order, [line.id for line in fresh], remove)
        self._emit("ORDERS_EDITED", lambda _personal: body)

    def refund(
        self,
        order: Order,
        amount: str | None = None,
        lines: list[tuple[int, int]] | None = None,
        note: str | None = None,
    ) -> Refund:
        """Give money back: what the returned lines cost, an amount, or everything. Without lines
        the order's price stays as it was.
        """
        refunded: Decimal | None = None if amount is None else Decimal(amount)
        by_id = {line.id: line for line in order.lines}
        worth = Decimal(0)
        for line_id, quantity in lines or []:
            by_id[line_id].current_quantity -= quantity
            worth += by_id[line_id].priced(quantity)
        if refunded is None:
            refunded = worth if lines else order.net_payment
        refunded = rounded(refunded, order.currency)
        if refunded > order.net_payment:
            raise ValueError("more than was received cannot be refunded")
        refund = Refund(next(self._world.ids), self._world.now(), refunded, note, lines or [])
        order.refunds.append(refund)
        self._changed(order)
        self._emit("REFUNDS_CREATE", lambda _p: refund_body(self.shop, order, refund))
        return refund

    def cancel(self, order: Order, reason: str = "CUSTOMER", *, refund: bool = True) -> None:
        """Cancel an order, and refund what was paid."""
        order.cancelled_at, order.cancel_reason = self._world.now(), reason
        for line in order.lines:
            line.current_quantity = 0
        if order.received == 0:
            order.payment = "VOIDED"
        elif refund and order.net_payment > 0:
            self.refund(order)
        self._changed(order, "ORDERS_CANCELLED")

    def fulfill(self, order: Order) -> None:
        """Send the goods."""
        order.fulfillment = "FULFILLED"
        self._changed(order, "ORDERS_FULFILLED")

    def touch(self, order: Order, **fields: Any) -> None:
        """Change fields of an order as a person in the admin does."""
        for name, value in fields.items():
            if name not in ORDER_FIELDS:
                raise ValueError(f"an order has no {name}")
            setattr(order, name, value)
        self._changed(order)

    def delete(self, order: Order) -> None:
        """Delete an order."""
        del self.shop.orders[order.id]
        self._emit("ORDERS_DELETE", lambda _personal: {"id": order.id})

    def merge(self, winner: Customer, loser: Customer) -> None:
        """Merge two customers; orders move to the one that stays."""
        for order in self.shop.orders.values():
            if order.customer_id == loser.id:
                order.customer_id = winner.id
        del self.shop.customers[loser.id]
        ids = {"kept": winner.id, "deleted": loser.id}
        body = {
            f"admin_graphql_api_customer_{name}_id": f"gid://shopify/Customer/{number}"
            for name, number in ids.items()
        }
        self._emit("CUSTOMERS_MERGE", lambda _personal: {**body, "status": "completed"})

    def _line(self, fields: dict[str, Any]) -> LineItem:
        quantity = int(fields.get("quantity", 1))
        return LineItem(
            next(self._world.ids), str(fields["title"]), fields.get("sku"), quantity,
            Decimal(str(fields["price"])), Decimal(str(fields.get("discount", 0))), quantity,
        )  # fmt: skip

    def _changed(self, order: Order, *topics: str, touch: bool = True) -> None:
        if touch:
            order.updated_at = self._world.now()
        for topic in (*topics, "ORDERS_UPDATED"):
            self._emit(topic, lambda p: order_body(self.shop, order, personal=p))

    def _emit(self, topic: str, body: Callable[[bool], dict[str, Any]]) -> None:
        world = self._world

        def shown(app: App) -> dict[str, Any]:
            return body(world.levers.pii and app.protected_data >= 2)

        world.webhooks.emit(self.shop, topic, shown)

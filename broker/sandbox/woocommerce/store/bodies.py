"""Records as the REST API and webhooks show them: ids are numbers, amounts strings, a line's
`price` a number; times come twice, on the site's clock and in UTC, both without an offset.
"""

from decimal import Decimal
from typing import Any

from broker.sandbox.woocommerce.site import Site
from broker.sandbox.woocommerce.store.records import Customer, LineItem, Order, Refund


def amount(site: Site, value: Decimal) -> str:
    """An amount with the site's number of decimals, whatever the order's currency."""
    return f"{value:.{site.levers.decimals}f}"


def order_body(site: Site, order: Order) -> dict[str, Any]:
    """An order."""

    def money(value: Decimal) -> str:
        return amount(site, value)

    return {
        "id": order.id,
        "parent_id": 0,
        "status": order.status,
        "currency": order.currency,
        "version": "10.9.0",
        "prices_include_tax": False,
        **dates(site, "created", order.created_at),
        **dates(site, "modified", order.modified_at),
        "discount_total": money(order.discount),
        "discount_tax": money(Decimal(0)),
        "shipping_total": money(order.shipping),
        "shipping_tax": money(Decimal(0)),
        "cart_tax": money(order.total_tax),
        "total": money(order.total),
        "total_tax": money(order.total_tax),
        "customer_id": order.customer_id,
        "order_key": f"wc_order_{site.hash(str(order.id))[:13]}",
        "billing": dict(order.billing),
        "shipping": {name: order.billing[name] for name in order.billing if name != "email"},
        "payment_method": order.payment_method,
        "payment_method_title": order.payment_method.title(),
        "transaction_id": "",
        "created_via": order.created_via,
        "customer_note": order.customer_note,
        **dates(site, "completed", order.completed_at),
        **dates(site, "paid", order.paid_at),
        "number": order.number,
        "meta_data": list(order.meta),
        "line_items": [_line(site, line) for line in order.lines],
        "tax_lines": [],
        "shipping_lines": [],
        "fee_lines": [],
        "coupon_lines": [],
        "refunds": [
            {"id": each.id, "reason": each.reason, "total": f"-{money(each.amount)}"}
            for each in order.refunds
        ],
        "needs_payment": order.status in {"pending", "failed"} and order.total > 0,
        "needs_processing": True,
    }


def refund_body(site: Site, refund: Refund) -> dict[str, Any]:
    """A refund."""
    return {
        "id": refund.id,
        **dates(site, "created", refund.created_at),
        "amount": amount(site, refund.amount),
        "reason": refund.reason,
        "refunded_by": refund.by,
        "refunded_payment": refund.through_gateway,
        "meta_data": [],
        "line_items": [],
        "shipping_lines": [],
        "tax_lines": [],
        "fee_lines": [],
    }


def customer_body(site: Site, customer: Customer) -> dict[str, Any]:
    """A customer."""
    theirs = [each for each in site.orders.values() if each.customer_id == customer.id]
    return {
        "id": customer.id,
        **dates(site, "created", customer.created_at),
        **dates(site, "modified", customer.modified_at),
        "email": customer.email,
        "first_name": customer.first_name,
        "last_name": customer.last_name,
        "role": customer.role,
        "username": customer.username,
        "billing": dict(customer.billing),
        "shipping": {name: customer.billing[name] for name in customer.billing if name != "email"},
        "is_paying_customer": any(order.paid_at is not None for order in theirs),
        "avatar_url": "",
        "meta_data": [],
    }


def dates(site: Site, name: str, at: float | None) -> dict[str, str | None]:
    """A time under its two names."""
    return {f"date_{name}": site.local(at), f"date_{name}_gmt": site.gmt(at)}


def _line(site: Site, line: LineItem) -> dict[str, Any]:
    return {
        "id": line.id,
        "name": line.name,
        "product_id": line.product_id,
        "variation_id": 0,
        "quantity": line.quantity,
        "tax_class": "",
        "subtotal": amount(site, line.subtotal),
        "subtotal_tax": amount(site, line.tax),
        "total": amount(site, line.total),
        "total_tax": amount(site, line.tax),
        "taxes": [],
        "meta_data": [],
        "sku": line.sku,
        "price": float(line.total / line.quantity) if line.quantity else 0,
        "image": {"id": 0, "src": ""},
        "parent_name": None,
    }

"""Webhook bodies: the REST shape of orders, refunds, customers and shops (sample of 2026-01).

`personal` is whether the app may see names, addresses, e-mail and phone; where not they are null.
"""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from broker.sandbox.shopify.store.money import as_rest
from broker.sandbox.shopify.store.records import Address, Customer, LineItem, Order, Refund, Shop


def moment(shop: Shop, at: float | None) -> str | None:
    """A time with the shop's offset, as REST bodies have it."""
    if at is None:
        return None
    zone = timezone(timedelta(minutes=shop.offset_minutes))
    return datetime.fromtimestamp(int(at), UTC).astimezone(zone).isoformat()


def order_body(shop: Shop, order: Order, *, personal: bool = True) -> dict[str, Any]:
    """An order."""
    customer = shop.customers.get(order.customer_id or 0)
    email = order.email if personal else None
    fulfillment = {"FULFILLED": "fulfilled", "PARTIALLY_FULFILLED": "partial"}
    amounts = {
        "total_price": order.total,
        "subtotal_price": order.subtotal,
        "total_tax": order.tax,
        "total_discounts": order.discounts,
        "current_total_price": order.current_total,
        "total_outstanding": max(order.current_total - order.net_payment, Decimal(0)),
    }
    return {
        "id": order.id,
        "admin_graphql_api_id": f"gid://shopify/Order/{order.id}",
        "name": order.name,
        "number": order.number - 1000,
        "order_number": order.number,
        "email": email,
        "contact_email": email or None,
        "phone": order.phone if personal else None,
        "created_at": moment(shop, order.created_at),
        "processed_at": moment(shop, order.created_at),
        "updated_at": moment(shop, order.updated_at),
        "cancelled_at": moment(shop, order.cancelled_at),
        "cancel_reason": order.cancel_reason.lower() if order.cancel_reason else None,
        "currency": order.currency,
        "presentment_currency": order.rate.currency,
        **{name: as_rest(amount, order.currency) for name, amount in amounts.items()},
        **{f"{name}_set": money_set(order, amount) for name, amount in amounts.items()},
        "financial_status": order.financial.lower(),
        "fulfillment_status": fulfillment.get(order.fulfillment),
        "test": order.test,
        "confirmed": True,
        "source_name": order.source,
        "taxes_included": True,
        "note": order.note,
        "tags": ", ".join(order.tags),
        "customer": None if customer is None else customer_body(shop, customer, personal=personal),
        "billing_address": _address(order.billing, personal),
        "shipping_address": _address(order.shipping_address, personal),
        "line_items": [_line(order, line) for line in order.lines],
        "refunds": [refund_body(shop, order, refund) for refund in order.refunds],
    }


def money_set(order: Order, amount: Decimal) -> dict[str, Any]:
    """An amount in shop money and in presentment money."""
    shown = order.rate.of(amount)
    return {
        "shop_money": {
            "amount": as_rest(amount, order.currency),
            "currency_code": order.currency,
        },
        "presentment_money": {
            "amount": as_rest(shown, order.rate.currency),
            "currency_code": order.rate.currency,
        },
    }


def refund_body(shop: Shop, order: Order, refund: Refund) -> dict[str, Any]:
    """A refund."""
    return {
        "id": refund.id,
        "admin_graphql_api_id": f"gid://shopify/Refund/{refund.id}",
        "order_id": order.id,
        "created_at": moment(shop, refund.created_at),
        "processed_at": moment(shop, refund.created_at),
        "note": refund.note,
        "refund_line_items": [
            {"line_item_id": line_id, "quantity": quantity} for line_id, quantity in refund.lines
        ],
        "transactions": [
            {
                "kind": "refund",
                "status": "success",
                "amount": as_rest(refund.amount, order.currency),
                "currency": order.currency,
                "order_id": order.id,
            }
        ],
    }


def edit_body(shop: Shop, order: Order, added: list[int], removed: list[int]) -> dict[str, Any]:
    """An order edit: what was added to an order and what was taken off it, by line."""
    by_id = {line.id: line for line in order.lines}
    return {
        "order_edit": {
            "id": order.id * 10 + 1,
            "order_id": order.id,
            "created_at": moment(shop, order.updated_at),
            "committed_at": moment(shop, order.updated_at),
            "line_items": {
                "additions": [{"id": line, "delta": by_id[line].quantity} for line in added],
                "removals": [{"id": line, "delta": by_id[line].quantity} for line in removed],
            },
        }
    }


def customer_body(shop: Shop, customer: Customer, *, personal: bool = True) -> dict[str, Any]:
    """A customer."""
    return {
        "id": customer.id,
        "admin_graphql_api_id": f"gid://shopify/Customer/{customer.id}",
        "email": customer.email if personal else None,
        "first_name": customer.first_name if personal else None,
        "last_name": customer.last_name if personal else None,
        "phone": customer.phone if personal else None,
        "created_at": moment(shop, customer.created_at),
        "updated_at": moment(shop, customer.updated_at),
        "tags": ", ".join(customer.tags),
        "currency": shop.currency,
        "default_address": _address(customer.address, personal),
    }


def shop_body(shop: Shop) -> dict[str, Any]:
    """A shop."""
    return {
        "id": shop.id,
        "name": shop.name,
        "email": shop.email,
        "domain": shop.domain,
        "myshopify_domain": shop.domain,
        "currency": shop.currency,
        "iana_timezone": shop.timezone,
        "plan_display_name": shop.plan,
        "created_at": moment(shop, shop.created_at),
    }


def _line(order: Order, line: LineItem) -> dict[str, Any]:
    return {
        "id": line.id,
        "admin_graphql_api_id": f"gid://shopify/LineItem/{line.id}",
        "title": line.title,
        "name": line.title,
        "sku": line.sku,
        "quantity": line.quantity,
        "current_quantity": line.current_quantity,
        "price": as_rest(line.price, order.currency),
        "price_set": money_set(order, line.price),
        "total_discount": as_rest(line.discount, order.currency),
        "variant_id": None,
        "product_id": None,
    }


def _address(address: Address | None, personal: bool) -> dict[str, Any] | None:
    if address is None or not personal:
        return None
    names = ("first_name", "last_name", "company", "address1", "city", "province_code", "zip")
    return {
        **{name: getattr(address, name) for name in names},
        "country_code": address.country_code,
        "phone": address.phone,
    }

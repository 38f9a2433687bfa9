"""Records as the Admin API's types show them. Values that need arguments or a scope of their own
are functions, called when the field is requested.
"""

from decimal import Decimal
from typing import Any

from broker.sandbox.shopify.admin.access import Call
from broker.sandbox.shopify.admin.paging import connection
from broker.sandbox.shopify.store.money import as_decimal, rounded
from broker.sandbox.shopify.store.records import Address, Customer, LineItem, Order, Refund
from broker.sandbox.shopify.webhooks import Subscription


def gid(kind: str, number: int) -> str:
    """A global id."""
    return f"gid://shopify/{kind}/{number}"


def number_of(text: str, kind: str) -> int | None:
    """The number in a global id of one type, or None when it is not one."""
    prefix = f"gid://shopify/{kind}/"
    rest = text.removeprefix(prefix)
    return int(rest) if text.startswith(prefix) and rest.isdecimal() else None


def bag(order: Order, amount: Decimal) -> dict[str, Any]:
    """A `MoneyBag`."""
    shown, amount = order.rate.of(amount), rounded(amount, order.currency)
    return {
        "shopMoney": {"amount": as_decimal(amount), "currencyCode": order.currency},
        "presentmentMoney": {"amount": as_decimal(shown), "currencyCode": order.rate.currency},
    }


def order_node(call: Call, order: Order) -> dict[str, Any]:
    """An `Order`."""
    at, personal = call.world.timestamp, call.personal

    def customer(_info: Any) -> dict[str, Any] | None:
        found = call.shop.customers.get(order.customer_id or 0)
        if found is None:
            return None
        call.require("read_customers", "customer")
        return customer_node(call, found)

    def line_items(_info: Any, **page: Any) -> dict[str, Any]:
        index_of = {line.id: index for index, line in enumerate(order.lines)}
        return connection(
            order.lines,
            lambda line: line_node(order, line),
            lambda line: (index_of[line.id], line.id),
            **page,
        )

    def refunds(_info: Any, first: int | None = None) -> list[dict[str, Any]]:
        return [refund_node(call, order, each) for each in order.refunds[:first]]

    return {
        "id": gid("Order", order.id),
        "legacyResourceId": str(order.id),
        "name": order.name,
        "number": order.number,
        "email": (order.email or None) if personal else None,
        "phone": order.phone if personal else None,
        "test": order.test,
        "edited": order.edited,
        "confirmed": True,
        "closed": order.cancelled_at is not None,
        "note": order.note,
        "tags": order.tags,
        "sourceName": order.source,
        "createdAt": at(order.created_at),
        "processedAt": at(order.created_at),
        "updatedAt": at(order.updated_at),
        "closedAt": at(order.cancelled_at),
        "cancelledAt": at(order.cancelled_at),
        "cancelReason": order.cancel_reason,
        "currencyCode": order.currency,
        "presentmentCurrencyCode": order.rate.currency,
        "displayFinancialStatus": order.financial,
        "displayFulfillmentStatus": order.fulfillment,
        "taxesIncluded": True,
        **_payments(order),
        "customer": customer,
        "billingAddress": address_node(call, order.billing, order.id),
        "shippingAddress": address_node(call, order.shipping_address, order.id),
        "lineItems": line_items,
        "refunds": refunds,
    }


def _payments(order: Order) -> dict[str, Any]:
    """The sums of an order and of its payments."""
    outstanding = max(order.current_total - order.net_payment, Decimal(0))
    return {
        "fullyPaid": outstanding == 0,
        "unpaid": order.received == 0 and outstanding > 0,
        "totalPrice": as_decimal(order.total),
        "totalPriceSet": bag(order, order.total),
        "currentTotalPriceSet": bag(order, order.current_total),
        "originalTotalPriceSet": bag(order, order.original_total),
        "subtotalPriceSet": bag(order, order.subtotal),
        "totalTaxSet": bag(order, order.tax),
        "totalDiscountsSet": bag(order, order.discounts),
        "totalShippingPriceSet": bag(order, order.shipping),
        "totalReceivedSet": bag(order, order.received),
        "totalRefundedSet": bag(order, order.refunded),
        "totalOutstandingSet": bag(order, outstanding),
        "netPaymentSet": bag(order, order.net_payment),
    }


def line_node(order: Order, line: LineItem) -> dict[str, Any]:
    """A `LineItem`."""
    whole = line.price * line.quantity
    discounted = bag(order, whole - line.discount)
    return {
        "id": gid("LineItem", line.id),
        "title": line.title,
        "name": line.title,
        "sku": line.sku,
        "quantity": line.quantity,
        "currentQuantity": line.current_quantity,
        "originalUnitPriceSet": bag(order, line.price),
        "originalTotalSet": bag(order, whole),
        # Whether codes count or not: the sandbox's discounts are none of a code.
        "discountedTotalSet": lambda _info, **_codes: discounted,
        "totalDiscountSet": bag(order, line.discount),
    }


def refund_node(call: Call, order: Order, refund: Refund) -> dict[str, Any]:
    """A `Refund`."""
    at = call.world.timestamp(refund.created_at)
    return {
        "id": gid("Refund", refund.id),
        "legacyResourceId": str(refund.id),
        "createdAt": at,
        "processedAt": at,
        "updatedAt": at,
        "note": refund.note,
        "order": lambda _info: order_node(call, order),
        "totalRefundedSet": bag(order, refund.amount),
    }


def customer_node(call: Call, customer: Customer) -> dict[str, Any]:
    """A `Customer`."""
    personal, at = call.personal, call.world.timestamp
    email = customer.email if personal else None
    phone = customer.phone if personal else None
    name = " ".join(each for each in (customer.first_name, customer.last_name) if each)
    return {
        "id": gid("Customer", customer.id),
        "legacyResourceId": str(customer.id),
        "displayName": (name or customer.email or "") if personal else "",
        "firstName": customer.first_name if personal else None,
        "lastName": customer.last_name if personal else None,
        "email": email,
        "phone": phone,
        "defaultEmailAddress": email and {"emailAddress": email, "validFormat": True},
        "defaultPhoneNumber": phone and {"phoneNumber": phone},
        "defaultAddress": address_node(call, customer.address, customer.id),
        "tags": customer.tags,
        "createdAt": at(customer.created_at),
        "updatedAt": at(customer.updated_at),
    }


def address_node(call: Call, address: Address | None, owner: int) -> dict[str, Any] | None:
    """A `MailingAddress`."""
    if address is None or not call.personal:
        return None
    names = [each for each in (address.first_name, address.last_name) if each]
    return {
        "id": gid("MailingAddress", owner) + "?model_name=Address",
        "firstName": address.first_name,
        "lastName": address.last_name,
        "name": " ".join(names) or None,
        "company": address.company,
        "address1": address.address1,
        "city": address.city,
        "provinceCode": address.province_code,
        "zip": address.zip,
        "countryCodeV2": address.country_code,
        "phone": address.phone,
    }


def subscription_node(call: Call, subscription: Subscription) -> dict[str, Any]:
    """A `WebhookSubscription`."""
    return {
        "id": gid("WebhookSubscription", subscription.id),
        "legacyResourceId": str(subscription.id),
        "topic": subscription.topic,
        "uri": subscription.uri,
        "callbackUrl": subscription.uri,
        "endpoint": {"__typename": "WebhookHttpEndpoint", "callbackUrl": subscription.uri},
        "metafieldNamespaces": [],
        "format": subscription.format,
        "includeFields": list(subscription.include_fields),
        "filter": subscription.filter,
        "name": subscription.name,
        "apiVersion": version_node(call, subscription.api_version),
        "createdAt": call.world.timestamp(subscription.created_at),
        "updatedAt": call.world.timestamp(subscription.updated_at),
    }


def version_node(call: Call, version: str) -> dict[str, Any]:
    """An `ApiVersion`."""
    supported = version in call.world.levers.versions
    return {"handle": version, "displayName": version, "supported": supported}

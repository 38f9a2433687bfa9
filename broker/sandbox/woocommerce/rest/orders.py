"""`/wc/v3/orders` and their refunds."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from aiohttp import web

from broker.sandbox.woocommerce.rest.answers import RestError, invalid_id, invalid_params
from broker.sandbox.woocommerce.rest.call import Call
from broker.sandbox.woocommerce.store.bodies import order_body, refund_body
from broker.sandbox.woocommerce.store.records import Order
from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper

KIND = "shop_order"
SORT: dict[str, Callable[[Order], int]] = {
    "date": lambda order: int(order.created_at),
    "modified": lambda order: int(order.modified_at),
    "id": lambda order: order.id,
    "include": lambda order: order.id,
    "title": lambda order: order.id,
    "slug": lambda order: order.id,
}
SEARCHED = ("first_name", "last_name", "email", "company", "phone")


async def index(call: Call) -> web.Response:
    """List orders."""
    params, site = call.params, call.world
    statuses = params.words("status", ("any", "trash", *site.statuses)) or ["any"]
    include, exclude = params.ids("include"), params.ids("exclude")
    customer = params.number("customer", -1, 0)
    search = params.query.get("search", "").lower()
    by = params.choice("orderby", "date", tuple(SORT))
    direction = params.choice("order", "desc", ("asc", "desc"))
    call.may("view", "Sorry, you cannot list resources.")

    def meets(order: Order) -> bool:
        listed = order.status in statuses or ("any" in statuses and order.status != "trash")
        return (
            listed
            and (not include or order.id in include)
            and order.id not in exclude
            and customer in {-1, order.customer_id}
            and params.within(order.created_at, "after", "before")
            and params.within(order.modified_at, "modified_after", "modified_before")
            and any(search in order.billing[name].lower() for name in SEARCHED)
        )

    rows = [order for order in site.orders.values() if meets(order)]
    rows.sort(key=lambda order: (SORT[by](order), order.id), reverse=direction == "desc")
    return params.page(call.request, call.route, rows, lambda each: order_body(site, each))


async def read(call: Call) -> web.Response:
    """Read one order."""
    call.may("view", "Sorry, you cannot view this resource.")
    return web.json_response(order_body(call.world, _order(call, 404)))


async def create(call: Call) -> web.Response:
    """Make an order from line items that carry their own price."""
    call.may("create", "Sorry, you are not allowed to create resources.")
    fields = await call.body()
    if fields.get("id"):
        message = f"Cannot create existing {KIND}."
        raise RestError(400, f"woocommerce_rest_{KIND}_exists", message)
    customer = fields.get("customer_id", 0)
    if customer and customer not in call.world.customers:
        message = "Customer ID is invalid."
        raise RestError(400, "woocommerce_rest_invalid_customer_id", message)
    _check_status(call, fields)
    paid = fields.get("set_paid") is True
    lines = [_line(each) for each in fields.get("line_items", [])]
    optional = {name: fields[name] for name in ("currency", "customer_note") if name in fields}
    order = Shopkeeper(call.world).place(
        lines=lines,
        status="processing" if paid else fields.get("status", "pending"),
        customer_id=customer,
        billing=fields.get("billing", {}),
        created_via="rest-api",
        meta=list(fields.get("meta_data", [])),
        **optional,
    )
    response = web.json_response(order_body(call.world, order), status=201)
    response.headers["Location"] = call.address(f"/wc/v3/orders/{order.id}")
    return response


async def update(call: Call) -> web.Response:
    """Change an order: status, set_paid, customer_note, billing, meta_data."""
    call.may("edit", "Sorry, you are not allowed to edit this resource.")
    order, fields = _order(call, 400), await call.body()
    _check_status(call, fields)
    changes: dict[str, Any] = {
        name: fields[name] for name in ("status", "customer_note") if name in fields
    }
    if fields.get("set_paid") is True and order.status in {"pending", "failed", "on-hold"}:
        changes["status"] = "processing"
    if "billing" in fields:
        changes["billing"] = {**order.billing, **fields["billing"]}
    if "meta_data" in fields:
        keys = {each["key"] for each in fields["meta_data"]}
        others = [each for each in order.meta if each["key"] not in keys]
        changes["meta"] = [*others, *fields["meta_data"]]
    Shopkeeper(call.world).change(order, **changes)
    return web.json_response(order_body(call.world, order))


async def delete(call: Call) -> web.Response:
    """Move an order to the trash, or delete it with `force`."""
    call.may("delete", "Sorry, you are not allowed to delete this resource.")
    order, people = _order(call, 404), Shopkeeper(call.world)
    shown = order_body(call.world, order)
    if call.params.query.get("force", "").lower() in {"true", "1"}:
        people.delete(order)
    elif order.status == "trash":
        message = f"The {KIND} has already been deleted."
        raise RestError(410, "woocommerce_rest_already_trashed", message)
    else:
        people.trash(order)
        shown = order_body(call.world, order)
    return web.json_response(shown)


async def refunds(call: Call) -> web.Response:
    """List an order's refunds, newest first; an order that is not there has none."""
    call.may("view", "Sorry, you cannot list resources.")
    order = call.world.orders.get(call.number("id"))
    rows = [] if order is None else order.refunds[::-1]
    return call.params.page(
        call.request, call.route, rows, lambda each: refund_body(call.world, each)
    )


async def refund(call: Call) -> web.Response:
    """Read one refund."""
    call.may("view", "Sorry, you cannot view this resource.")
    order = call.world.orders.get(call.number("id"))
    for each in order.refunds if order is not None else []:
        if each.id == call.number("refund"):
            return web.json_response(refund_body(call.world, each))
    raise invalid_id("shop_order_refund")


async def give_back(call: Call) -> web.Response:
    """Refund an order: amount, reason."""
    call.may("create", "Sorry, you are not allowed to create resources.")
    fields = await call.body()
    order = call.world.orders.get(call.number("id"))
    # The source passes bare numbers as data here: WordPress makes them all 500.
    if order is None:
        raise RestError(500, "woocommerce_rest_invalid_order_id", "Invalid order ID.", 404)
    try:
        amount = Decimal(str(fields.get("amount", "0")))
        if amount < 0:
            message = "Refund amount must be greater than zero."
            raise RestError(500, "woocommerce_rest_invalid_order_refund", message, 400)
        made = Shopkeeper(call.world).refund(order, str(amount), str(fields.get("reason") or ""))
    except (ValueError, InvalidOperation) as error:
        message = "Invalid refund amount."
        code = "woocommerce_rest_cannot_create_order_refund"
        raise RestError(500, code, message, 500) from error
    return web.json_response(refund_body(call.world, made), status=201)


def _order(call: Call, status: int) -> Order:
    order = call.world.orders.get(call.number("id"))
    if order is None:
        raise invalid_id(KIND, status)
    return order


def _check_status(call: Call, fields: dict[str, Any]) -> None:
    if "status" in fields and fields["status"] not in call.world.statuses:
        problem = f"status is not one of {', '.join(call.world.statuses)}."
        raise invalid_params({"status": problem}, "rest_not_in_enum")


def _line(fields: dict[str, Any]) -> dict[str, Any]:
    quantity = int(fields.get("quantity", 1))
    total = Decimal(str(fields.get("total", fields.get("subtotal", "0"))))
    return {
        "name": fields.get("name", "Product"),
        "sku": fields.get("sku", ""),
        "quantity": quantity,
        "price": total / quantity if quantity else total,
    }

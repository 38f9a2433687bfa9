"""`/wc/v3/customers`."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from broker.sandbox.woocommerce.rest.answers import RestError, missing_params, unknown_resource
from broker.sandbox.woocommerce.rest.call import Call
from broker.sandbox.woocommerce.store.bodies import customer_body
from broker.sandbox.woocommerce.store.records import Customer
from broker.sandbox.woocommerce.store.shopkeeper import Shopkeeper

SORT: dict[str, Callable[[Customer], Any]] = {
    "id": lambda each: each.id,
    "include": lambda each: each.id,
    "name": lambda each: each.username,
    "registered_date": lambda each: int(each.created_at),
}


async def index(call: Call) -> web.Response:
    """List customers."""
    params = call.params
    by = params.choice("orderby", "name", tuple(SORT))
    direction = params.choice("order", "asc", ("asc", "desc"))
    include, email = params.ids("include"), params.query.get("email", "").lower()
    search = params.query.get("search", "").lower()
    call.may("view", "Sorry, you cannot list resources.")

    def meets(each: Customer) -> bool:
        text = f"{each.email} {each.first_name} {each.last_name} {each.username}".lower()
        return (
            (not include or each.id in include)
            and (not email or each.email.lower() == email)
            and search in text
        )

    rows = [each for each in call.world.customers.values() if meets(each)]
    rows.sort(key=lambda each: (SORT[by](each), each.id), reverse=direction == "desc")
    return params.page(call.request, call.route, rows, lambda each: customer_body(call.world, each))


async def read(call: Call) -> web.Response:
    """Read one customer."""
    call.may("view", "Sorry, you cannot view this resource.")
    customer = call.world.customers.get(call.number("id"))
    if customer is None:
        raise unknown_resource()
    return web.json_response(customer_body(call.world, customer))


async def create(call: Call) -> web.Response:
    """Make a customer: email, first_name, last_name, billing."""
    call.may("create", "Sorry, you are not allowed to create resources.")
    fields = await call.body()
    if not fields.get("email"):
        raise missing_params(["email"])
    names = {name: fields[name] for name in ("first_name", "last_name") if name in fields}
    try:
        made = Shopkeeper(call.world).add_customer(
            str(fields["email"]), billing=fields.get("billing", {}), **names
        )
    except ValueError as error:
        code = "registration-error-email-exists"
        raise RestError(400, code, str(error)) from error
    response = web.json_response(customer_body(call.world, made), status=201)
    response.headers["Location"] = call.address(f"/wc/v3/customers/{made.id}")
    return response

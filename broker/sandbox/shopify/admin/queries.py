"""The queries of the Admin API. Functions take GraphQL's `info`, which the library hands them."""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLError

from broker.sandbox.shopify.admin.access import Call
from broker.sandbox.shopify.admin.nodes import (
    customer_node,
    gid,
    number_of,
    order_node,
    subscription_node,
    version_node,
)
from broker.sandbox.shopify.admin.paging import connection
from broker.sandbox.shopify.admin.search import Readers, Term, matches, parse, unknown_fields
from broker.sandbox.shopify.store.records import Customer, Order
from broker.sandbox.shopify.world import DAY_S

WINDOW_S = 60 * DAY_S

ORDER_FIELDS: Readers = {
    "id": lambda order: order.id,
    "name": lambda order: order.name,
    "email": lambda order: order.email or "",
    "created_at": lambda order: float(order.created_at),
    "updated_at": lambda order: float(order.updated_at),
    "processed_at": lambda order: float(order.created_at),
    "financial_status": lambda order: order.financial,
    "fulfillment_status": lambda order: order.fulfillment,
    "status": lambda order: "open" if order.cancelled_at is None else "cancelled",
    "test": lambda order: order.test,
    "customer_id": lambda order: order.customer_id or 0,
    "tag": lambda order: order.tags,
}
CUSTOMER_FIELDS: Readers = {
    "id": lambda customer: customer.id,
    "email": lambda customer: customer.email or "",
    "phone": lambda customer: customer.phone or "",
    "first_name": lambda customer: customer.first_name or "",
    "last_name": lambda customer: customer.last_name or "",
    "created_at": lambda customer: float(customer.created_at),
    "updated_at": lambda customer: float(customer.updated_at),
    "customer_date": lambda customer: float(customer.created_at),
    "tag": lambda customer: customer.tags,
}
SORT: dict[str, Callable[[Any], Any]] = {
    "CREATED_AT": lambda row: int(row.created_at),
    "PROCESSED_AT": lambda row: int(row.created_at),
    "UPDATED_AT": lambda row: int(row.updated_at),
    "ORDER_NUMBER": lambda row: row.number,
    "ID": lambda row: row.id,
}


class Queries:
    """`QueryRoot` for one call."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def root(self) -> dict[str, Any]:
        """The fields by their names."""
        return {
            "shop": self.shop,
            "currentAppInstallation": self.installation,
            "publicApiVersions": lambda _info: [
                version_node(self._call, each) for each in self._call.world.levers.versions
            ],
            "order": self.order,
            "orders": self.orders,
            "ordersCount": self.orders_count,
            "customer": self.customer,
            "customers": self.customers,
            "webhookSubscription": self.subscription,
            "webhookSubscriptions": self.subscriptions,
        }

    def shop(self, _info: Any) -> dict[str, Any]:
        """The shop."""
        shop = self._call.shop
        seen = {order.rate.currency for order in shop.orders.values()}
        minutes = abs(shop.offset_minutes)
        sign = "-" if shop.offset_minutes < 0 else "+"
        return {
            "id": gid("Shop", shop.id),
            "name": shop.name,
            "email": shop.email,
            "contactEmail": shop.email,
            "myshopifyDomain": shop.domain,
            "url": f"https://{shop.domain}",
            "primaryDomain": {
                "id": gid("Domain", shop.id),
                "host": shop.domain,
                "sslEnabled": True,
                "url": f"https://{shop.domain}",
            },
            "currencyCode": shop.currency,
            "enabledPresentmentCurrencies": sorted({shop.currency, *seen}),
            "ianaTimezone": shop.timezone,
            "timezoneOffset": f"{sign}{minutes // 60:02}{minutes % 60:02}",
            "timezoneOffsetMinutes": shop.offset_minutes,
            "plan": {
                "displayName": shop.plan,
                "publicDisplayName": shop.plan,
                "partnerDevelopment": shop.plan == "Development",
                "shopifyPlus": shop.plan == "Shopify Plus",
            },
            "createdAt": self._call.world.timestamp(shop.created_at),
        }

    def installation(self, _info: Any) -> dict[str, Any]:
        """The calling app with its granted scopes."""
        app = self._call.app
        return {
            "id": gid("AppInstallation", self._call.shop.id),
            "app": {
                "id": gid("App", self._call.shop.id),
                "apiKey": app.client_id,
                "title": app.name,
            },
            "accessScopes": [
                {"handle": scope, "description": scope.replace("_", " ").capitalize()}
                for scope in self._call.access.scopes
            ],
        }

    def order(self, _info: Any, id: str) -> dict[str, Any] | None:  # noqa: A002  # GraphQL's name
        """One order."""
        self._may("read_orders", "order", "Order")
        number = number_of(id, "Order")
        if number is None:
            raise GraphQLError("Invalid global id", extensions={"code": "argumentLiteralsInvalid"})
        found = next((each for each in self._visible() if each.id == number), None)
        return None if found is None else order_node(self._call, found)

    def orders(self, _info: Any, **arguments: Any) -> dict[str, Any]:
        """Orders by search, in order, a page at a time."""
        self._may("read_orders", "orders", "Order")
        rows = self._found("orders", self._visible(), arguments.pop("query", None), ORDER_FIELDS)
        return self._page(rows, lambda order: order_node(self._call, order), arguments)

    def orders_count(self, _info: Any, **arguments: Any) -> dict[str, Any]:
        """How many orders a search finds."""
        self._may("read_orders", "ordersCount", "Order")
        rows = self._found("ordersCount", self._visible(), arguments.get("query"), ORDER_FIELDS)
        limit = arguments.get("limit")
        if limit is not None and len(rows) > limit:
            return {"count": limit, "precision": "AT_LEAST"}
        return {"count": len(rows), "precision": "EXACT"}

    def customer(self, _info: Any, id: str) -> dict[str, Any] | None:  # noqa: A002
        """One customer."""
        self._may("read_customers", "customer", "Customer")
        found = self._call.shop.customers.get(number_of(id, "Customer") or 0)
        return None if found is None else customer_node(self._call, found)

    def customers(self, _info: Any, **arguments: Any) -> dict[str, Any]:
        """Customers by search."""
        self._may("read_customers", "customers", "Customer")
        every = list(self._call.shop.customers.values())
        rows = self._found("customers", every, arguments.pop("query", None), CUSTOMER_FIELDS)
        return self._page(rows, lambda each: customer_node(self._call, each), arguments)

    def subscription(self, _info: Any, id: str) -> dict[str, Any] | None:  # noqa: A002
        """One subscription of the app."""
        number = number_of(id, "WebhookSubscription")
        for each in self._call.world.webhooks.of(self._call.app, self._call.shop):
            if each.id == number:
                return subscription_node(self._call, each)
        return None

    def subscriptions(self, _info: Any, **arguments: Any) -> dict[str, Any]:
        """The subscriptions that the app made here."""
        topics, uri = arguments.pop("topics", None), arguments.pop("uri", None)
        uri = arguments.pop("callbackUrl", None) or uri
        rows = [
            each
            for each in self._call.world.webhooks.of(self._call.app, self._call.shop)
            if (topics is None or each.topic in topics) and uri in {None, each.uri}
        ]
        return self._page(rows, lambda each: subscription_node(self._call, each), arguments)

    def _may(self, scope: str, name: str, kind: str) -> None:
        self._call.require(scope, name)
        self._call.require_data(kind)

    def _visible(self) -> list[Order]:
        """The orders that the token reaches: of 60 days, unless it has `read_all_orders`."""
        call, every = self._call, list(self._call.shop.orders.values())
        if not call.world.levers.sixty_days or "read_all_orders" in call.access.scopes:
            return every
        return [each for each in every if each.created_at >= call.world.now() - WINDOW_S]

    def _found(
        self, name: str, rows: list[Any], query: str | None, readers: Readers
    ) -> list[Order | Customer | Any]:
        try:
            terms: list[Term] = parse(query or "")
            found = [row for row in rows if matches(row, terms, readers, _text)]
        except ValueError as error:
            raise GraphQLError(str(error), extensions={"code": "BAD_REQUEST"}) from error
        unknown = unknown_fields(terms, readers)
        if unknown:
            warnings = [
                {"field": each, "message": "Invalid search field for this query."}
                for each in unknown
            ]
            self._call.searches.append({"path": [name], "query": query, "warnings": warnings})
        return found

    def _page(
        self, rows: list[Any], node: Callable[[Any], Any], arguments: dict[str, Any]
    ) -> dict[str, Any]:
        by = SORT[arguments.get("sortKey", "ID")]
        names = ("first", "last", "after", "before", "reverse")
        page = {name: arguments[name] for name in names if name in arguments}
        return connection(rows, node, lambda row: (by(row), row.id), **page)


def _text(row: Any) -> str:
    names = ("name", "email", "first_name", "last_name", "phone")
    return " ".join(str(getattr(row, name, None) or "") for name in names)

"""Orders of Shopify's Admin API. Amounts are shop money; what the buyer saw is left out.

Source: https://shopify.dev/docs/api/admin-graphql/2026-10/objects/Order.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from broker.crm.partners import PartnerCalls, PartnerUser, understood
from broker.domain.runs import RetryLater
from broker.errors import InputRefused, ScopesMissing
from broker.recipes.orders.port import (
    Buyer,
    ShopOrder,
    State,
    UnreadableOrder,
    readable,
    readable_all,
)

TARGET = "/admin/api/2026-10/graphql.json"

FIELDS = """legacyResourceId name email phone test processedAt updatedAt cancelledAt currencyCode
 displayFinancialStatus
 totalPriceSet { shopMoney { amount } } currentTotalPriceSet { shopMoney { amount } }
 netPaymentSet { shopMoney { amount } }
 customer { id firstName lastName defaultEmailAddress { emailAddress }
  defaultPhoneNumber { phoneNumber } }
 billingAddress { firstName lastName company phone }"""

ORDER = f"query($id: ID!) {{ order(id: $id) {{ {FIELDS} }} }}"

CHANGED = f"""query($first: Int!, $after: String, $query: String!) {{
 orders(first: $first, after: $after, query: $query, sortKey: UPDATED_AT) {{
  nodes {{ {FIELDS} }} pageInfo {{ hasNextPage endCursor }} }} }}"""

SHOP = """query { shop { currencyCode }
 currentAppInstallation { accessScopes { handle } } }"""

SHOWN = timedelta(days=60)
"""How far back Shopify shows orders to an app without `read_all_orders`."""

PAGE = 20
"""Orders asked for at once: such a query stays far below the 1,000 points that one may cost."""

WON = frozenset({"PAID", "PARTIALLY_REFUNDED"})
LOST = frozenset({"VOIDED", "EXPIRED", "REFUNDED"})
STOPPED = {
    402: "The shop's plan is not paid, so that Shopify answers nothing. Pay it, then retry.",
    404: "There is no such shop any more.",
    423: "Shopify has locked the shop. Have its owner ask Shopify's support, then retry.",
    430: "Shopify refuses the shop's calls for its security. Ask Shopify's support, then retry.",
}


class Shopify:
    """The adapter for Shopify."""

    provider = "shopify"
    poll_s = 60.0

    @understood
    async def read(self, calls: PartnerCalls, user: PartnerUser, order_id: str) -> ShopOrder | None:
        """One query; it costs some points of the shop's budget."""
        variables = {"id": f"gid://shopify/Order/{order_id}"}
        node = (await self._query(calls, user, ORDER, variables))["order"]
        return None if node is None else readable(_order, node, order_id)

    @understood
    async def changed_since(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, cursor: str | None
    ) -> tuple[Sequence[ShopOrder | UnreadableOrder], str | None]:
        """Orders of the last 60 days, unless the app may read all."""
        moment = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        variables = {"first": PAGE, "after": cursor, "query": f"updated_at:>='{moment}'"}
        found = (await self._query(calls, user, CHANGED, variables))["orders"]
        page = found["pageInfo"]
        after = page["endCursor"] if page["hasNextPage"] else None
        return readable_all(_order, found["nodes"], "legacyResourceId"), after

    @understood
    async def currency(self, calls: PartnerCalls, user: PartnerUser) -> str | None:
        """The currency of shop money, in which all amounts are."""
        found = await self._query(calls, user, SHOP, {})
        return str(found["shop"]["currencyCode"])

    @understood
    async def history_note(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, now: datetime
    ) -> str | None:
        """Shopify leaves out old orders without a word."""
        if since >= now - SHOWN:
            return None
        installed = (await self._query(calls, user, SHOP, {}))["currentAppInstallation"]
        if "read_all_orders" in {each["handle"] for each in installed["accessScopes"]}:
            return None
        return (
            "Shopify shows this app the orders of the last 60 days only. For older ones ask "
            "Shopify for the scope read_all_orders, have the user connect again, then start again."
        )

    async def _query(
        self, calls: PartnerCalls, user: PartnerUser, query: str, variables: Mapping[str, Any]
    ) -> Any:
        # A query travels as POST, which the proxy takes for a write.
        body = {"query": query, "variables": variables}
        answer = await calls.send(user, "POST", TARGET, body)
        if answer.status >= 300:
            reason = STOPPED.get(answer.status, f"Shopify answered {answer.status}.")
            raise InputRefused(reason)
        return read_data(answer.payload)

    def order_in(self, topic: str, payload: Mapping[str, Any]) -> str | None:
        kind = topic.partition("/")[0]
        if kind not in {"orders", "refunds"}:
            return None
        found = payload.get("order_id") if kind == "refunds" else payload.get("id")
        return str(found) if isinstance(found, int) else None


def read_data(payload: Any) -> Any:
    """The data of an answer. Raises ScopesMissing, RetryLater and InputRefused for its errors:
    Shopify answers 200 with them, and with a part of the data.
    """
    errors = payload.get("errors") if isinstance(payload, dict) else None
    if errors:
        codes = {_code(each) for each in errors} if isinstance(errors, list) else set()
        if "THROTTLED" in codes:
            raise RetryLater(2, "throttled")
        if "ACCESS_DENIED" in codes:
            raise ScopesMissing(
                "Shopify does not let this connection read orders. Add the scopes read_orders and "
                "read_customers (and access to protected customer data) to the app, have the user "
                "connect again, then retry."
            )
        raise InputRefused("Shopify refused the query for orders.")
    return payload["data"]


def _order(node: Mapping[str, Any]) -> ShopOrder:
    customer, address = node["customer"] or {}, node["billingAddress"] or {}
    email = node["email"] or (customer.get("defaultEmailAddress") or {}).get("emailAddress")
    phone = node["phone"] or (customer.get("defaultPhoneNumber") or {}).get("phoneNumber")
    return ShopOrder(
        id=node["legacyResourceId"],
        name=node["name"],
        updated_at=node["updatedAt"],
        placed_at=node["processedAt"],
        currency=node["currencyCode"],
        total=_money(node["totalPriceSet"]),
        current=_money(node["currentTotalPriceSet"]),
        net=_money(node["netPaymentSet"]),
        state=_state(node["displayFinancialStatus"], cancelled=node["cancelledAt"] is not None),
        financial=node["displayFinancialStatus"],
        is_test=node["test"],
        buyer=Buyer(
            email=email.strip().lower() if email else None,
            customer_id=customer["id"].rpartition("/")[2] if customer else None,
            first_name=customer.get("firstName") or address.get("firstName"),
            last_name=customer.get("lastName") or address.get("lastName"),
            phone=phone or address.get("phone"),
            company=address.get("company"),
        ),
    )


def _state(financial: str | None, *, cancelled: bool) -> State | None:
    if cancelled or financial in LOST:
        return "lost"
    if financial is None:
        return None
    return "won" if financial in WON else "open"


def _money(bag: Mapping[str, Any]) -> Decimal:
    return Decimal(str(bag["shopMoney"]["amount"]))


def _code(error: Any) -> str:
    extensions = error.get("extensions") if isinstance(error, dict) else None
    return str(extensions.get("code")) if isinstance(extensions, dict) else ""

"""Orders of WooCommerce's REST API, version 3. Totals are gross whatever the shop's tax settings.

Source: https://woocommerce.github.io/woocommerce-rest-api-docs/#orders.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

from broker.crm.partners import PartnerAnswer, PartnerCalls, PartnerUser, understood
from broker.errors import InputRefused, ScopesMissing
from broker.recipes.orders.port import (
    Buyer,
    ShopOrder,
    State,
    UnreadableOrder,
    readable,
    readable_all,
)

T = TypeVar("T")

TARGET = "/wp-json/wc/v3/orders"
PAGE = 50

WON = frozenset({"processing", "completed"})
OPEN = frozenset({"pending", "on-hold", "failed"})
LOST = frozenset({"cancelled", "refunded"})
"""A failed payment may be tried again. Statuses of plugins count as won once they are paid."""

GONE = frozenset({"trash", "checkout-draft", "auto-draft"})

NOT_BY_CHANGE = (
    "The shop does not list orders by the time of their change. Update WooCommerce to 5.8 or "
    "later, and let no cache of the site answer requests to /wp-json, then retry."
)


class WooCommerce:
    """The adapter for WooCommerce."""

    provider = "woocommerce"
    poll_s = 300.0

    @understood
    async def read(self, calls: PartnerCalls, user: PartnerUser, order_id: str) -> ShopOrder | None:
        answer = await calls.read(user, "GET", f"{TARGET}/{order_id}")
        if answer.status == 404:
            return None
        return readable(read_order, _checked(answer, dict), order_id)

    @understood
    async def changed_since(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, cursor: str | None
    ) -> tuple[Sequence[ShopOrder | UnreadableOrder], str | None]:
        """Pages are counted from the change that was read last, for an order that changes
        meanwhile moves to the end, and would move all after it to the page before. Raises
        InputRefused for a shop that lists others than were asked for: it would never end.
        """
        start, _, number = (cursor or f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%S}|1").partition("|")
        # What is asked for is later than the moment, and seconds are all that a shop knows.
        after = datetime.fromisoformat(start) - timedelta(seconds=1)
        query = urlencode(
            {
                "per_page": PAGE,
                "page": number,
                "orderby": "modified",
                "order": "asc",
                "modified_after": after.isoformat(),
                "dates_are_gmt": "true",
            }
        )
        found = _checked(await calls.read(user, "GET", f"{TARGET}?{query}"), list)
        changes = [
            each["date_modified_gmt"]
            for each in found
            if isinstance(each, dict) and isinstance(each.get("date_modified_gmt"), str)
        ]
        if any(each < after.isoformat() for each in changes):
            raise InputRefused(NOT_BY_CHANGE)
        orders = readable_all(read_order, found, "id")
        if len(found) < PAGE:
            return orders, None
        last = changes[-1] if changes else start
        return orders, f"{start}|{int(number) + 1}" if last <= start else f"{last}|1"

    @understood
    async def currency(self, calls: PartnerCalls, user: PartnerUser) -> str | None:
        """That of the newest order: plugins give each order its own."""
        found = _checked(await calls.read(user, "GET", f"{TARGET}?per_page=1"), list)
        return str(found[0]["currency"]) if found else None

    @understood
    async def history_note(
        self, _calls: PartnerCalls, _user: PartnerUser, _since: datetime, _now: datetime
    ) -> str | None:
        """WooCommerce shows every order."""
        return None

    def order_in(self, topic: str, payload: Mapping[str, Any]) -> str | None:
        found = payload.get("id")
        if not topic.startswith("order.") or not isinstance(found, int):
            return None
        return str(found)


def _checked(answer: PartnerAnswer, kind: type[T]) -> T:
    """The JSON of an answer to a read. Raises ScopesMissing and InputRefused."""
    if answer.status in {401, 403}:
        raise ScopesMissing(
            "The shop does not let this key read orders. Have the user connect with an account "
            "that manages the shop, then retry."
        )
    if answer.status >= 300 or not isinstance(answer.payload, kind):
        raise InputRefused(f"The shop answered {answer.status}.")
    return answer.payload


def read_order(fields: Mapping[str, Any]) -> ShopOrder | None:
    """An order as the API shows it; None for one in the trash, and for a checkout that is not
    an order yet.
    """
    status = fields["status"]
    if status in GONE:
        return None
    total = Decimal(fields["total"])
    refunded = -sum((Decimal(each["total"]) for each in fields["refunds"]), Decimal(0))
    paid = total if fields["date_paid_gmt"] or status in WON else Decimal(0)
    state = _state(status, paid=paid, fully_refunded=refunded > 0 and refunded >= total)
    billing = fields["billing"]
    return ShopOrder(
        id=str(fields["id"]),
        name=f"#{fields['number']}",
        updated_at=f"{fields['date_modified_gmt']}Z",
        placed_at=f"{fields['date_created_gmt']}Z",
        currency=fields["currency"],
        total=total,
        current=total - refunded,
        net=max(paid - refunded, Decimal(0)),
        state=state,
        financial=status,
        is_test=False,
        buyer=Buyer(
            email=(billing["email"] or "").strip().lower() or None,
            customer_id=str(fields["customer_id"]) if fields["customer_id"] else None,
            first_name=billing["first_name"] or None,
            last_name=billing["last_name"] or None,
            phone=billing["phone"] or None,
            company=billing["company"] or None,
        ),
    )


def _state(status: str, *, paid: Decimal, fully_refunded: bool) -> State:
    if status in LOST or fully_refunded:
        return "lost"
    return "won" if status in WON or (paid > 0 and status not in OPEN) else "open"

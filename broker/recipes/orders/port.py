"""What the recipe needs of a shop: an order as it is now. Each shop's words are in an adapter."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from broker.crm.partners import PartnerCalls, PartnerUser
from broker.errors import InputRefused

State = Literal["open", "won", "lost"]


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who bought, as far as the shop says; `customer_id` None: a guest."""

    email: str | None
    customer_id: str | None
    first_name: str | None
    last_name: str | None
    phone: str | None
    company: str | None


@dataclass(frozen=True, slots=True)
class ShopOrder:
    """An order as it is now. Amounts are in `currency`, the shop's: `total` before returns,
    `current` after returns and edits, `net` received less refunded. `placed_at` and `updated_at`
    are moments with an offset. `state` and `financial` are None where the shop does not say.
    """

    id: str
    name: str
    updated_at: str
    placed_at: str
    currency: str
    total: Decimal
    current: Decimal
    net: Decimal
    state: State | None
    financial: str | None
    is_test: bool
    buyer: Buyer

    @property
    def version(self) -> str:
        """Changes with the order: shops count in seconds, in which an order may change twice."""
        return f"{self.updated_at}/{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"

    @property
    def changed_at(self) -> datetime:
        """By the shop's clock."""
        return datetime.fromisoformat(self.updated_at)


@dataclass(frozen=True, slots=True)
class UnreadableOrder:
    """An order that a shop shows in another form than its API promises: a person has to look at
    it. `version` changes with it.
    """

    id: str
    version: str
    message: str


def readable(
    read: Callable[[Any], ShopOrder | None], shown: Any, order_id: object
) -> ShopOrder | None:
    """An order as `read` makes it. Raises InputRefused for what cannot be one: extensions of shops
    change what an API shows.
    """
    try:
        order = read(shown)
        if order is None:
            return None
        moments = [datetime.fromisoformat(each) for each in (order.updated_at, order.placed_at)]
        amounts = (order.total, order.current, order.net)
        if all(each.is_finite() for each in amounts) and all(each.tzinfo for each in moments):
            return order
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        pass  # what is wrong would show the order, and with it the buyer
    raise InputRefused(
        f"The shop shows the order {str(order_id)[:40]} without its amounts, times or buyer. "
        "Switch off the extension of the shop that changes its API's answers, or correct the order "
        "there, then retry."
    )


def readable_all(
    read: Callable[[Any], ShopOrder | None], shown: Sequence[Any], id_name: str
) -> list[ShopOrder | UnreadableOrder]:
    """The orders of a list, in which one that cannot be read holds up no other. What has no id is
    left out.
    """
    found: list[ShopOrder | UnreadableOrder] = []
    for each in shown:
        order_id = each.get(id_name) if isinstance(each, dict) else None
        if not str(order_id).isdecimal():
            continue
        try:
            order = readable(read, each, order_id)
        except InputRefused as refusal:
            version = f"unreadable/{hashlib.sha256(repr(each).encode()).hexdigest()[:12]}"
            found.append(UnreadableOrder(str(order_id), version, refusal.detail or ""))
        else:
            found += [] if order is None else [order]
    return found


class Shop(Protocol):
    """A kind of shop: `provider` is the provider whose apps connect it, `poll_s` the seconds
    between two looks at what has changed.
    """

    @property
    def provider(self) -> str: ...

    @property
    def poll_s(self) -> float: ...

    async def read(self, calls: PartnerCalls, user: PartnerUser, order_id: str) -> ShopOrder | None:
        """The order, None when the shop has none of this id (it may have been deleted).

        Raises InputRefused and ScopesMissing for what a person has to mend, and what
        `PartnerCalls.read` raises.
        """

    async def changed_since(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, cursor: str | None
    ) -> tuple[Sequence[ShopOrder | UnreadableOrder], str | None]:
        """Some orders that have changed since a moment, oldest change first, and the cursor of the
        next ones, None when these are the last. Some may come twice. Raises as `read`.
        """

    async def currency(self, calls: PartnerCalls, user: PartnerUser) -> str | None:
        """The shop's currency; None where it cannot be known yet. Raises as `read`."""

    async def history_note(
        self, calls: PartnerCalls, user: PartnerUser, since: datetime, now: datetime
    ) -> str | None:
        """What a person should know who expects every order since a moment. Raises as `read`."""

    def order_in(self, topic: str, payload: Mapping[str, Any]) -> str | None:
        """The id of the order that a webhook is about; None for other webhooks."""

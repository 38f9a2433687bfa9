"""Compare the orders that were written of late with the shop, a few at a time: what neither a
webhook nor the shop's list of changes reports is found so, above all deletions.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from broker.crm.partners import PartnerCalls
from broker.domain.runs import Consistency, RunRequest
from broker.errors import InputRefused, ProviderTimeout, ProviderUnavailable
from broker.recipes.orders.shop_events import order_request
from broker.recipes.orders.steps import shop_of
from broker.recipes.starts.polling import DuePoll
from broker.stores.recipes.shop_orders import ShopOrders, ShopPlace

log = logging.getLogger(__name__)

UNREAD = (InputRefused, ProviderUnavailable, ProviderTimeout)
"""Refusals that may be about one order: a shop's extension fails on it, for instance."""

EVERY = timedelta(minutes=10)
AT_ONCE = 10
"""How often a shop's orders are compared, and how many: each costs a call."""

WITHIN_S = 10.0
"""After so long no further order is begun: a slow shop must not use up the time of a look."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison found: its state for the next one, and runs for orders that differ."""

    state: Mapping[str, Any]
    runs: Sequence[RunRequest]


class Comparison:
    """Goes through the orders of a shop by their ids, and begins again at the end. The state holds
    `after` (the id compared last), `at`, `compared` and `equal`.
    """

    def __init__(
        self, partners: PartnerCalls, written: ShopOrders, within_s: float = WITHIN_S
    ) -> None:
        self._partners = partners
        self._written = written
        self._within_s = within_s

    async def go_on(
        self, due: DuePoll, place: ShopPlace, state: Mapping[str, Any] | None
    ) -> Compared:
        """Compare the next orders, where it is time to; one that cannot be read is not equal.
        Raises as `Shop.read`, but not what `UNREAD` holds.
        """
        if state is None:  # nothing was written before the first look
            return Compared({"after": "", "at": due.started_at.isoformat()}, ())
        if due.started_at - datetime.fromisoformat(state["at"]) < EVERY:
            return Compared(state, ())
        rows = await self._written.page(place, state["after"], AT_ONCE)
        runs, unread, shop = [], 0, shop_of(due.partner.provider)
        compared, stop_at = 0, time.monotonic() + self._within_s
        for order_id, version in rows:
            if compared and time.monotonic() > stop_at:
                break
            compared += 1
            try:
                order = await shop.read(self._partners, due.partner, order_id)
            except UNREAD as refusal:  # one order must not hold up the look at all others
                fields = {"account": due.partner.account_id, "order": order_id}
                log.warning("order_not_compared", extra={**fields, "reason": refusal.code})
                unread += 1
                continue
            now = f"deleted:{version}" if order is None else order.version
            if now != version:
                runs.append(
                    order_request(due.app_id, due.user, due.partner, order_id, now, reported=True)
                )
        following = {
            "after": "" if compared == len(rows) < AT_ONCE else rows[compared - 1][0],
            "at": due.started_at.isoformat(),
            "compared": compared,
            "equal": compared - len(runs) - unread,
        }
        return Compared(following, runs)


def consistency_of(cursors: Sequence[Mapping[str, Any]]) -> Consistency | None:
    """The last comparisons of all users' shops together."""
    states = [each["checked"] for each in cursors if each.get("checked", {}).get("compared")]
    if not states:
        return None
    return Consistency(
        sum(each["compared"] for each in states),
        sum(each["equal"] for each in states),
        max(datetime.fromisoformat(each["at"]) for each in states),
    )

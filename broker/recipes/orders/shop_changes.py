"""Orders that have changed since the last look, of which perhaps no webhook has come: a poll."""

from datetime import datetime, timedelta

from broker.crm.object_types import DEALS
from broker.crm.partners import PartnerCalls
from broker.crm.records import CrmRecords
from broker.errors import InputRefused
from broker.recipes.orders.comparison import Comparison
from broker.recipes.orders.models import KEY, OrdersSettings
from broker.recipes.orders.port import ShopOrder
from broker.recipes.orders.shop_events import order_request
from broker.recipes.orders.steps import PAUSE_S, shop_of
from broker.recipes.settings import RecipeSetup
from broker.recipes.starts.polling import DuePoll, PollResult
from broker.stores.recipes.shop_orders import ShopOrders, ShopPlace

OVERLAP = timedelta(minutes=5)
"""How far a look goes back before the newest change of the one before: an order may be found by its
time of change only some time after it.
"""

SKEW = timedelta(hours=1)
"""How far behind a shop's clock may be. The newest change tells, until it is that old."""

PER_PAGE_S, LONGEST_S = 10.0, 900.0
"""After a look of many pages the next one, which may read some of them again, comes later."""


class ShopChanges:
    """Looks at shops. The cursor holds `since`, within a look of many pages the `page`, and as
    `checked` how far the orders written before were compared.
    """

    def __init__(
        self,
        setup: RecipeSetup[OrdersSettings],
        partners: PartnerCalls,
        crm: CrmRecords,
        written: ShopOrders,
    ) -> None:
        self._setup = setup
        self._partners = partners
        self._crm = crm
        self._written = written
        self._comparison = Comparison(partners, written)

    async def look(self, due: DuePoll) -> PollResult:
        """One page of orders, and runs for those whose deal does not show this version yet,
        also for one that cannot be read: its run says so.
        """
        user, partner = due.user, due.partner
        settings = (await self._setup.of_app(user.workspace_id, due.app_id)).model
        shop, cursor = shop_of(partner.provider), due.cursor or {}
        if due.cursor is None and KEY not in await self._crm.reader(user).definitions(DEALS):
            # Every run would fail. Nothing is lost: the first look begins where it would have.
            raise InputRefused("Run the recipe's setup for this user.")
        since = datetime.fromisoformat(cursor["since"]) if cursor else due.begins_at
        orders, page = await shop.changed_since(self._partners, partner, since, cursor.get("page"))
        assert user.hub_id is not None  # noqa: S101  # a poll is of two accounts
        place = ShopPlace(user.workspace_id, due.app_id, user.hub_id, partner.account_id)
        written = await self._written.versions(place, [order.id for order in orders])
        runs = [
            order_request(due.app_id, user, partner, order.id, order.version, reported=True)
            for order in orders
            if not (isinstance(order, ShopOrder) and order.is_test and settings.skipTest)
            and written.get(order.id, ("", ""))[0] != order.version
        ]
        seen = [each.changed_at for each in orders if isinstance(each, ShopOrder)]
        if "newest" in cursor:
            seen.append(datetime.fromisoformat(cursor["newest"]))
        pages = cursor.get("pages", 0) + 1
        if page is not None:
            newest = max([since, *seen]).isoformat()
            going = {"since": since.isoformat(), "page": page, "pages": pages, "newest": newest}
            return PollResult({**cursor, **going}, PAUSE_S, runs)
        horizon = due.started_at - SKEW
        newest_change = max([since, horizon, *(each - OVERLAP for each in seen)])
        # A change of the future, by a wrong clock or an import, must not hide those until then.
        following = min(newest_change, due.started_at)
        again = min(shop.poll_s + PER_PAGE_S * (pages - 1), LONGEST_S)
        compared = await self._comparison.go_on(due, place, cursor.get("checked"))
        done = {"since": following.isoformat(), "checked": compared.state}
        return PollResult(done, again, [*runs, *compared.runs])

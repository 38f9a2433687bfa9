"""Which version of a shop's order each deal shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from broker.stores.core.database import Database
from broker.stores.core.queries import sql


@dataclass(frozen=True, slots=True)
class ShopPlace:
    """A shop as one HubSpot account sees it, for one app."""

    workspace_id: UUID
    app_id: UUID
    hub_id: int
    shop: str


class ShopOrders:
    """Versions of orders, by shop and order. A row is written after the deal and deleted when a
    write fails, so it may be missing, and an order is written again; it is not newer than the deal.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def versions(
        self, place: ShopPlace, order_ids: Sequence[str]
    ) -> dict[str, tuple[str, str]]:
        """The versions of those of the orders that were written, with their deals' ids."""
        rows = await self._database.fetch(
            sql.versions_of_shop_orders, *_key(place), list(order_ids)
        )
        return {row["order_id"]: (row["version"], row["deal_id"]) for row in rows}

    async def page(self, place: ShopPlace, after: str, limit: int) -> list[tuple[str, str]]:
        """Orders after one by their ids, with the versions that were written."""
        rows = await self._database.fetch(sql.page_of_shop_orders, *_key(place), after, limit)
        return [(row["order_id"], row["version"]) for row in rows]

    async def record(self, place: ShopPlace, order_id: str, version: str, deal_id: str) -> None:
        """A deal shows this version of its order."""
        await self._database.execute(
            sql.record_shop_order, *_key(place), order_id, version, deal_id
        )

    async def discard(self, place: ShopPlace, order_id: str) -> None:
        """It is not known which version of an order its deal shows."""
        await self._database.execute(sql.discard_shop_order, *_key(place), order_id)

    async def purge(self) -> int:
        """Delete some of the versions that no poll finds any more; how many."""
        return await self._database.purge(sql.purge_shop_orders)


def _key(place: ShopPlace) -> tuple[UUID, UUID, int, str]:
    return place.workspace_id, place.app_id, place.hub_id, place.shop

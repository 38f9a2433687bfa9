"""A shop to look at: one order of every kind."""

from broker.sandbox.shopify.store.kinds import KINDS, place
from broker.sandbox.shopify.store.merchant import Merchant
from broker.sandbox.shopify.store.records import Shop
from broker.sandbox.shopify.world import Shopify


def plant(world: Shopify, name: str = "acme") -> Shop:
    """Open a shop and place orders in it."""
    shop = world.add_shop(name)
    merchant = Merchant(world, shop)
    for kind in KINDS:
        place(merchant, kind)
    first = next(iter(shop.orders.values()))
    merchant.refund(first, lines=[(first.lines[0].id, 1)])
    return shop

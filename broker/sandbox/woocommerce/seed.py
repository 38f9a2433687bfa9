"""A site to look at: one order of every kind, and a refund."""

from broker.sandbox.woocommerce.store.shopkeeper import KINDS, Shopkeeper
from broker.sandbox.woocommerce.world import WooCommerce


def plant(world: WooCommerce) -> None:
    """Place orders."""
    people = Shopkeeper(world)
    orders = [people.place(kind) for kind in KINDS]
    people.refund(orders[0], "10.00", "One mug was broken")

"""When the orders recipe starts by itself, in a sentence."""

from broker.recipes.addresses import StartRule
from broker.recipes.orders.models import OrdersSettings


def starts(_settings: OrdersSettings) -> StartRule:
    """Shops are looked at whatever the settings say."""
    return StartRule(
        "Starts by itself when an order is placed or changed at a connected shop: once each time, "
        "so one order has several runs."
    )

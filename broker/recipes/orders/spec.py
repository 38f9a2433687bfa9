"""What the catalog takes of the orders recipe."""

from broker.recipes.base import RecipeSpec
from broker.recipes.orders.models import (
    NAME,
    VERSION,
    OrderRequest,
    OrderResponse,
    OrdersSettings,
)
from broker.recipes.orders.recipe import OrdersRecipe

ORDERS = RecipeSpec(
    name=NAME,
    version=VERSION,
    title="Orders",
    settings=OrdersSettings,
    start=OrderRequest,
    response=OrderResponse,
    build=OrdersRecipe,
    polled_app=lambda settings: settings.shopApp,
)

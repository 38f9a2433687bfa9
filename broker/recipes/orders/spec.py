"""What the catalog takes of the orders recipe."""

from pathlib import Path

from broker.recipes.addresses import ConsolePanel
from broker.recipes.base import RecipeSpec
from broker.recipes.orders.console import views
from broker.recipes.orders.console.starts import starts
from broker.recipes.orders.models import (
    NAME,
    VERSION,
    OrderRequest,
    OrderResponse,
    OrdersSettings,
    check_settings,
)
from broker.recipes.orders.recipe import OrdersRecipe
from broker.recipes.orders.steps import SHOPS

ORDERS = RecipeSpec(
    name=NAME,
    version=VERSION,
    title="Orders",
    settings=OrdersSettings,
    start=OrderRequest,
    response=OrderResponse,
    build=OrdersRecipe,
    check_settings=check_settings,
    polled_app=lambda settings: settings.shopApp,
    panel=ConsolePanel(
        "Orders",
        Path(__file__).parent / "templates",
        views.ROUTES,
        views.views,
        starts,
        tuple(SHOPS),
    ),
)

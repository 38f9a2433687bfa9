"""Orders in the console: start a run, see each run's steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.runs import PanelWords, RunPages
from broker.recipes.orders.console.settings_views import OrdersSettingsViews
from broker.recipes.orders.models import NAME, OrderRequest
from broker.recipes.orders.recipe import OrdersRecipe
from broker.web.console.base import ConsoleBase


class OrdersRunViews(RunPages):
    """`/console/orders`, but for its settings."""

    words = PanelWords(
        NAME,
        "Orders",
        "Brings the orders of a Shopify or WooCommerce shop to HubSpot as deals with their "
        "contacts, and keeps them up to date.",
        "Bring over orders",
        {
            "read-order": "Read the order at the shop",
            "write-records": "Write the deal, its contact and their association",
        },
        {
            "wouldWrite": "Would be written",
            "amount": "Amount",
            "currency": "Currency",
            "skipped": "Would not be written",
        },
    )
    start_model = OrderRequest

    def start_body(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        fields = super().start_body(form)
        if "since" in fields:  # the browser's field has no zone; its label says UTC
            fields["since"] = f"{fields['since']}Z"
        return fields

    def subject(self, run: RunRecord) -> str:
        """Such as "Order 1001 of acme.example", or "Orders of acme.example since ..."."""
        _, _, place = run.subject.partition("-")
        shop, since, moment = place.partition(":since:")
        if since:
            return f"Orders of {shop} since {moment}"
        shop, _, order_id = place.partition("@")[0].rpartition(":")
        return f"Order {order_id} of {shop}"


ROUTES = (
    Route("GET", "", OrdersRunViews, "index"),
    Route("POST", "", OrdersRunViews, "start"),
    Route("GET", "/run", OrdersRunViews, "show"),
    Route("POST", "/retry", OrdersRunViews, "retry"),
    Route("POST", "/dismiss", OrdersRunViews, "dismiss"),
    Route("GET", "/settings", OrdersSettingsViews, "show"),
    Route("POST", "/settings", OrdersSettingsViews, "put"),
    Route("POST", "/remove", OrdersSettingsViews, "remove"),
    Route("POST", "/prepare", OrdersSettingsViews, "setup"),
    Route("POST", "/check", OrdersSettingsViews, "check"),
)


def views(console: ConsoleBase, recipe: OrdersRecipe, recipes: Recipes) -> Sequence[object]:
    """The panel's pages."""
    return (
        OrdersRunViews(console, recipe, recipes),
        OrdersSettingsViews(console, recipe, recipes),
    )

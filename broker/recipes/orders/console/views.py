"""Orders in the console: start a run, see each run's steps."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.effects import Effect, refused_effect
from broker.recipes.console.runs import USER_HINT, PanelWords, RunPages
from broker.recipes.orders.console.settings_views import OrdersSettingsViews
from broker.recipes.orders.models import NAME, OrderRequest
from broker.recipes.orders.recipe import OrdersRecipe
from broker.web.console.base import ConsoleBase
from broker.web.console.times import format_time


class OrdersRunViews(RunPages):
    """`/console/orders`, but for its settings."""

    words = PanelWords(
        NAME,
        "Orders",
        "Brings the orders of a Shopify or WooCommerce shop to HubSpot as deals with their "
        "contacts, and keeps them up to date.",
        "recipes/orders",
        "Bring over orders",
        "read-order",
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
        {
            "userForeignIdentifier": USER_HINT,
            "orderId": "Type an order id, or a moment since which orders have changed, not both. "
            "An order id is a number, for example 5123456789; it stands in the address of the "
            "order's page at the shop.",
            "since": "Choose a day and a time, for example 2026-11-01 00:00.",
            "dryRun": "A preview is of one order: type an order id.",
        },
    )
    start_model = OrderRequest

    def start_body(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        fields = super().start_body(form)
        if "since" in fields:  # the browser's field has no zone; its label says UTC
            fields["since"] = f"{fields['since']}Z"
        return fields

    def subject(self, run: RunRecord) -> str:
        """Such as "Order 1001 of acme.example, as of 2026-11-28 10:00:00", or "Orders of
        acme.example since ...".
        """
        _, _, place = run.subject.partition("-")
        shop, since, moment = place.partition(":since:")
        if since:
            return f"Orders of {shop} since {moment}"
        order, _, version = place.partition("@")
        shop, _, order_id = order.rpartition(":")
        return f"Order {order_id} of {shop}{_as_of(version)}"

    def name_in(self, outcome: Mapping[str, Any]) -> str | None:
        """What the shop calls the order, and how far its payment was then: that tells the runs of
        one order apart.
        """
        name, payment = outcome.get("name"), outcome.get("payment")
        if name is None:
            return None
        return f"Order {name}, {payment}" if payment else f"Order {name}"

    def effect_of(self, result: Mapping[str, Any], _settings: Any | None) -> Effect:
        if skipped := result.get("skipped"):
            return Effect("nothing new" if skipped == "unchanged" else "skipped")
        return refused_effect(len(result.get("refused") or ()))


def _as_of(version: str) -> str:
    """Why there is a run for this version of an order: a webhook, else when the shop changed it."""
    if version.startswith("event:"):
        return ", reported by the shop"
    try:
        moment = datetime.fromisoformat(version.partition("/")[0])
    except ValueError:
        return ""
    return f", as of {format_time(moment)}"


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

"""Invoices in the console: start a run, see each run's steps."""

from collections.abc import Sequence

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.runs import PanelWords, RunPages
from broker.recipes.invoices.console.settings_views import InvoicesSettingsViews
from broker.recipes.invoices.models import NAME, InvoiceRequest
from broker.recipes.invoices.recipe import InvoicesRecipe
from broker.web.console.base import ConsoleBase


class InvoicesRunViews(RunPages):
    """`/console/invoices`, but for its settings."""

    words = PanelWords(
        NAME,
        "Invoices",
        "Makes the invoice of a won HubSpot deal in QuickBooks or Xero, once, and shows on "
        "the deal whether it is paid.",
        "Create the invoice",
        {
            "read-deal": "Read the deal and who is billed",
            "create-invoice": "Find or make the customer and the invoice",
            "send-invoice": "E-mail it, if the settings say so",
            "write-back": "Show it on the deal",
        },
        {
            "invoiceId": "The deal's invoice is there",
            "status": "Status",
            "customerId": "Customer that is there",
            "customerCreated": "A customer would be made",
            "currency": "Currency",
            "wouldSend": "Would be sent to the accounting system",
            "wouldWrite": "Would be written in HubSpot",
        },
    )
    start_model = InvoiceRequest

    def subject(self, run: RunRecord) -> str:
        """Such as "Deal 9876543210 of account 101"."""
        hub_id, _, deal_id = run.subject.partition("-")
        return f"Deal {deal_id} of account {hub_id}"


ROUTES = (
    Route("GET", "", InvoicesRunViews, "index"),
    Route("POST", "", InvoicesRunViews, "start"),
    Route("GET", "/run", InvoicesRunViews, "show"),
    Route("POST", "/retry", InvoicesRunViews, "retry"),
    Route("POST", "/dismiss", InvoicesRunViews, "dismiss"),
    Route("GET", "/settings", InvoicesSettingsViews, "show"),
    Route("POST", "/settings", InvoicesSettingsViews, "put"),
    Route("POST", "/remove", InvoicesSettingsViews, "remove"),
    Route("POST", "/prepare", InvoicesSettingsViews, "setup"),
    Route("POST", "/check", InvoicesSettingsViews, "check"),
)


def views(console: ConsoleBase, recipe: InvoicesRecipe, recipes: Recipes) -> Sequence[object]:
    """The panel's pages."""
    return (
        InvoicesRunViews(console, recipe, recipes),
        InvoicesSettingsViews(console, recipe, recipes),
    )

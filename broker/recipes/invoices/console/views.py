"""Invoices in the console: start a run, see each run's steps."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.effects import DONE, Effect
from broker.recipes.console.runs import USER_HINT, PanelWords, RunPages
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
        "recipes/invoices",
        "Create the invoice",
        "read-deal",
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
            "customerCreated": "A customer would be created",
            "currency": "Currency",
            "wouldSend": "Would be sent to the accounting system",
            "wouldWrite": "Would be written in HubSpot",
            "email": "E-mail to",
            "DetailType": "",
            "EmailStatus": "",
            "LineAmountTypes": "",
            "Type": "",
            "PrivateNote": "Note",
            "Reference": "Note",
            "CustomerRef": "Customer",
            "Contact": "Customer",
            "TxnDate": "Date",
            "DocNumber": "Number",
            "InvoiceNumber": "Number",
            "PrimaryEmailAddr": "E-mail",
            "BillEmail": "E-mail",
            "EmailAddress": "E-mail",
            "PrimaryPhone": "Phone",
            "BillAddr": "Address",
            "CountrySubDivisionCode": "State",
            "CurrencyRef": "Currency",
            "CurrencyCode": "Currency",
            "LineItems": "Line",
            "SalesItemLineDetail": "Product",
            "ItemRef": "Item",
            "ItemCode": "Item",
            "AccountCode": "Account",
            "Qty": "Quantity",
            "UnitPrice": "Price",
            "UnitAmount": "Price",
            "LineAmount": "Amount",
            "TaxCodeRef": "Tax code",
            "TaxType": "Tax code",
        },
        {
            "userForeignIdentifier": USER_HINT,
            "dealId": "A deal id is a number, for example 9876543210; it stands in the address of "
            "the deal's page in HubSpot.",
        },
    )
    start_model = InvoiceRequest

    def __init__(self, console: ConsoleBase, recipe: InvoicesRecipe, recipes: Recipes) -> None:
        super().__init__(console, recipe, recipes)
        self._invoices = recipe.invoices

    def name_in(self, outcome: Mapping[str, Any]) -> str | None:
        """The deal's name, else who is billed."""
        draft = outcome["draft"]
        name: str | None = draft.get("deal_name") or draft["buyer"]["name"]
        return name

    def effect_of(self, result: Mapping[str, Any], settings: Any | None) -> Effect:
        if result.get("writtenBack") is False:
            return Effect("done, the deal is gone")
        if settings is not None and settings.sendEmail and not result.get("emailed"):
            return Effect("done, not e-mailed")
        return DONE

    def preview_summary(self, would: Mapping[str, Any]) -> Sequence[str]:
        """The invoice's sum, and who gets it."""
        sent = would["wouldSend"]
        if sent is None:
            return ()
        lines = sent["invoice"].get("Line") or sent["invoice"].get("LineItems")
        total = sum(each.get("Amount", each.get("LineAmount", 0)) for each in lines)
        to = f"It is e-mailed to {sent['email']}." if sent["email"] else "It is not e-mailed."
        return (f"An invoice of {total} {would['currency']}, before tax. {to}",)

    async def states_of(self, workspace_id: UUID, run_ids: list[UUID]) -> Mapping[UUID, Any]:
        return await self._invoices.statuses(workspace_id, run_ids)

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

"""What the catalog takes of the invoices recipe."""

from collections.abc import Sequence
from pathlib import Path

from broker.crm.object_types import DEALS, type_id
from broker.domain.runs import ObjectTrigger
from broker.recipes.addresses import ConsolePanel
from broker.recipes.base import RecipeSpec, WorkflowAction
from broker.recipes.invoices.console import views
from broker.recipes.invoices.console.starts import starts
from broker.recipes.invoices.models import (
    NAME,
    VERSION,
    InvoiceRequest,
    InvoiceResponse,
    InvoicesSettings,
    check_settings,
)
from broker.recipes.invoices.recipe import InvoicesRecipe
from broker.recipes.invoices.steps import BOOKS


def triggers(settings: InvoicesSettings) -> Sequence[ObjectTrigger]:
    """The change of a deal that starts the recipe."""
    rule, deals = settings.trigger, type_id(DEALS)
    if rule is None or deals is None:
        return ()
    return (ObjectTrigger(deals, rule.property, rule.value),)


INVOICES = RecipeSpec(
    name=NAME,
    version=VERSION,
    title="Invoices",
    settings=InvoicesSettings,
    start=InvoiceRequest,
    response=InvoiceResponse,
    build=InvoicesRecipe,
    check_settings=check_settings,
    triggers=triggers,
    polled_app=lambda settings: settings.accountingApp,
    panel=ConsolePanel(
        "Invoices",
        Path(__file__).parent / "templates",
        views.ROUTES,
        views.views,
        starts,
        tuple(BOOKS),
    ),
    action=WorkflowAction(
        DEALS,
        "dealId",
        ("invoiceId", "invoiceNumber", "status", "total", "currency"),
        lambda settings: settings.cards,
    ),
)

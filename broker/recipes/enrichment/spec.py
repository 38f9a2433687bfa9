"""What the catalog takes of the enrichment recipe."""

from pathlib import Path

from broker.crm.object_types import CONTACTS
from broker.recipes.addresses import ConsolePanel
from broker.recipes.base import RecipeSpec, WorkflowAction
from broker.recipes.enrichment.console import views
from broker.recipes.enrichment.console.starts import starts
from broker.recipes.enrichment.models import (
    NAME,
    VERSION,
    EnrichmentRequest,
    EnrichmentResponse,
    EnrichmentSettings,
    check_settings,
    triggers,
)
from broker.recipes.enrichment.recipe import EnrichmentRecipe

ENRICHMENT = RecipeSpec(
    name=NAME,
    version=VERSION,
    title="Enrichment",
    settings=EnrichmentSettings,
    start=EnrichmentRequest,
    response=EnrichmentResponse,
    build=EnrichmentRecipe,
    check_settings=check_settings,
    triggers=triggers,
    action=WorkflowAction(
        object_type=CONTACTS,
        record_field="contactId",
        outputs=("outcome", "reason"),
        allows_cards=lambda settings: settings.cards,
    ),
    panel=ConsolePanel(
        "Enrichment", Path(__file__).parent / "templates", views.ROUTES, views.views, starts
    ),
)

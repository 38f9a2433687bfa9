"""Enrichment in the console: start a run, see each run's steps."""

from collections.abc import Sequence

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.runs import PanelWords, RunPages
from broker.recipes.enrichment.console.settings_views import EnrichmentSettingsViews
from broker.recipes.enrichment.models import NAME, EnrichmentRequest
from broker.recipes.enrichment.recipe import EnrichmentRecipe
from broker.web.console.base import ConsoleBase


class EnrichmentRunViews(RunPages):
    """`/console/enrichment`, but for its settings."""

    words = PanelWords(
        NAME,
        "Enrichment",
        "Asks a data vendor what is known about a HubSpot contact, and fills in the fields "
        "that you choose.",
        "Enrich the contact",
        {
            "read-contact": "Read the contact",
            "look-up": "Ask the vendor, unless its answer is stored",
            "write-contact": "Write what is known onto the contact",
        },
        {
            "wouldLookUp": "Would be asked",
            "wouldWrite": "Would be written",
            "skipped": "Would not be written",
            "confidence": "Confidence",
            "outcome": "Outcome",
        },
    )
    start_model = EnrichmentRequest

    def subject(self, run: RunRecord) -> str:
        """Such as "Contact 512"."""
        contact_id = run.subject.partition("-")[2].partition("@")[0]
        return f"Contact {contact_id or run.subject}"


ROUTES = (
    Route("GET", "", EnrichmentRunViews, "index"),
    Route("POST", "", EnrichmentRunViews, "start"),
    Route("GET", "/run", EnrichmentRunViews, "show"),
    Route("POST", "/retry", EnrichmentRunViews, "retry"),
    Route("POST", "/dismiss", EnrichmentRunViews, "dismiss"),
    Route("GET", "/settings", EnrichmentSettingsViews, "show"),
    Route("POST", "/settings", EnrichmentSettingsViews, "put"),
    Route("POST", "/remove", EnrichmentSettingsViews, "remove"),
    Route("POST", "/prepare", EnrichmentSettingsViews, "setup"),
    Route("POST", "/check", EnrichmentSettingsViews, "check"),
)


def views(console: ConsoleBase, recipe: EnrichmentRecipe, recipes: Recipes) -> Sequence[object]:
    """The panel's pages."""
    return (
        EnrichmentRunViews(console, recipe, recipes),
        EnrichmentSettingsViews(console, recipe, recipes),
    )

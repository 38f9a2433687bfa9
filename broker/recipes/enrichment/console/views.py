"""Enrichment in the console: start a run, see each run's steps."""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.effects import DONE, Effect
from broker.recipes.console.runs import USER_HINT, PanelWords, RunPages
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
        "recipes/enrichment",
        "Enrich the contact",
        "read-contact",
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
            "contactId": "Contact",
            "lookedUp": "The vendor was asked",
            "outcome": "Outcome",
        },
        {
            "userForeignIdentifier": USER_HINT,
            "contactId": "Type a contact id or an e-mail address, not both. A contact id is a "
            "number, for example 226; it stands in the address of the contact's page in HubSpot.",
            "email": "An e-mail address has the form ada@acme.example, as the contact's.",
        },
    )
    start_model = EnrichmentRequest

    def subject(self, run: RunRecord) -> str:
        """Such as "Contact 512"."""
        contact_id = run.subject.partition("-")[2].partition("@")[0]
        return f"Contact {contact_id or run.subject}"

    def name_in(self, outcome: Mapping[str, Any]) -> str | None:
        """The contact's e-mail address."""
        return outcome.get("email")

    def effect_of(self, result: Mapping[str, Any], _settings: Any | None) -> Effect:
        outcome = str(result.get("outcome") or "")
        if outcome == "found":
            return DONE if result.get("written") else Effect("nothing new")
        words = {"not-found": "not found", "later": "no answer yet", "refused": "skipped"}
        return Effect(words.get(outcome, outcome))


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

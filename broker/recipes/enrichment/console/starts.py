"""When the enrichment recipe starts by itself, in a sentence."""

from broker.recipes.addresses import StartRule
from broker.recipes.enrichment.models import EnrichmentSettings


def starts(settings: EnrichmentSettings) -> StartRule:
    """By what the settings' trigger names."""
    trigger, occasions = settings.trigger, []
    if trigger is not None and trigger.creation:
        occasions.append("a contact is created")
    if trigger is not None and trigger.emailChange:
        occasions.append("a contact's e-mail address changes")
    if trigger is not None and trigger.property is not None:
        occasions.append(f"a contact's property {trigger.property} becomes {trigger.value}")
    if not occasions:
        words = "Does not start by itself: nothing that should start it is chosen."
        return StartRule(words, "what starts it")
    return StartRule(f"Starts by itself when {', or when '.join(occasions)}.")

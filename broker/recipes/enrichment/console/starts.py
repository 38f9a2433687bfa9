"""When the enrichment recipe starts by itself, in a sentence."""

from broker.recipes.addresses import StartRule
from broker.recipes.enrichment.models import EnrichmentSettings


def starts(settings: EnrichmentSettings) -> StartRule:
    """By what the settings' trigger names."""
    trigger, occasions, events = settings.trigger, [], []
    if trigger is not None and trigger.creation:
        occasions.append("a contact is created")
        events.append("contact.creation")
    if trigger is not None and trigger.emailChange:
        occasions.append("a contact's e-mail address changes")
        events.append("contact.propertyChange of email")
    if trigger is not None and trigger.property is not None:
        occasions.append(f"a contact's property {trigger.property} becomes {trigger.value}")
        events.append(f"contact.propertyChange of {trigger.property}")
    if not occasions:
        words = "Does not start by itself: nothing that should start it is chosen."
        return StartRule(words, "what starts it")
    words = f"Starts by itself when {', or when '.join(occasions)}."
    return StartRule(words, events=tuple(events))

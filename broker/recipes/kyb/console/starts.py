"""When KYB starts by itself, in a sentence."""

from broker.recipes.addresses import StartRule
from broker.recipes.kyb.models import KybSettings


def starts(settings: KybSettings) -> StartRule:
    """By the company property that the settings name."""
    trigger = settings.trigger
    if trigger is None:
        return StartRule("Does not start by itself: no property is chosen.", "a property")
    return StartRule(
        f"Starts by itself when a company's property {trigger.property} becomes {trigger.value}.",
        events=(f"company.propertyChange of {trigger.property}",),
    )

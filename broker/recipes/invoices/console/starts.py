"""When the invoices recipe starts by itself, in a sentence."""

from collections.abc import Mapping

from broker.recipes.addresses import StartRule
from broker.recipes.invoices.models import InvoicesSettings
from broker.recipes.invoices.recipe import STAGE

STAGES = {
    "appointmentscheduled": "Appointment scheduled",
    "qualifiedtobuy": "Qualified to buy",
    "presentationscheduled": "Presentation scheduled",
    "decisionmakerboughtin": "Decision maker bought-in",
    "contractsent": "Contract sent",
    "closedwon": "Closed won",
    "closedlost": "Closed lost",
}
"""The stages of the pipeline that every HubSpot account begins with, by their ids
(https://developers.hubspot.com/docs/api/crm/pipelines).
"""


def starts(settings: InvoicesSettings, labels: Mapping[str, str] = STAGES) -> StartRule:
    """`labels` are what people call stages, by their ids."""
    trigger = settings.trigger
    if trigger is None:
        return StartRule("Does not start by itself: no stage is chosen.", "a stage")
    events = (f"deal.propertyChange of {trigger.property}",)
    if trigger.property != STAGE:
        words = f"a deal's property {trigger.property} becomes {trigger.value}"
        return StartRule(f"Starts by itself when {words}.", events=events)
    label = labels.get(trigger.value)
    stage = label or f"with the id {trigger.value}"
    return StartRule(f"Starts by itself when a deal reaches the stage {stage}.", events=events)

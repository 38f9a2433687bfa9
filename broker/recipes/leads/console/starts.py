"""When the leads recipe starts by itself, in a sentence."""

from broker.recipes.addresses import StartRule
from broker.recipes.leads.models import LeadsSettings

IN_HUBSPOT_EVENTS = (
    "contact.creation",
    "contact.deletion",
    "contact.propertyChange of each mapped property",
)

IN_HUBSPOT = "a contact is created in HubSpot, or a mapped property of one changes"


def starts(settings: LeadsSettings) -> StartRule:
    """By the direction in which changes go."""
    in_salesforce = (
        f"a lead is created or changed in Salesforce, which is asked every {settings.pollSeconds} "
        "seconds"
    )
    occasions = {
        "both": f"{IN_HUBSPOT}, and when {in_salesforce}",
        "to-salesforce": IN_HUBSPOT,
        "to-hubspot": in_salesforce,
    }
    words = f"Starts by itself when {occasions[settings.direction]}."
    return StartRule(words, events=() if settings.direction == "to-hubspot" else IN_HUBSPOT_EVENTS)

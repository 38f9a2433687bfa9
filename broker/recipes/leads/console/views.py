"""Leads in the console: start a run, see each run's steps."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from broker.domain.runs import RunRecord
from broker.recipes.addresses import Route
from broker.recipes.building import Recipes
from broker.recipes.console.effects import Effect, refused_effect
from broker.recipes.console.runs import USER_HINT, PanelWords, RunPages
from broker.recipes.leads.console.settings_views import LeadsSettingsViews
from broker.recipes.leads.models import NAME, LeadsRequest
from broker.recipes.leads.recipe import LeadsRecipe
from broker.recipes.leads.requests import STEP
from broker.web.console.base import ConsoleBase


class LeadsRunViews(RunPages):
    """`/console/leads`, but for its settings."""

    words = PanelWords(
        NAME,
        "Leads",
        "Keeps HubSpot contacts and Salesforce leads equal in the fields that you map, in one "
        "direction or both.",
        "recipes/leads",
        "Bring a contact and a lead together",
        STEP,
        {"synchronise": "Compare both sides, and write what has changed"},
        {
            "wouldWrite": "Would be written",
            "contactId": "Contact",
            "leadId": "Lead",
            "operation": "Operation",
            "notes": "Notes",
        },
        {
            "userForeignIdentifier": USER_HINT,
            "contactId": "Type one of these: a contact id, a lead id, or a moment since which "
            "records have changed. A contact id is a number, for example 226; it stands in the "
            "address of the contact's page in HubSpot.",
            "leadId": "A lead id begins with 00Q and has 15 or 18 characters; it stands in the "
            "address of the lead's page in Salesforce.",
            "since": "Choose a day and a time, for example 2026-11-01 00:00.",
            "dryRun": "A preview is of one contact or lead: type an id.",
        },
    )
    start_model = LeadsRequest

    def start_body(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        fields = super().start_body(form)
        if "since" in fields:  # the browser's field has no zone; its label says UTC
            fields["since"] = f"{fields['since']}Z"
        else:  # the choice of a side is about a backfill
            fields.pop("side", None)
        return fields

    def subject(self, run: RunRecord) -> str:
        """Such as "Contact 451", or "All leads since ..."."""
        kind, _, rest = run.subject.partition(":")[2].partition(":")
        if kind in {"since", "contacts-since"}:
            records = "leads" if kind == "since" else "contacts"
            return f"All {records} since {datetime.fromisoformat(rest):%Y-%m-%d %H:%M}"
        return f"{kind.capitalize()} {rest.partition('@')[0]}"

    def effect_of(self, result: Mapping[str, Any], _settings: Any | None) -> Effect:
        if "skipped" in result:
            return Effect("nothing done")
        if result.get("operation") == "none":
            return Effect("already equal")
        return refused_effect(len(result.get("refused") or ()))


ROUTES = (
    Route("GET", "", LeadsRunViews, "index"),
    Route("POST", "", LeadsRunViews, "start"),
    Route("GET", "/run", LeadsRunViews, "show"),
    Route("POST", "/retry", LeadsRunViews, "retry"),
    Route("POST", "/dismiss", LeadsRunViews, "dismiss"),
    Route("GET", "/settings", LeadsSettingsViews, "show"),
    Route("POST", "/settings", LeadsSettingsViews, "put"),
    Route("POST", "/remove", LeadsSettingsViews, "remove"),
    Route("POST", "/prepare", LeadsSettingsViews, "setup"),
    Route("POST", "/check", LeadsSettingsViews, "check"),
)


def views(console: ConsoleBase, recipe: LeadsRecipe, recipes: Recipes) -> Sequence[object]:
    """The panel's pages."""
    return (
        LeadsRunViews(console, recipe, recipes),
        LeadsSettingsViews(console, recipe, recipes),
    )

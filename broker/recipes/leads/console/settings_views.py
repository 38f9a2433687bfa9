"""An app's settings of the leads recipe in the console, with the fields that both sides have."""

from typing import Any

from broker.crm.records import HubSpotUser
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.recipes.console.settings import SettingsPages, Stored
from broker.recipes.leads.models import NAME, LeadsSettings, Side, Wins
from broker.recipes.leads.recipe import LeadsRecipe
from broker.recipes.leads.requests import PROVIDER
from broker.web.console.base import form_value

SPARE_ROWS = 3
EMPTY_ROW = {each.value: "" for each in Side} | {"wins": Wins.NEWEST.value}
TEXTS = (
    "salesforceApp",
    "direction",
    "pollSeconds",
    "maxWritesPerHour",
    "backfillShare",
    "onConverted",
)
CHECKED = ("createLeads", "createContacts")


class LeadsSettingsViews(SettingsPages[LeadsRecipe]):
    """`/console/leads/settings`."""

    recipe = NAME
    model = LeadsSettings

    def typed(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """A form as a part of the API's body; a row whose two names are empty is left out."""
        rows = zip(
            form.get("hubspot", []), form.get("salesforce", []), form.get("wins", []), strict=False
        )
        return {
            **{name: form_value(form, name) for name in TEXTS},
            **{name: name in form for name in CHECKED},
            "fields": [
                {
                    Side.HUBSPOT.value: hubspot.strip(),
                    Side.SALESFORCE.value: salesforce.strip(),
                    "wins": wins,
                }
                for hubspot, salesforce, wins in rows
                if hubspot.strip() or salesforce.strip()
            ],
        }

    def shown(self, stored: Stored) -> dict[str, Any]:
        if stored is None:
            return {
                **LeadsSettings(salesforceApp="none").model_dump(mode="json"),
                "salesforceApp": "",
            }
        return dict(stored.model.model_dump(mode="json"))

    async def values(
        self, operator: Operator, _app: App, stored: Stored, user: HubSpotUser | None
    ) -> dict[str, Any]:
        offered, trouble = await self._recipe.offered(
            user, None if stored is None else stored.model
        )
        apps = await self.console.apps(operator)
        return {
            "org_apps": [each.slug for each in apps if each.provider == PROVIDER],
            "trouble": trouble,
            "offered": offered,
            "empty_rows": [EMPTY_ROW] * SPARE_ROWS,
            "rules": list(Wins),
        }

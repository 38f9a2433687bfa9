"""An app's settings of the enrichment recipe in the console, with the account's own properties."""

from typing import Any, get_args

from broker.crm.records import HubSpotUser
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.domain.runs import RetryLater
from broker.errors import BrokerError
from broker.providers.enrichment.base import FIELDS
from broker.providers.enrichment.catalog import VENDORS as BY_NAME
from broker.recipes.console.settings import SettingsPages, Stored
from broker.recipes.enrichment.models import (
    NAME,
    NEVER_WRITTEN,
    EnrichmentSettings,
    VendorName,
    default_fields,
)
from broker.recipes.enrichment.recipe import EnrichmentRecipe
from broker.web.console.base import form_value

EMPTY_ROWS = 3
"""How many properties can be added at a time."""

VENDORS = get_args(VendorName)
POLICIES = {
    "fill": "if it is empty",
    "overwrite": "always",
    "never": "never",
}


class EnrichmentSettingsViews(SettingsPages[EnrichmentRecipe]):
    """`/console/enrichment/settings`."""

    recipe = NAME
    model = EnrichmentSettings

    def typed(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """A form as the API's body; an empty row of the table is none."""
        names, sources, policies = (form.get(name, []) for name in ("property", "source", "policy"))
        fields = {
            name.strip(): {"from": source, "policy": policy}
            for name, source, policy in zip(names, sources, policies, strict=False)
            if name.strip()
        }
        typed: dict[str, Any] = {
            "vendor": form_value(form, "vendor"),
            "fields": fields if names else {n: r.model_dump() for n, r in default_fields().items()},
            "minConfidence": form_value(form, "minConfidence"),
            "dailyBudget": form_value(form, "dailyBudget"),
            "skipFreeMail": "skipFreeMail" in form,
            "cards": "cards" in form,
            "trigger": _trigger(form),
        }
        if key := form_value(form, "apiKey"):
            typed["apiKey"] = key
        return typed

    def shown(self, stored: Stored) -> dict[str, Any]:
        model = EnrichmentSettings(vendor=VENDORS[0]) if stored is None else stored.model
        return dict(model.model_dump(by_alias=True))

    async def values(
        self, _operator: Operator, _app: App, _stored: Stored, user: HubSpotUser | None
    ) -> dict[str, Any]:
        offered, trouble = await self._properties(user)
        return {
            "trouble": trouble,
            "offered": offered,
            "empty_rows": [("", {})] * EMPTY_ROWS,
            "vendors": VENDORS,
            "vendor_titles": {name: BY_NAME[name].title for name in VENDORS},
            "sources": FIELDS,
            "policies": POLICIES,
        }

    async def _properties(self, user: HubSpotUser | None) -> tuple[dict[str, str], str | None]:
        """The contact properties that can be written, by name; and why there are none."""
        if user is None:
            return {}, None
        try:
            defined = await self._recipe.properties_of(user)
        except RetryLater as later:
            return {}, later.reason
        except BrokerError as refusal:
            return {}, refusal.detail or refusal.title()
        return {
            name: str(each.get("label") or name)
            for name, each in sorted(defined.items())
            if name not in NEVER_WRITTEN
            and not each.get("hidden")
            and not (each.get("modificationMetadata") or {}).get("readOnlyValue")
        }, None


def _trigger(form: dict[str, list[str]]) -> dict[str, Any] | None:
    trigger = {
        "creation": "creation" in form,
        "emailChange": "emailChange" in form,
        "property": form_value(form, "trigger.property") or None,
        "value": form_value(form, "trigger.value") or None,
    }
    return trigger if any(trigger.values()) else None

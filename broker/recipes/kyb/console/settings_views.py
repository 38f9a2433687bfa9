"""An app's settings of KYB in the console."""

from typing import Any

from broker.crm.records import HubSpotUser
from broker.domain.browser_sessions import Operator
from broker.domain.model import App
from broker.recipes.api.settings import addresses
from broker.recipes.console.settings import SettingsPages, Stored
from broker.recipes.kyb.models import NAME, READ, WRITTEN, KybSettings
from broker.recipes.kyb.properties import LABELS
from broker.recipes.kyb.recipe import KybRecipe
from broker.web.console.base import form_value

SECRETS = ("clientSecret", "webhookSecret")


class KybSettingsViews(SettingsPages[KybRecipe]):
    """`/console/kyb/settings`."""

    recipe = NAME
    model = KybSettings

    def typed(self, form: dict[str, list[str]]) -> dict[str, Any]:
        """A form as the API's body: what is empty is left out, or null where that has a meaning."""
        limit, hub_id = form_value(form, "callsPerMinute"), form_value(form, "hubId")
        trigger = {name: form_value(form, f"trigger.{name}") for name in ("property", "value")}
        typed: dict[str, Any] = {
            "clientId": form_value(form, "clientId"),
            "properties": {name: form_value(form, f"properties.{name}") for name in READ},
            "writeBack": {name: form_value(form, f"writeBack.{name}") or None for name in WRITTEN},
            "trigger": trigger if any(trigger.values()) else None,
            "sendInvite": "sendInvite" in form,
            "callsPerMinute": int(limit) if limit.isdecimal() and len(limit) < 9 else 0,
            "recordIds": form_value(form, "recordIds") or "company",
            "hubId": hub_id or None,
            "cards": "cards" in form,
        }
        return typed | {name: form_value(form, name) for name in SECRETS if form_value(form, name)}

    def shown(self, stored: Stored) -> dict[str, Any]:
        if stored is None:
            return {**KybSettings(clientId=" ").model_dump(), "clientId": ""}
        return dict(stored.model.model_dump())

    async def values(
        self, _operator: Operator, app: App, stored: Stored, _user: HubSpotUser | None
    ) -> dict[str, Any]:
        spec = next(each for each in self._recipes.specs if each.name == NAME)
        public_url = self._recipe.public_url
        return {
            "has_webhook_secret": stored is not None and "webhookSecret" in stored.secrets,
            "labels": LABELS,
            "addresses": addresses(spec, public_url, app.slug, str(app.workspace_id)),
            "served": None if stored is None else (await self._recipe.shown(app, stored))["hubId"],
        }

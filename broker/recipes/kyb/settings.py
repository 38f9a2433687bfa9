"""What an app wants of the KYB recipe, and the Company properties that it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from broker.crm.companies import CompanyWriter
from broker.domain.model import App, Secret
from broker.domain.runs import RecipeSetting
from broker.errors import RecipeNotFound, wrong_field
from broker.stores.recipes.recipe_settings import RecipeSettings
from broker.stores.recipes.vendors import VendorAccount

KYB = "kyb"
VENDOR = "fml"

READ = {
    "customerEmail": "kyb_contact_email",
    "customerName": "kyb_contact_name",
    "companyName": "name",
    "country": "country",
}
"""What First Mile Labs is sent, and the Company property that it is read from, as FML advises
(https://www.firstmilelabs.com/docs/hubspot)."""

WRITTEN = {
    "caseId": "fml_case_id",
    "status": "fml_case_status",
    "stage": "fml_stage",
    "decision": "fml_decision",
    "lastEventAt": "fml_last_event_at",
}
"""What is written back, and the Company property that shows it."""

LABELS = {
    "customerEmail": "KYB contact e-mail",
    "customerName": "KYB contact name",
    "companyName": "Company name",
    "country": "Country",
    "caseId": "FML case id",
    "status": "FML case status",
    "stage": "FML stage",
    "decision": "FML decision",
    "lastEventAt": "FML last event",
}
OVERLAP = timedelta(hours=24)
"""For how long the webhook secret before the present one is taken too."""


@dataclass(frozen=True, slots=True)
class KybSettings:
    """The recipe's settings, ready to use."""

    app_id: UUID
    client_id: str
    client_secret: Secret
    webhook_secrets: tuple[Secret, ...]
    properties: Mapping[str, str]
    trigger: Mapping[str, str] | None
    send_invite: bool
    write_back: Mapping[str, str | None]
    calls_a_minute: int
    has_webhook_secret: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, kept: RecipeSetting) -> "KybSettings":
        settings, secrets = kept.settings, kept.secrets
        webhook = [secrets[name] for name in ("webhookSecret",) if name in secrets]
        changed = settings.get("webhookSecretChangedAt")
        if changed and datetime.now(UTC) < datetime.fromisoformat(changed) + OVERLAP:
            webhook += [secrets[name] for name in ("previousWebhookSecret",) if name in secrets]
        return cls(
            kept.app_id,
            settings["clientId"],
            secrets["clientSecret"],
            tuple(webhook),
            settings["properties"],
            settings["trigger"],
            settings["sendInvite"],
            settings["writeBack"],
            settings["callsPerMinute"],
            "webhookSecret" in secrets,
            kept.created_at,
            kept.updated_at,
        )

    def account(self, workspace_id: UUID) -> VendorAccount:
        """The client that First Mile Labs counts."""
        return VendorAccount(
            workspace_id, VENDOR, self.client_id, self.client_secret, self.calls_a_minute
        )


class KybSetup:
    """Writes and shows an app's settings, and prepares the user's HubSpot account."""

    def __init__(self, settings: RecipeSettings) -> None:
        self._settings = settings

    async def get(self, app: App) -> KybSettings:
        """Raises RecipeNotFound when the app has no settings for the recipe."""
        return await self.of_app(app.workspace_id, app.id)

    async def of_app(self, workspace_id: UUID, app_id: UUID) -> KybSettings:
        """Raises RecipeNotFound when the app has no settings for the recipe."""
        kept = await self._settings.find(workspace_id, app_id, KYB)
        if kept is None:
            raise RecipeNotFound("The app has no settings for the recipe kyb; put them first.")
        return KybSettings.of(kept)

    async def put(
        self,
        app: App,
        actor: str,
        given: Mapping[str, Any],
        client_secret: Secret | None,
        webhook_secret: Secret | None,
    ) -> KybSettings:
        """Write the settings; a secret that is left out stays. A new webhook secret leaves the one
        before valid for a day. Raises InvalidRequest.
        """
        before = await self._settings.find(app.workspace_id, app.id, KYB)
        secrets = {} if before is None else dict(before.secrets)
        settings = dict(given)
        if before is not None:
            settings["webhookSecretChangedAt"] = before.settings.get("webhookSecretChangedAt")
        if client_secret is not None:
            secrets["clientSecret"] = client_secret
        if "clientSecret" not in secrets:
            raise wrong_field("clientSecret", "is needed the first time")
        if webhook_secret is not None and webhook_secret != secrets.get("webhookSecret"):
            if "webhookSecret" in secrets:
                secrets["previousWebhookSecret"] = secrets["webhookSecret"]
                settings["webhookSecretChangedAt"] = datetime.now(UTC).isoformat()
            secrets["webhookSecret"] = webhook_secret
        trigger = settings["trigger"]
        if trigger is not None and trigger["property"] in settings["writeBack"].values():
            raise wrong_field("trigger.property", "is written by the recipe, which would go round")
        watched = None if trigger is None else (trigger["property"], trigger["value"])
        await self._settings.put(app, actor, KYB, settings, secrets, watched)
        return await self.get(app)

    async def delete(self, app: App, actor: str) -> None:
        """Forget the settings with their secrets. Raises RecipeNotFound."""
        if not await self._settings.delete(app, actor, KYB):
            raise RecipeNotFound

    async def create_properties(
        self, app: App, writer: CompanyWriter
    ) -> tuple[list[str], list[str]]:
        """Make the Company properties that the account lacks: those made, those that were there."""
        settings = await self.get(app)
        wanted = wanted_properties(settings)
        there = await writer.property_names()
        missing = [name for name in wanted if name not in there]
        for name in missing:
            await writer.create_property(wanted[name])
        return missing, [name for name in wanted if name in there]


def wanted_properties(settings: KybSettings) -> dict[str, dict[str, Any]]:
    """The Company properties that the settings name, as HubSpot wants them defined."""
    found: dict[str, dict[str, Any]] = {}
    for field, name in settings.properties.items():
        found[name] = _definition(name, LABELS[field])
    for field, written in settings.write_back.items():
        if written is not None:
            kind = ("datetime", "date") if field == "lastEventAt" else ("string", "text")
            found[written] = _definition(written, LABELS[field], *kind)
    trigger = settings.trigger
    if trigger is not None and trigger["property"] not in found and trigger["value"] == "true":
        yes_no = [
            {"label": label, "value": value, "displayOrder": order, "hidden": False}
            for order, (label, value) in enumerate((("Yes", "true"), ("No", "false")))
        ]
        name = trigger["property"]
        checkbox = _definition(name, "Ready for KYB", "enumeration", "booleancheckbox")
        found[name] = {**checkbox, "options": yes_no}
    return found


def _definition(
    name: str, label: str, kind: str = "string", field_type: str = "text"
) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": kind,
        "fieldType": field_type,
        "groupName": "companyinformation",
    }

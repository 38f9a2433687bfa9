"""The settings of an app, the same for the API, the console and the command line."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from broker.domain.model import App, Confirm, PolicyRule, Secret
from broker.providers.catalog import BY_NAME, DEFAULT
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Registration
from broker.web.api.app_fields import (
    AppId,
    ClientSecret,
    DisplayName,
    Origin,
    PageUrl,
    Policy,
    ProviderName,
    Rule,
    Scopes,
    Slug,
)
from broker.web.api.provider_fields import check_options, check_scopes, check_webhook_secret
from broker.web.core.requests import RequestModel, Text


class AppSettings(RequestModel):
    """The settings of an app besides its credentials."""

    scopes: Scopes = Field(min_length=1)
    optionalScopes: Scopes = Field(default=[])
    returnUrls: list[PageUrl] = Field(default=[], max_length=50)
    origins: list[Origin] = Field(default=[], max_length=50)
    confirm: Confirm = Confirm.AUTO
    pkce: bool = True
    policy: Policy | None = None
    legacySignatures: bool = False
    journal: bool = False
    displayName: DisplayName | None = None
    logoUrl: PageUrl | None = None
    installUrl: PageUrl | None = None
    marketplace: bool = False
    webhookSecret: ClientSecret | None = None
    environment: Text | None = None
    myDomain: Text | None = None
    webhookTopics: Text | None = None


class NewApp(AppSettings):
    """An app as its settings page at the provider shows it; `appId` is HubSpot's."""

    slug: Slug
    provider: ProviderName = DEFAULT
    clientId: Text | None = Field(default=None, validate_default=True)
    clientSecret: ClientSecret | None = Field(default=None, validate_default=True)
    appId: AppId | None = Field(default=None, validate_default=True)

    @field_validator("clientId", "clientSecret", "appId")
    @classmethod
    def _as_the_provider_needs(cls, value: Any, info: ValidationInfo) -> Any:
        spec = BY_NAME.get(info.data.get("provider", ""))
        if spec is None:
            return value
        needs = spec.needs_app_id if info.field_name == "appId" else spec.needs_client
        if needs and value is None:
            raise PydanticCustomError("missing", "Field required")
        if not needs and value is not None:
            raise ValueError(f"{spec.label} apps have none")
        return value


class AppChange(RequestModel):
    """The settings that change; omitted ones keep their values, and so do those that are null
    unless null has a meaning: `policy`, `displayName`, `logoUrl`, `installUrl`, `environment`,
    `myDomain`.
    """

    clientId: Text | None = None
    clientSecret: ClientSecret | None = None
    appId: AppId | None = None
    scopes: Annotated[Scopes, Field(min_length=1)] | None = None
    optionalScopes: Scopes | None = None
    returnUrls: Annotated[list[PageUrl], Field(max_length=50)] | None = None
    origins: Annotated[list[Origin], Field(max_length=50)] | None = None
    confirm: Confirm | None = None
    pkce: bool | None = None
    policy: Policy | None = None
    legacySignatures: bool | None = None
    journal: bool | None = None
    displayName: DisplayName | None = None
    logoUrl: PageUrl | None = None
    installUrl: PageUrl | None = None
    marketplace: bool | None = None
    webhookSecret: ClientSecret | None = None
    environment: Text | None = None
    myDomain: Text | None = None
    webhookTopics: Text | None = None


OPTIONS = ("environment", "myDomain", "webhookTopics")
"""Settings that only some providers' apps have, kept as the app's options."""

SECRETS = {"clientSecret", "webhookSecret"}

NULLABLE = {"policy", "displayName", "logoUrl", "installUrl"}

FIELDS: Mapping[str, str] = {
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "appId": "hubspot_app_id",
    "scopes": "scopes",
    "optionalScopes": "optional_scopes",
    "returnUrls": "return_urls",
    "origins": "origins",
    "confirm": "confirm",
    "pkce": "pkce",
    "policy": "policy",
    "legacySignatures": "legacy_signatures",
    "journal": "journal",
    "displayName": "display_name",
    "logoUrl": "logo_url",
    "installUrl": "install_url",
    "marketplace": "marketplace",
    "webhookSecret": "webhook_secret",
}
"""Each setting's name outside, and in a Registration."""


class RegisteredApp(BaseModel):
    """An app, without its secret."""

    slug: str
    UUID: UUID
    provider: str
    clientId: str
    appId: str | None
    scopes: list[str]
    optionalScopes: list[str]
    returnUrls: list[str]
    origins: list[str]
    confirm: Confirm
    pkce: bool
    policy: list[Rule] | None
    legacySignatures: bool
    journal: bool
    displayName: str | None
    logoUrl: str | None
    installUrl: str | None
    marketplace: bool
    environment: str | None
    myDomain: str | None
    webhookTopics: str | None
    redirectUrl: str
    webhookUrl: str | None
    credentialsRefusedAt: datetime | None
    createdAt: datetime
    updatedAt: datetime


def registration(body: NewApp) -> Registration:
    """What a body registers. Raises InvalidRequest for scopes and options that its provider lacks,
    and for a webhook secret that nothing is signed with.
    """
    check_scopes(body.provider, body.scopes, body.optionalScopes)
    check_webhook_secret(body.provider, body.webhookSecret)
    fields = {field: _stored(getattr(body, name)) for name, field in FIELDS.items()}
    options = {name: getattr(body, name) for name in OPTIONS}
    if body.clientSecret is None:
        fields["client_secret"] = Secret("")
    return Registration(
        **{
            **fields,
            "client_id": body.clientId or "",
            "hubspot_app_id": body.appId or "",
            "provider": body.provider,
            "options": check_options(body.provider, options),
        }
    )


def changed(app: App, body: AppChange) -> Registration:
    """The app's settings with those that a body changes. Raises as `registration`."""
    check_scopes(app.provider, body.scopes or [], body.optionalScopes or [])
    check_webhook_secret(app.provider, body.webhookSecret)
    changes = {
        field: _stored(getattr(body, name))
        for name, field in FIELDS.items()
        if name in body.model_fields_set and (name in NULLABLE or getattr(body, name) is not None)
    }
    options = {name: getattr(body, name) for name in OPTIONS if name in body.model_fields_set}
    if options:
        changes["options"] = check_options(app.provider, {**app.options, **options})
    return replace(Registration.of(app), **changes)


def settings_of(app: App) -> dict[str, Any]:
    """The app's settings by their names outside, without its secret."""
    settings = {
        name: _shown(getattr(app, field)) for name, field in FIELDS.items() if name not in SECRETS
    }
    return settings | {name: app.options.get(name) for name in OPTIONS}


def shown(app: App, installs: Installs) -> RegisteredApp:
    """An app as callers and operators see it."""
    return RegisteredApp(
        slug=app.slug,
        UUID=app.workspace_id,
        provider=app.provider,
        **{**settings_of(app), "appId": app.hubspot_app_id or None},
        redirectUrl=installs.redirect_url(app),
        webhookUrl=installs.webhook_url(app),
        credentialsRefusedAt=app.credentials_refused_at,
        createdAt=app.created_at,
        updatedAt=app.updated_at,
    )


def _stored(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return Secret(value.get_secret_value())
    if isinstance(value, list):
        if value and isinstance(value[0], Rule):
            return tuple(PolicyRule(tuple(rule.methods), rule.path) for rule in value)
        return tuple(dict.fromkeys(value))
    return value


def _shown(value: Any) -> Any:
    if isinstance(value, tuple):
        return [
            {"methods": list(each.methods), "path": each.path}
            if isinstance(each, PolicyRule)
            else each
            for each in value
        ]
    return value

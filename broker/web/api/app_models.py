"""The settings of an app, the same for the API, the console and the command line."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from broker.domain.model import App, Confirm, PolicyRule, Secret
from broker.providers.catalog import BY_NAME, DEFAULT
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Registration
from broker.web.api.provider_fields import check_scopes, check_webhook_secret
from broker.web.core.patterns import Matches
from broker.web.core.requests import RequestModel, Text


def _page_address(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme not in ({"http", "https"} if local else {"https"}) or not parts.hostname:
        raise ValueError("must be an https URL (http only for localhost)")
    if parts.fragment or parts.username or "\\" in url or " " in url:
        raise ValueError("must not contain a fragment, user information, a space or a backslash")
    return url


def _origin(url: str) -> str:
    _page_address(url)
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" != url:
        raise ValueError("must be an origin such as https://product.example, without a path")
    return url


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().isprintable() or " " in value.get_secret_value():
        raise ValueError("must not contain spaces or control characters")
    return value


Scope = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
        "must be a scope as the provider writes it, such as crm.objects.contacts.read",
    ),
]
Slug = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}",
        "must have 1 to 63 letters, digits, hyphens and underscores, and begin with a letter or "
        "digit",
    ),
]
AppId = Annotated[str, Matches(r"[0-9]{1,20}", "must be a number")]
RulePath = Annotated[
    str,
    Matches(r"/[!-~]{0,1023}", "must be a path such as /crm/v3/objects/contacts* (ASCII only)"),
]
Scopes = Annotated[list[Scope], Field(max_length=200)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PageUrl = Annotated[Text, AfterValidator(_page_address)]
Origin = Annotated[Text, AfterValidator(_origin)]
ClientSecret = Annotated[SecretStr, AfterValidator(_secret), Field(min_length=1, max_length=1024)]
DisplayName = Annotated[Text, Field(max_length=100)]


class Rule(RequestModel):
    """Methods and a path pattern that calls may use; `*` stands for anything."""

    methods: list[Method] = Field(min_length=1)
    path: RulePath


Policy = Annotated[list[Rule], Field(max_length=200)]


def _provider(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"must be one of {', '.join(BY_NAME)}")
    return name


ProviderName = Annotated[str, AfterValidator(_provider)]


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
    unless null has a meaning: `policy`, `displayName`, `logoUrl`, `installUrl`.
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
    redirectUrl: str
    webhookUrl: str | None
    credentialsRefusedAt: datetime | None
    createdAt: datetime
    updatedAt: datetime


def registration(body: NewApp) -> Registration:
    """What a body registers. Raises InvalidRequest for scopes that the provider does not have, and
    for a webhook secret that nothing is signed with.
    """
    check_scopes(body.provider, body.scopes, body.optionalScopes)
    check_webhook_secret(body.provider, body.webhookSecret)
    fields = {field: _stored(getattr(body, name)) for name, field in FIELDS.items()}
    if body.clientSecret is None:
        fields["client_secret"] = Secret("")
    return Registration(
        **{
            **fields,
            "client_id": body.clientId or "",
            "hubspot_app_id": body.appId or "",
            "provider": body.provider,
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
    return replace(Registration.of(app), **changes)


def settings_of(app: App) -> dict[str, Any]:
    """The app's settings by their names outside, without its secret."""
    return {
        name: _shown(getattr(app, field)) for name, field in FIELDS.items() if name not in SECRETS
    }


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


def rule_of_text(text: str) -> dict[str, Any]:
    """A policy rule from a line such as `GET,POST /crm/v3/objects/contacts*`, not yet checked."""
    methods, _, path = text.strip().partition(" ")
    return {"methods": methods.upper().split(","), "path": path.strip()}


def text_of_rule(rule: Mapping[str, Any]) -> str:
    """The line that `rule_of_text` reads."""
    return f"{','.join(rule['methods'])} {rule['path']}"


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

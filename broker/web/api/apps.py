"""Registering apps: `/api/apps`."""

from datetime import datetime
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web
from pydantic import AfterValidator, BaseModel, Field, SecretStr

from broker.domain.model import App, Caller, Confirm, PolicyRule, Secret
from broker.errors import NotAllowed, wrong_field
from broker.providers.catalog import BY_NAME, DEFAULT
from broker.services.installs.oauth_flow import Installs
from broker.stores.connections.apps import Apps, Registration
from broker.web.core.openapi import operation
from broker.web.core.requests import RequestModel, Text, path_slug

T = TypeVar("T")


def _page_address(url: str) -> str:
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme not in ({"http", "https"} if local else {"https"}) or not parts.hostname:
        raise ValueError("must be an https URL (http only for localhost)")
    if parts.fragment or parts.username or "\\" in url or " " in url:
        raise ValueError("must hold no fragment, user information, space or backslash")
    return url


def _origin(url: str) -> str:
    _page_address(url)
    parts = urlsplit(url)
    if f"{parts.scheme}://{parts.netloc}" != url:
        raise ValueError("must be an origin such as https://product.example")
    return url


Scope = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
Scopes = Annotated[list[Scope], Field(max_length=200)]
Slug = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
PageUrl = Annotated[Text, AfterValidator(_page_address)]
Origin = Annotated[Text, AfterValidator(_origin)]


class Rule(RequestModel):
    """Methods and a path pattern that calls may use; `*` stands for anything."""

    methods: list[Method] = Field(min_length=1)
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)]


class AppSettings(RequestModel):
    """What can be said about an app besides its credentials."""

    scopes: Scopes = Field(min_length=1)
    optionalScopes: Scopes = Field(default=[])
    returnUrls: list[PageUrl] = Field(default=[], max_length=50)
    origins: list[Origin] = Field(default=[], max_length=50)
    confirm: Confirm = Confirm.AUTO
    pkce: bool = True
    policy: list[Rule] | None = Field(default=None, max_length=200)
    legacySignatures: bool = False
    journal: bool = False


def _provider(name: str) -> str:
    if name not in BY_NAME:
        raise ValueError(f"must be one of {', '.join(BY_NAME)}")
    return name


class NewApp(AppSettings):
    """An app as its settings page at the provider shows it; `appId` is HubSpot's."""

    slug: Slug
    provider: Annotated[str, AfterValidator(_provider)] = DEFAULT
    clientId: Text | None = None
    clientSecret: SecretStr | None = Field(default=None, min_length=1, max_length=1024)
    appId: Annotated[str, Field(pattern=r"^\d{1,20}$")] | None = None
    displayName: Annotated[Text, Field(max_length=100)] | None = None
    logoUrl: PageUrl | None = None
    installUrl: PageUrl | None = None
    marketplace: bool = False


class AppChange(RequestModel):
    """What should be different; what is left out stays."""

    clientId: Text | None = None
    clientSecret: SecretStr | None = Field(default=None, min_length=1, max_length=1024)
    appId: Annotated[str, Field(pattern=r"^\d{1,20}$")] | None = None
    scopes: Scopes | None = Field(default=None, min_length=1)
    optionalScopes: Scopes | None = None
    returnUrls: list[PageUrl] | None = Field(default=None, max_length=50)
    origins: list[Origin] | None = Field(default=None, max_length=50)
    confirm: Confirm | None = None
    pkce: bool | None = None
    policy: list[Rule] | None = Field(default=None, max_length=200)
    legacySignatures: bool | None = None
    journal: bool | None = None
    displayName: Annotated[Text, Field(max_length=100)] | None = None
    logoUrl: PageUrl | None = None
    installUrl: PageUrl | None = None
    marketplace: bool | None = None


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
    webhookUrl: str
    credentialsRefusedAt: datetime | None
    createdAt: datetime
    updatedAt: datetime


class RegisteredApps(BaseModel):
    """All apps of the workspace that the key reaches."""

    apps: list[RegisteredApp]


class AppHandlers:
    """`/api/apps`."""

    def __init__(self, apps: Apps, installs: Installs) -> None:
        self._apps = apps
        self._installs = installs

    @operation("apps", body=NewApp, answers={201: RegisteredApp}, tags=("Apps",))
    async def register(
        self, _request: web.Request, caller: Caller, body: NewApp
    ) -> tuple[int, RegisteredApp]:
        """Register a HubSpot app.

        Paste `redirectUrl` into the app's settings at HubSpot. 409 slug-taken when the workspace
        has an app with this slug.
        """
        slug = body.slug.lower()
        if not caller.can_access_app(slug):
            raise NotAllowed("The API key is limited to other apps.")
        app = await self._apps.register(
            caller.workspace_id, str(caller.key_id), slug, registration(body)
        )
        return 201, self._shown(app)

    @operation("apps", answers={200: RegisteredApps}, tags=("Apps",))
    async def index(self, _request: web.Request, caller: Caller) -> RegisteredApps:
        """List the registered apps, by slug."""
        apps = await self._apps.of_workspace(caller.workspace_id)
        return RegisteredApps(
            apps=[self._shown(app) for app in apps if caller.can_access_app(app.slug)]
        )

    @operation("apps", answers={200: RegisteredApp}, tags=("Apps",))
    async def show(self, request: web.Request, caller: Caller) -> RegisteredApp:
        """Show an app; its slug is compared without case."""
        return self._shown(await self._apps.get(caller.workspace_id, path_slug(request, caller)))

    @operation("apps", body=AppChange, answers={200: RegisteredApp}, tags=("Apps",))
    async def change(self, request: web.Request, caller: Caller, body: AppChange) -> RegisteredApp:
        """Change an app; what is left out stays.

        With a new `clientSecret` the old one stays valid for webhook signatures for 24 hours.
        """
        async with self._apps.lock(caller.workspace_id, path_slug(request, caller)) as held:
            app = await held.change(str(caller.key_id), changed(held.app, body))
        return self._shown(app)

    @operation("apps", answers={204: None}, tags=("Apps",))
    async def remove(self, request: web.Request, caller: Caller) -> web.Response:
        """Remove an app and wipe its connections; HubSpot is told to revoke each grant."""
        async with self._apps.lock(caller.workspace_id, path_slug(request, caller)) as held:
            await held.remove(str(caller.key_id))
        return web.Response(status=204)

    def _shown(self, app: App) -> RegisteredApp:
        rules = app.policy
        return RegisteredApp(
            slug=app.slug,
            UUID=app.workspace_id,
            provider=app.provider,
            clientId=app.client_id,
            appId=app.hubspot_app_id or None,
            scopes=list(app.scopes),
            optionalScopes=list(app.optional_scopes),
            returnUrls=list(app.return_urls),
            origins=list(app.origins),
            confirm=app.confirm,
            pkce=app.pkce,
            policy=None
            if rules is None
            else [Rule.model_validate({"methods": r.methods, "path": r.path}) for r in rules],
            legacySignatures=app.legacy_signatures,
            journal=app.journal,
            displayName=app.display_name,
            logoUrl=app.logo_url,
            installUrl=app.install_url,
            marketplace=app.marketplace,
            redirectUrl=self._installs.redirect_url(app),
            webhookUrl=self._installs.webhook_url(app),
            credentialsRefusedAt=app.credentials_refused_at,
            createdAt=app.created_at,
            updatedAt=app.updated_at,
        )


def registration(body: NewApp) -> Registration:
    """What a body registers. Raises InvalidRequest for what the provider needs or does not have."""
    spec = BY_NAME[body.provider]
    given = {"clientId": body.clientId, "clientSecret": body.clientSecret, "appId": body.appId}
    needed = {"clientId": spec.needs_client, "clientSecret": spec.needs_client}
    needed["appId"] = spec.needs_app_id
    for name, value in given.items():
        if needed[name] and value is None:
            raise wrong_field(name, "Field required")
        if value is not None and not needed[name]:
            raise wrong_field(name, f"is not a setting of {spec.label} apps")
    secret = "" if body.clientSecret is None else body.clientSecret.get_secret_value()
    return Registration(
        provider=spec.name,
        client_id=body.clientId or "",
        client_secret=Secret(secret),
        hubspot_app_id=body.appId or "",
        scopes=tuple(dict.fromkeys(body.scopes)),
        optional_scopes=tuple(dict.fromkeys(body.optionalScopes)),
        return_urls=tuple(body.returnUrls),
        origins=tuple(body.origins),
        confirm=body.confirm,
        pkce=body.pkce,
        policy=_rules(body.policy),
        legacy_signatures=body.legacySignatures,
        journal=body.journal,
        display_name=body.displayName,
        logo_url=body.logoUrl,
        install_url=body.installUrl,
        marketplace=body.marketplace,
    )


def changed(app: App, body: AppChange) -> Registration:
    """The app as it was, with what a body changes."""
    secret = body.clientSecret
    return Registration(
        client_id=or_current(body.clientId, app.client_id),
        client_secret=app.client_secret if secret is None else Secret(secret.get_secret_value()),
        hubspot_app_id=or_current(body.appId, app.hubspot_app_id),
        scopes=tuple(or_current(body.scopes, list(app.scopes))),
        optional_scopes=tuple(or_current(body.optionalScopes, list(app.optional_scopes))),
        return_urls=tuple(or_current(body.returnUrls, list(app.return_urls))),
        origins=tuple(or_current(body.origins, list(app.origins))),
        confirm=or_current(body.confirm, app.confirm),
        pkce=or_current(body.pkce, app.pkce),
        policy=_rules(body.policy) if "policy" in body.model_fields_set else app.policy,
        legacy_signatures=or_current(body.legacySignatures, app.legacy_signatures),
        journal=or_current(body.journal, app.journal),
        display_name=_nullable(body, "displayName", app.display_name),
        logo_url=_nullable(body, "logoUrl", app.logo_url),
        install_url=_nullable(body, "installUrl", app.install_url),
        marketplace=or_current(body.marketplace, app.marketplace),
        options=app.options,
        provider=app.provider,
    )


def _nullable(body: AppChange, name: str, old: str | None) -> str | None:
    """The new value, null among them, where the body names the field."""
    return getattr(body, name) if name in body.model_fields_set else old


def or_current(new: T | None, old: T) -> T:
    """What a change says, or what was there."""
    return old if new is None else new


def _rules(rules: "list[Rule] | None") -> tuple[PolicyRule, ...] | None:
    if rules is None:
        return None
    return tuple(PolicyRule(tuple(rule.methods), rule.path) for rule in rules)

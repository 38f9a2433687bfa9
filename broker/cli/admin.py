"""Commands about workspaces and their apps."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

import typer

from broker.bootstrap.components import Components
from broker.cli.output import Json, as_facts, as_table, confirm
from broker.cli.runtime import echo, emit, fail, with_broker
from broker.domain.model import Confirm
from broker.errors import AppNotFound
from broker.providers.catalog import BY_NAME, DEFAULT
from broker.stores.access.audit import SHELL
from broker.web.api.app_fields import rule_of_text
from broker.web.api.app_models import AppChange, NewApp, changed, registration, shown
from broker.web.core.requests import SLUG, validate

workspaces = typer.Typer(no_args_is_help=True, help="Workspaces: the tenants.")
apps = typer.Typer(no_args_is_help=True, help="Apps of a workspace.")

WorkspaceOption = Annotated[UUID, typer.Option("--workspace", help="The workspace's UUID")]

ALLOW = 'Limit proxied calls, for example "GET,POST /crm/v3/objects/contacts*"; may be repeated'

Texts = list[str] | None
ScopeOption = Annotated[Texts, typer.Option("--scope", help="A scope; repeatable")]
OptionalScopeOption = Annotated[
    Texts, typer.Option("--optional-scope", help="Granted where the plan has it; repeatable")
]
ReturnUrlOption = Annotated[
    Texts, typer.Option("--return-url", help="Where users land after connecting; repeatable")
]
OriginOption = Annotated[
    Texts, typer.Option("--origin", help="A page's origin that shows the button; repeatable")
]
ConfirmOption = Annotated[
    Confirm | None, typer.Option(help="Whether your backend confirms each new connection")
]
PkceOption = Annotated[bool | None, typer.Option(help="Use PKCE (default: yes)")]
AllowOption = Annotated[Texts, typer.Option("--allow", help=ALLOW)]
LegacyOption = Annotated[
    bool | None, typer.Option(help="Accept webhook signatures v1 and v2 (default: no)")
]
JournalOption = Annotated[
    bool | None, typer.Option(help="Read HubSpot's webhooks journal (default: no)")
]
NameOption = Annotated[
    str | None, typer.Option("--display-name", help="The product's name as users see it")
]
LogoOption = Annotated[str | None, typer.Option("--logo-url", help="The product's logo, https")]
InstallOption = Annotated[
    str | None, typer.Option("--install-url", help="Where the product signs a user in")
]
MarketplaceOption = Annotated[
    bool | None, typer.Option(help="Accept installs from HubSpot's Marketplace (default: no)")
]

EnvironmentOption = Annotated[
    str | None, typer.Option(help="Where the provider has several: production, sandbox")
]
DomainOption = Annotated[
    str | None, typer.Option("--my-domain", help="Salesforce: acme.my.salesforce.com")
]


@workspaces.command("create")
def create_workspace(
    name: str,
    same_name: Annotated[
        bool, typer.Option("--same-name", help="Create it even if the name is in use")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a workspace and its first API key, whose secret is shown only once."""

    async def work(broker: Components) -> None:
        same = [each for each in await broker.keys.workspaces() if each.name == name]
        if same and not same_name:
            fail(
                f"there is already a workspace called {name} ({same[0].id}); "
                "choose another name, or pass --same-name"
            )
        workspace, issued = await broker.keys.create_workspace(name)
        secret = issued.client_secret.reveal()
        created = {
            "UUID": str(workspace.id),
            "name": workspace.name,
            "clientId": issued.key.client_id,
            "clientSecret": secret,
            "scopes": list(issued.key.scopes),
        }
        text = as_facts({name: value for name, value in created.items() if name != "scopes"})
        hint = "clientSecret is your API key (KEY in the docs). It is not shown again."
        emit(created, as_json=as_json, text=f"{text}\n{hint}")

    if not name.strip():
        fail("a workspace needs a name")
    with_broker(work)


@workspaces.command("list")
def list_workspaces(as_json: Json = False) -> None:
    """List all workspaces, oldest first."""

    async def work(broker: Components) -> None:
        found = [
            {"UUID": str(each.id), "name": each.name, "createdAt": each.created_at.isoformat()}
            for each in await broker.keys.workspaces()
        ]
        emit({"workspaces": found}, as_json=as_json, text=as_table(found, "no workspaces yet"))

    with_broker(work)


@apps.command("add")
def add_app(
    slug: str,
    workspace: WorkspaceOption,
    scope: Annotated[list[str], typer.Option(help="A scope of the provider's; repeatable")],
    provider: Annotated[str, typer.Option(help=f"One of {', '.join(BY_NAME)}")] = DEFAULT,
    client_id: Annotated[str | None, typer.Option(help="The Client Id at the provider")] = None,
    client_secret: Annotated[str | None, typer.Option(help="Prompted for when omitted")] = None,
    webhook_secret: Annotated[
        str | None, typer.Option(help="Signs the webhooks, where the client secret does not")
    ] = None,
    app_id: Annotated[str | None, typer.Option(help="HubSpot's App Id")] = None,
    environment: EnvironmentOption = None,
    my_domain: DomainOption = None,
    optional_scope: OptionalScopeOption = None,
    return_url: ReturnUrlOption = None,
    origin: OriginOption = None,
    confirm: ConfirmOption = None,
    pkce: PkceOption = None,
    allow: AllowOption = None,
    legacy_signatures: LegacyOption = None,
    journal: JournalOption = None,
    display_name: NameOption = None,
    logo_url: LogoOption = None,
    install_url: InstallOption = None,
    marketplace: MarketplaceOption = None,
    as_json: Json = False,
) -> None:
    """Register an app, HubSpot's unless another provider is named."""
    spec = BY_NAME.get(provider)
    if client_secret is None and spec is not None and spec.needs_client:
        client_secret = typer.prompt("Client secret", hide_input=True)
    fields = {"slug": slug, "provider": provider, **_fields(locals())}

    async def work(broker: Components) -> None:
        body = validate(NewApp, fields)
        await broker.keys.get_workspace(workspace)
        app = await broker.apps.register(workspace, SHELL, body.slug.lower(), registration(body))
        described = shown(app, broker.installs).model_dump(mode="json")
        used = BY_NAME[app.provider]
        text = f"Paste this redirect URL into {used.label}:\n{described['redirectUrl']}"
        if not used.needs_client:
            text = f"There is nothing to register at {used.label}. Make a link for a user next."
        emit(
            described,
            as_json=as_json,
            text=text,
        )

    with_broker(work)


@apps.command("change")
def change_app(
    slug: str,
    workspace: WorkspaceOption,
    client_id: Annotated[str | None, typer.Option(help="HubSpot's Client Id")] = None,
    app_id: Annotated[str | None, typer.Option(help="HubSpot's App Id")] = None,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="Prompt for a new Client Secret")
    ] = False,
    environment: EnvironmentOption = None,
    my_domain: DomainOption = None,
    scope: ScopeOption = None,
    optional_scope: OptionalScopeOption = None,
    return_url: ReturnUrlOption = None,
    origin: OriginOption = None,
    confirm: ConfirmOption = None,
    pkce: PkceOption = None,
    allow: AllowOption = None,
    allow_all: Annotated[
        bool, typer.Option("--allow-all", help="Remove the limit on proxied calls")
    ] = False,
    legacy_signatures: LegacyOption = None,
    journal: JournalOption = None,
    display_name: NameOption = None,
    logo_url: LogoOption = None,
    install_url: InstallOption = None,
    marketplace: MarketplaceOption = None,
    as_json: Json = False,
) -> None:
    """Change an app's settings; omitted ones keep their values."""
    secret = typer.prompt("Client secret", hide_input=True) if new_secret else None
    changes = _fields({**locals(), "client_secret": secret})
    if allow_all:
        changes["policy"] = None
    if not changes:
        fail("nothing to change; see --help for the settings")

    async def work(broker: Components) -> None:
        body = validate(AppChange, changes)
        async with broker.apps.lock(workspace, slug) as locked:
            app = await locked.change(SHELL, changed(locked.app, body))
        described = shown(app, broker.installs).model_dump(mode="json")
        emit(described, as_json=as_json, text=as_facts(described))

    with_broker(work)


@apps.command("list")
def list_apps(workspace: WorkspaceOption, as_json: Json = False) -> None:
    """List the apps of a workspace."""

    async def work(broker: Components) -> None:
        await broker.keys.get_workspace(workspace)
        found = [
            shown(app, broker.installs).model_dump(mode="json")
            for app in await broker.apps.of_workspace(workspace)
        ]
        rows = [{name: app[name] for name in ("slug", "appId", "redirectUrl")} for app in found]
        emit({"apps": found}, as_json=as_json, text=as_table(rows, "no apps yet"))

    with_broker(work)


@apps.command("show")
def show_app(slug: str, workspace: WorkspaceOption, as_json: Json = False) -> None:
    """Show an app, without its secret."""

    async def work(broker: Components) -> None:
        app = await broker.apps.get(workspace, slug)
        described = shown(app, broker.installs).model_dump(mode="json")
        emit(described, as_json=as_json, text=as_facts(described))

    with_broker(work)


@apps.command("remove")
def remove_app(
    slug: str,
    workspace: WorkspaceOption,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Remove an app, delete its connections and revoke their tokens."""

    async def work(broker: Components) -> None:
        if not SLUG.fullmatch(slug):
            raise AppNotFound
        async with broker.apps.lock(workspace, slug) as locked:
            await locked.remove(SHELL)
        while await broker.revoker.revoke_due(10):
            if not as_json:
                echo("revoking ...")
        emit({"slug": slug, "removed": True}, as_json=as_json, text=f"removed {slug}")

    confirm(f"Remove {slug} with all its connections? This cannot be undone.", yes=yes)
    with_broker(work)


_FIELDS = {
    "client_id": "clientId",
    "client_secret": "clientSecret",
    "webhook_secret": "webhookSecret",
    "app_id": "appId",
    "scope": "scopes",
    "optional_scope": "optionalScopes",
    "return_url": "returnUrls",
    "origin": "origins",
    "confirm": "confirm",
    "pkce": "pkce",
    "allow": "policy",
    "legacy_signatures": "legacySignatures",
    "journal": "journal",
    "display_name": "displayName",
    "logo_url": "logoUrl",
    "install_url": "installUrl",
    "marketplace": "marketplace",
    "environment": "environment",
    "my_domain": "myDomain",
}
"""Options of `app add` and `app change`, and the API's fields that they set."""


def _fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of a command set, as the API's fields; omitted ones are left out."""
    found = {
        field: options[option]
        for option, field in _FIELDS.items()
        if options.get(option) is not None
    }
    if "policy" in found:
        found["policy"] = [rule_of_text(text) for text in found["policy"]]
    return found

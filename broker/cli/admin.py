"""Commands about workspaces, keys and apps."""

from typing import Annotated
from uuid import UUID

import typer

from broker.bootstrap.components import Components
from broker.cli.runtime import echo, emit, fail, with_broker
from broker.domain.model import KEY_SCOPES, App, Confirm, Key, PolicyRule, Secret
from broker.stores.connections.apps import Registration
from broker.web.core.requests import SLUG
from broker.web.proxy.handlers import METHODS

workspaces = typer.Typer(no_args_is_help=True, help="Workspaces: the tenants.")
keys = typer.Typer(no_args_is_help=True, help="API keys of a workspace.")
apps = typer.Typer(no_args_is_help=True, help="HubSpot apps of a workspace.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else")]
WorkspaceOption = Annotated[UUID, typer.Option("--workspace", help="The workspace's UUID")]


@workspaces.command("create")
def create_workspace(name: str, as_json: Json = False) -> None:
    """Make a workspace with its first key, whose secret is shown once."""

    async def work(broker: Components) -> None:
        workspace, issued = await broker.keys.create_workspace(name)
        made = {
            "UUID": str(workspace.id),
            "name": workspace.name,
            "clientId": issued.key.client_id,
            "clientSecret": issued.client_secret.reveal(),
            "scopes": list(issued.key.scopes),
        }
        text = "\n".join(f"{name:13}{value}" for name, value in made.items() if name != "scopes")
        emit(made, as_json=as_json, text=f"{text}\nThe secret is not shown again.")

    if not name.strip():
        fail("a workspace needs a name")
    with_broker(work)


@keys.command("create")
def create_key(
    workspace: WorkspaceOption,
    name: Annotated[str, typer.Option(help="What it is for")] = "",
    scope: Annotated[list[str] | None, typer.Option(help="May be repeated; default: all")] = None,
    app: Annotated[list[str] | None, typer.Option(help="Limit to these app slugs")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(help='Limit proxied calls, for example "GET,POST /crm/v3/objects/contacts*"'),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key; its secret is shown once."""
    policy = tuple(_rule(text) for text in allow) if allow else None
    scopes = tuple(dict.fromkeys(scope or KEY_SCOPES))
    if unknown := [each for each in scopes if each not in KEY_SCOPES]:
        fail(f"there is no scope {', '.join(unknown)}; known: {', '.join(KEY_SCOPES)}")
    slugs = tuple(slug.lower() for slug in app) if app else None

    async def work(broker: Components) -> None:
        issued = await broker.keys.create(workspace, name, scopes, slugs, policy)
        made = {**_key(issued.key), "clientSecret": issued.client_secret.reveal()}
        text = "\n".join(f"{name:13}{value}" for name, value in made.items())
        emit(made, as_json=as_json, text=f"{text}\nThe secret is not shown again.")

    with_broker(work)


@keys.command("list")
def list_keys(workspace: WorkspaceOption, as_json: Json = False) -> None:
    """List the keys of a workspace, oldest first."""

    async def work(broker: Components) -> None:
        found = await broker.keys.of_workspace(workspace)
        lines = [
            f"{key.id}  {'revoked' if key.revoked_at else 'live   '}  {key.name or '-'}  "
            f"{','.join(key.scopes)}"
            for key in found
        ]
        emit({"keys": [_key(key) for key in found]}, as_json=as_json, text="\n".join(lines))

    with_broker(work)


@keys.command("revoke")
def revoke_key(key_id: UUID, as_json: Json = False) -> None:
    """End a key; it stops working everywhere within five seconds."""

    async def work(broker: Components) -> None:
        await broker.keys.revoke(key_id)
        emit({"id": str(key_id), "revoked": True}, as_json=as_json, text=f"revoked {key_id}")

    with_broker(work)


@apps.command("add")
def add_app(
    slug: str,
    workspace: WorkspaceOption,
    client_id: Annotated[str, typer.Option()],
    app_id: Annotated[str, typer.Option(help="HubSpot's App Id")],
    scope: Annotated[list[str], typer.Option(help="A scope, as at HubSpot; may be repeated")],
    client_secret: Annotated[
        str, typer.Option(prompt=True, hide_input=True, help="Asked for when left out")
    ],
    optional_scope: Annotated[list[str] | None, typer.Option()] = None,
    return_url: Annotated[list[str] | None, typer.Option()] = None,
    origin: Annotated[list[str] | None, typer.Option()] = None,
    confirm: Annotated[Confirm, typer.Option()] = Confirm.AUTO,
    pkce: Annotated[bool, typer.Option()] = True,
    as_json: Json = False,
) -> None:
    """Register a HubSpot app."""
    if not SLUG.fullmatch(slug):
        fail("a slug has 1 to 63 letters, digits, hyphens and underscores")
    registration = Registration(
        client_id=client_id,
        client_secret=Secret(client_secret),
        hubspot_app_id=app_id,
        scopes=tuple(scope),
        optional_scopes=tuple(optional_scope or ()),
        return_urls=tuple(return_url or ()),
        origins=tuple(origin or ()),
        confirm=confirm,
        pkce=pkce,
        policy=None,
    )

    async def work(broker: Components) -> None:
        app = await broker.apps.register(workspace, "operator", slug.lower(), registration)
        shown = _app(broker, app)
        emit(
            shown,
            as_json=as_json,
            text=f"Paste into HubSpot as redirect URL:\n{shown['redirectUrl']}",
        )

    with_broker(work)


@apps.command("list")
def list_apps(workspace: WorkspaceOption, as_json: Json = False) -> None:
    """List the apps of a workspace."""

    async def work(broker: Components) -> None:
        found = [_app(broker, app) for app in await broker.apps.of_workspace(workspace)]
        lines = [f"{app['slug']:20} {app['appId']:12} {app['redirectUrl']}" for app in found]
        emit({"apps": found}, as_json=as_json, text="\n".join(lines))

    with_broker(work)


@apps.command("show")
def show_app(slug: str, workspace: WorkspaceOption, as_json: Json = False) -> None:
    """Show an app, without its secret."""

    async def work(broker: Components) -> None:
        shown = _app(broker, await broker.apps.get(workspace, slug))
        text = "\n".join(f"{name:22}{value}" for name, value in shown.items())
        emit(shown, as_json=as_json, text=text)

    with_broker(work)


@apps.command("remove")
def remove_app(slug: str, workspace: WorkspaceOption, as_json: Json = False) -> None:
    """Remove an app, wipe its connections and have HubSpot revoke their grants."""

    async def work(broker: Components) -> None:
        async with broker.apps.lock(workspace, slug) as held:
            await held.remove("operator")
        while await broker.revoker.revoke_due(10):
            echo("revoking ...") if not as_json else None
        emit({"slug": slug, "removed": True}, as_json=as_json, text=f"removed {slug}")

    with_broker(work)


def _rule(text: str) -> PolicyRule:
    methods, _, path = text.strip().partition(" ")
    named = tuple(method.strip().upper() for method in methods.split(","))
    if not set(named) <= set(METHODS) or not path.strip().startswith("/"):
        fail(f'a rule is methods and a path, such as "GET,POST /crm/v3/objects/*", not {text!r}')
    return PolicyRule(named, path.strip())


def _key(key: Key) -> dict[str, object]:
    return {
        "id": str(key.id),
        "clientId": key.client_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "apps": None if key.app_slugs is None else list(key.app_slugs),
        "policy": key.policy
        and [{"methods": list(rule.methods), "path": rule.path} for rule in key.policy],
        "createdAt": key.created_at.isoformat(),
        "revokedAt": key.revoked_at and key.revoked_at.isoformat(),
    }


def _app(broker: Components, app: App) -> dict[str, object]:
    return {
        "slug": app.slug,
        "UUID": str(app.workspace_id),
        "clientId": app.client_id,
        "appId": app.hubspot_app_id,
        "scopes": list(app.scopes),
        "optionalScopes": list(app.optional_scopes),
        "returnUrls": list(app.return_urls),
        "origins": list(app.origins),
        "confirm": app.confirm.value,
        "pkce": app.pkce,
        "redirectUrl": broker.installs.redirect_url(app),
        "webhookUrl": broker.installs.webhook_url(app),
        "credentialsRefusedAt": app.credentials_refused_at
        and app.credentials_refused_at.isoformat(),
    }

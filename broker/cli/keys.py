"""Commands about API keys."""

from typing import Annotated, Any
from uuid import UUID

import typer

from broker.bootstrap.components import Components
from broker.cli.admin import ALLOW, WorkspaceOption
from broker.cli.output import Json, as_facts, as_table, confirm, read_secret
from broker.cli.runtime import emit, fail, with_broker
from broker.domain.audit import SHELL
from broker.domain.model import KEY_SCOPES, Key, PolicyRule, Secret
from broker.errors import NotFound
from broker.stores.access.keys import SECRET, TOKEN
from broker.web.api.app_fields import Rule, rule_of_text, text_of_rule
from broker.web.core.requests import validate

keys = typer.Typer(no_args_is_help=True, help="API keys of a workspace.")

Texts = list[str] | None
ScopeOption = Annotated[Texts, typer.Option("--scope", help="May be repeated")]
AppOption = Annotated[Texts, typer.Option("--app", help="Limit to this app; may be repeated")]
AllowOption = Annotated[Texts, typer.Option("--allow", help=ALLOW)]


def _no_secret(name: str | None) -> str | None:
    if name is not None and name.startswith((SECRET, TOKEN)):
        fail(
            "that is a secret, which no command line should hold (others see it, and the shell "
            "remembers it); `broker key find` reads it and prints the key's id"
        )
    return name


KEY_NAME = "The key's UUID, or its client id (bc_...)"
KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help=KEY_NAME, callback=_no_secret)]
KeyOption = Annotated[str | None, typer.Option("--key", help=KEY_NAME, callback=_no_secret)]


@keys.command("create")
def create_key(
    workspace: WorkspaceOption,
    name: Annotated[str, typer.Option(help="What it is for")] = "",
    scope: Annotated[Texts, typer.Option(help="May be repeated; default: all")] = None,
    app: AppOption = None,
    allow: AllowOption = None,
    as_json: Json = False,
) -> None:
    """Create a key; its secret is shown only once."""
    scopes = _scopes(scope) if scope else tuple(KEY_SCOPES)

    async def work(broker: Components) -> None:
        issued = await broker.keys.create(workspace, name, scopes, _slugs(app), _policy(allow))
        created = {**_key(issued.key), "clientSecret": issued.client_secret.reveal()}
        text = f"{as_facts(_readable(created))}\nThe secret is not shown again."
        emit(created, as_json=as_json, text=text)

    with_broker(work)


@keys.command("list")
def list_keys(workspace: WorkspaceOption, as_json: Json = False) -> None:
    """List the keys of a workspace, oldest first."""

    async def work(broker: Components) -> None:
        await broker.keys.get_workspace(workspace)
        found = [_key(key) for key in await broker.keys.of_workspace(workspace)]
        rows = [
            {
                "id": key["id"],
                "client id": key["clientId"],
                "state": "revoked" if key["revokedAt"] else "live",
                **{name: _readable(key)[name] for name in ("name", "scopes", "apps", "policy")},
                "last used": key["lastUsedAt"] or "never",
            }
            for key in found
        ]
        emit({"keys": found}, as_json=as_json, text=as_table(rows, "no keys yet"))

    with_broker(work)


@keys.command("find")
def find_key(as_json: Json = False) -> None:
    """Say which key a secret (bs_...) or an access token (bt_...) is of, such as a leaked one.

    It is asked for without an echo, or read from standard input, and never stands on the command
    line. Keys are found by hash, revoked ones too, over all workspaces.
    """
    secret = read_secret("Secret or access token")

    async def work(broker: Components) -> None:
        key = await broker.keys.find_by_credential(Secret(secret))
        if key is None:
            fail("no key of this broker has this secret; an access token is known for a day")
        found = {"workspace": str(key.workspace_id), **_key(key)}
        emit(found, as_json=as_json, text=as_facts(_readable(found)))

    with_broker(work)


@keys.command("change")
def change_key(
    name_of_key: KeyArgument,
    name: Annotated[str | None, typer.Option(help="What it is for")] = None,
    scope: Annotated[
        Texts, typer.Option("--scope", help="Have these scopes and no others; may be repeated")
    ] = None,
    add_scope: Annotated[
        Texts, typer.Option("--add-scope", help="Have this scope too; may be repeated")
    ] = None,
    remove_scope: Annotated[
        Texts, typer.Option("--remove-scope", help="Lose this scope; may be repeated")
    ] = None,
    app: AppOption = None,
    all_apps: Annotated[bool, typer.Option("--all-apps", help="Lift the limit to apps")] = False,
    allow: AllowOption = None,
    allow_all: Annotated[
        bool, typer.Option("--allow-all", help="Lift the limit on proxied calls")
    ] = False,
    as_json: Json = False,
) -> None:
    """Change a key, whose secret stays; it holds everywhere within five seconds."""
    if scope and (add_scope or remove_scope):
        fail("use --scope, or --add-scope and --remove-scope")
    if (app and all_apps) or (allow and allow_all):
        fail("a limit cannot be set and lifted at once")
    if not any((name is not None, scope, add_scope, remove_scope, app, all_apps, allow, allow_all)):
        fail("nothing to change; see --help")

    def change(key: Key) -> dict[str, Any]:
        scopes = set(_scopes(scope)) if scope else set(key.scopes)
        scopes = (scopes | set(_scopes(add_scope))) - set(_scopes(remove_scope))
        return {
            "name": key.name if name is None else name,
            "scopes": tuple(each for each in KEY_SCOPES if each in scopes),
            "app_slugs": None if all_apps else _slugs(app) or key.app_slugs,
            "policy": None if allow_all else _policy(allow) or key.policy,
        }

    async def work(broker: Components) -> None:
        async with broker.keys.lock(await key_id_of(broker, name_of_key)) as locked:
            changes = change(locked.key)
            if not changes["scopes"]:
                fail("a key needs at least one scope")
            key = await locked.change(SHELL, **changes)
        emit(_key(key), as_json=as_json, text=as_facts(_readable(_key(key))))

    with_broker(work)


@keys.command("revoke")
def revoke_key(
    name_of_key: KeyArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Revoke a key; it stops working everywhere within five seconds."""

    async def work(broker: Components) -> None:
        key_id = await key_id_of(broker, name_of_key)
        await broker.keys.revoke(key_id)
        emit({"id": str(key_id), "revoked": True}, as_json=as_json, text=f"revoked {key_id}")

    confirm(f"Revoke the key {name_of_key}? Programs that use it stop working.", yes=yes)
    with_broker(work)


async def key_id_of(broker: Components, name: str) -> UUID:
    """The id of the key that a UUID or a client id names. Raises NotFound."""
    try:
        return UUID(name)
    except ValueError:
        key = await broker.keys.find_by_client_id(name)
    if key is None:
        raise NotFound("There is no such key.")
    return key.id


def _scopes(scopes: Texts) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(scopes or ()))
    if unknown := [each for each in named if each not in KEY_SCOPES]:
        fail(f"unknown scope {', '.join(unknown)}; known are {', '.join(KEY_SCOPES)}")
    return named


def _slugs(apps: Texts) -> tuple[str, ...] | None:
    return tuple(slug.lower() for slug in apps) if apps else None


def _policy(lines: Texts) -> tuple[PolicyRule, ...] | None:
    if not lines:
        return None
    rules = [validate(Rule, rule_of_text(line)) for line in lines]
    return tuple(PolicyRule(tuple(rule.methods), rule.path) for rule in rules)


def _key(key: Key) -> dict[str, Any]:
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
        "lastUsedAt": key.last_used_at and key.last_used_at.isoformat(),
    }


def _readable(key: dict[str, Any]) -> dict[str, Any]:
    rules = key["policy"]
    return key | {
        "apps": "all" if key["apps"] is None else key["apps"],
        "policy": "any call" if rules is None else "; ".join(map(text_of_rule, rules)),
    }

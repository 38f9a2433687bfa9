"""Commands about the audit log."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from broker.bootstrap.components import Components
from broker.cli.admin import WorkspaceOption
from broker.cli.output import Json, as_table
from broker.cli.runtime import emit, with_broker
from broker.web.api.audit import shown

audit = typer.Typer(no_args_is_help=True, help="Who did what in a workspace.")


@audit.command("list")
def list_entries(
    workspace: WorkspaceOption,
    since: Annotated[datetime | None, typer.Option(help="From this time on (UTC)")] = None,
    actor: Annotated[
        str | None, typer.Option(help="A key's id, or `operator` for the command line")
    ] = None,
    action: Annotated[
        str | None, typer.Option(help="An action, or a family such as `app.*`")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 100,
    as_json: Json = False,
) -> None:
    """List the entries of the audit log, newest first."""

    async def work(broker: Components) -> None:
        await broker.keys.get_workspace(workspace)
        found = await broker.audit.page(
            workspace,
            since=since and since.replace(tzinfo=since.tzinfo or UTC),
            actor=actor,
            action=action,
            limit=limit,
        )
        rows = [
            {
                "at": entry.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "who": entry.actor_name or entry.actor,
                "from": " ".join(filter(None, (entry.via, entry.address))),
                "action": entry.action,
                "app": entry.app_slug,
                "what": entry.user_ref or entry.detail,
            }
            for entry in found
        ]
        entries = [shown(entry).model_dump(mode="json") for entry in found]
        emit({"entries": entries}, as_json=as_json, text=as_table(rows, "no entries"))

    with_broker(work)


@audit.command("verify")
def verify(workspace: WorkspaceOption, as_json: Json = False) -> None:
    """Check that no entry of the audit log was changed, removed or inserted.

    Note the hash of the last entry somewhere else: it proves all entries before it.
    """

    async def work(broker: Components) -> None:
        await broker.keys.get_workspace(workspace)
        verdict = await broker.audit.verify(workspace)
        result = {
            "entries": verdict.entries,
            "broken": verdict.broken,
            "head": verdict.head.hex() or None,
        }
        good = f"{verdict.entries} entries are intact; the last hash is {verdict.head.hex() or '-'}"
        bad = f"BAD entry {verdict.broken} was changed or is missing; the {verdict.entries} before"
        text = good if verdict.broken is None else f"{bad} it are intact"
        emit(result, as_json=as_json, text=text)
        if verdict.broken is not None:
            raise typer.Exit(1)

    with_broker(work)

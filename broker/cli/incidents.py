"""Commands for incidents: connections, reseal."""

import asyncio
import time
from collections import Counter
from typing import Annotated

import typer

from broker.bootstrap.components import Components
from broker.cli.admin import WorkspaceOption
from broker.cli.output import Json, as_facts, as_table, confirm
from broker.cli.runtime import echo, emit, fail, with_broker
from broker.domain.audit import SHELL
from broker.errors import ConnectionNotFound
from broker.web.api.connection_models import shown

connections = typer.Typer(no_args_is_help=True, help="Connections of an app.")

AppOption = Annotated[str, typer.Option("--app", help="The app's slug")]

MAX_PER_SECOND = 10
"""How many connections `revoke --all` ends in a second: well within HubSpot's limits."""


@connections.command("list")
def list_connections(workspace: WorkspaceOption, app: AppOption, as_json: Json = False) -> None:
    """List an app's connections, oldest first."""

    async def work(broker: Components) -> None:
        found, after = await broker.apps.get(workspace, app), 0
        records = []
        while True:
            page = await broker.connections.page(
                found, status=None, account_id=None, after=after, limit=500
            )
            records += page.records
            if page.after is None:
                break
            after = page.after
        rows = [
            {
                "number": record.number,
                "status": record.status.value,
                "account": record.account_id,
                "user": record.user_ref,
            }
            for record in records
        ]
        described = [shown(record).model_dump(mode="json") for record in records]
        text = as_table(rows, "no connections yet")
        emit({"connections": described}, as_json=as_json, text=text)

    with_broker(work)


@connections.command("show")
def show_connection(
    user: str, workspace: WorkspaceOption, app: AppOption, as_json: Json = False
) -> None:
    """Show one user's connection: its state and times, never a token."""

    async def work(broker: Components) -> None:
        record = await broker.connections.find_record(await broker.apps.get(workspace, app), user)
        if record is None:
            raise ConnectionNotFound
        described = shown(record).model_dump(mode="json")
        emit(described, as_json=as_json, text=as_facts(described))

    with_broker(work)


@connections.command("revoke")
def revoke_connections(
    workspace: WorkspaceOption,
    app: AppOption,
    user: Annotated[str | None, typer.Argument(help="One user; or pass --all")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every connection of the app")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    as_json: Json = False,
) -> None:
    """Delete connections and revoke their tokens at HubSpot, at a steady pace.

    It can be interrupted and started again: it continues with what is left. The report says what
    was revoked at HubSpot and what was not.
    """
    if (user is None) != everything:
        fail("give a user, or --all")

    async def work(broker: Components) -> None:
        found = await broker.apps.get(workspace, app)
        outcomes: Counter[str] = Counter()
        users = [user] if user is not None else None
        while users is None or users:
            if users is None:
                page = await broker.connections.users_page(found, 1, 100)
                batch = [record.user_ref for record in page.records if record.user_ref]
                if not batch:
                    break
            else:
                batch, users = users, []
            for each in batch:
                started = time.monotonic()
                outcomes[await broker.connection_admin.delete(found, each, SHELL)] += 1
                if not as_json and outcomes.total() % 100 == 0:
                    echo(f"{outcomes.total()} done ...")
                pause = 1 / MAX_PER_SECOND - (time.monotonic() - started)
                await asyncio.sleep(max(0.0, pause))
        open_ = outcomes["pending"] + outcomes["refused"]
        report = {
            "connections": outcomes.total(),
            "outcomes": dict(outcomes),
            "notRevoked": open_,
        }
        text = "\n".join(
            [f"{outcomes.total()} connections deleted"]
            + [f"  {count} {outcome}" for outcome, count in outcomes.items()]
        )
        emit(report, as_json=as_json, text=text)
        if open_:
            raise typer.Exit(2)

    if everything:
        confirm(f"Delete every connection of {app}? Users have to connect again.", yes=yes)
    with_broker(work)


def reseal(as_json: Json = False) -> None:
    """Re-encrypt every sealed value under the newest key; safe under load, can be resumed."""

    async def work(broker: Components) -> None:
        done = await broker.seals.reseal()
        text = f"{done} values were re-encrypted under the newest key"
        emit({"resealed": done}, as_json=as_json, text=text)

    with_broker(work)

"""Commands for bad days: connections, reseal, doctor."""

import asyncio
import time
from typing import Annotated

import aiohttp
import asyncpg
import typer

from broker.bootstrap.components import Components
from broker.cli.admin import Json, WorkspaceOption
from broker.cli.runtime import (
    Runtime,
    echo,
    emit,
    fail,
    open_components,
    prepare_runtime,
    run,
    with_broker,
)
from broker.errors import BrokerError, ConnectionNotFound
from broker.settings import Settings
from broker.stores.core import migrations
from broker.stores.core.seals import WrongSealingKey
from broker.telemetry.log_setup import configure_logging
from broker.web.api.connections import shown

connections = typer.Typer(no_args_is_help=True, help="Connections of an app.")

AppOption = Annotated[str, typer.Option("--app", help="The app's slug")]

A_SECOND = 10
"""Connections that `revoke --all` ends in a second: well within HubSpot's limits."""


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
        lines = [
            f"{each.number:8} {each.status:16} {each.account_id or '-':>12} {each.user_ref}"
            for each in records
        ]
        told = [shown(record).model_dump(mode="json") for record in records]
        emit({"connections": told}, as_json=as_json, text="\n".join(lines))

    with_broker(work)


@connections.command("show")
def show_connection(
    user: str, workspace: WorkspaceOption, app: AppOption, as_json: Json = False
) -> None:
    """Show one user's connection: facts and times, never a token."""

    async def work(broker: Components) -> None:
        record = await broker.connections.find_record(await broker.apps.get(workspace, app), user)
        if record is None:
            raise ConnectionNotFound
        told = shown(record).model_dump(mode="json")
        text = "\n".join(f"{name:23}{value}" for name, value in told.items())
        emit(told, as_json=as_json, text=text)

    with_broker(work)


@connections.command("revoke")
def revoke_connections(
    workspace: WorkspaceOption,
    app: AppOption,
    user: Annotated[str | None, typer.Argument(help="One user; or give --all")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every connection of the app")] = False,
    as_json: Json = False,
) -> None:
    """Wipe connections and revoke their grants at HubSpot, at a steady pace.

    It can be interrupted and started again: it goes on with what is left. The report says what
    HubSpot has been told and what it has not.
    """
    if (user is None) != everything:
        fail("name one user, or give --all")

    async def work(broker: Components) -> None:
        found = await broker.apps.get(workspace, app)
        report: dict[str, int] = {}
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
                outcome = await broker.connection_admin.delete(found, each, "operator")
                report[outcome] = report.get(outcome, 0) + 1
                if not as_json and sum(report.values()) % 100 == 0:
                    echo(f"{sum(report.values())} done ...")
                await asyncio.sleep(max(0.0, 1 / A_SECOND - (time.monotonic() - started)))
        not_told = sum(
            count for outcome, count in report.items() if outcome in {"pending", "refused"}
        )
        done = {"connections": sum(report.values()), "outcomes": report, "notRevoked": not_told}
        text = "\n".join(
            [f"{done['connections']} connections ended"]
            + [f"  {count} {outcome}" for outcome, count in report.items()]
        )
        emit(done, as_json=as_json, text=text)
        if not_told:
            raise typer.Exit(2)

    with_broker(work)


def reseal(as_json: Json = False) -> None:
    """Re-encrypt every sealed value under the newest key; safe under load, can be resumed."""

    async def work(broker: Components) -> None:
        done = await broker.seals.reseal()
        emit(
            {"resealed": done}, as_json=as_json, text=f"{done} values are under the newest key now"
        )

    with_broker(work)


def doctor(as_json: Json = False) -> None:
    """Check settings, database, schema, keys, clock and reachability, and say what to do."""
    found = prepare_runtime()
    configure_logging(found.settings.log_format)
    checks: dict[str, str] = {"settings": "ok"}

    async def work() -> None:
        await _check_database(found, checks)
        await _check_reach(found.settings, checks)
        _check_address(found.settings, checks)
        text = "\n".join(
            f"{'ok ' if state == 'ok' else 'BAD'} {name}{'' if state == 'ok' else ': ' + state}"
            for name, state in checks.items()
        )
        emit(checks, as_json=as_json, text=text)

    run(work)
    if any(state != "ok" for state in checks.values()):
        raise typer.Exit(1)


async def _check_database(found: Runtime, checks: dict[str, str]) -> None:
    try:
        session = await asyncpg.connect(found.dsn, timeout=5)
        version = session.get_server_version().major
        skew = abs(float(await session.fetchval("SELECT extract(epoch FROM now())")) - time.time())
        lacking = await migrations.missing(session)
        await session.close()
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        checks["database"] = f"{type(error).__name__}: check BROKER_DATABASE_URL and that it runs"
        return
    checks["database"] = "ok" if version >= 15 else f"Postgres {version} is too old; 15 is needed"
    checks["clock"] = "ok" if skew < 5 else f"{skew:.0f} s off the database's; set this clock"
    checks["schema"] = "ok" if not lacking or found.embedded else "behind: run `broker migrate`"
    if checks["schema"] != "ok":
        return
    try:
        async with open_components(found):
            checks["keys"] = "ok"
    except (BrokerError, WrongSealingKey) as error:
        checks["keys"] = f"{error}: put the key that was used before into BROKER_SEALING_KEYS"


async def _check_reach(settings: Settings, checks: dict[str, str]) -> None:
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for name, url in (("HubSpot", settings.hubspot_api_url), ("FML", settings.fml_url)):
            try:
                async with session.get(url, allow_redirects=False) as response:
                    checks[name] = "ok" if response.status < 500 else f"answers {response.status}"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                checks[name] = f"{type(error).__name__}: allow connections to {url}"


def _check_address(settings: Settings, checks: dict[str, str]) -> None:
    public = settings.public_url
    local = public.startswith(("http://localhost", "http://127.0.0.1"))
    secure = public.startswith("https://") or local
    checks["public URL"] = "ok" if secure else "BROKER_PUBLIC_URL must be https for HubSpot"

"""Commands about the call log."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from broker.bootstrap.components import Components
from broker.cli.admin import WorkspaceOption
from broker.cli.keys import KeyOption, key_id_of
from broker.cli.output import Json, as_table
from broker.cli.runtime import emit, with_broker
from broker.domain.model import App
from broker.stores.proxy.calls import LoggedCall
from broker.web.api.calls import CallQuery, filter_of, shown
from broker.web.core.requests import validate

calls = typer.Typer(no_args_is_help=True, help="The log of proxied calls.")


@calls.command("list")
def list_calls(
    workspace: WorkspaceOption,
    app: Annotated[str | None, typer.Option(help="Of this app only; default: all apps")] = None,
    request_id: Annotated[
        str | None, typer.Option(help="The broker's or the provider's; other filters are ignored")
    ] = None,
    user: Annotated[str | None, typer.Option(help="For this user")] = None,
    key: KeyOption = None,
    status: Annotated[str | None, typer.Option(help="Such as 404, or 5xx for a class")] = None,
    error: Annotated[str | None, typer.Option(help="One of the broker's codes")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this time on (UTC)")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 100,
    as_json: Json = False,
) -> None:
    """List proxied calls, newest first, of apps that were not removed."""

    async def work(broker: Components) -> None:
        named = {
            "requestId": request_id,
            "userForeignIdentifier": user,
            "keyId": None if key is None else str(await key_id_of(broker, key)),
            "status": status,
            "error": error,
            "since": None if since is None else since.replace(tzinfo=since.tzinfo or UTC),
        }
        query = validate(CallQuery, {name: each for name, each in named.items() if each})
        await broker.keys.get_workspace(workspace)
        if app is None:
            apps = await broker.apps.of_workspace(workspace)
        else:
            apps = [await broker.apps.get(workspace, app)]
        found = await _matching(broker, apps, query, limit)
        rows = [
            {
                "at": call.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "status": call.status,
                "error": call.error,
                "app": of.slug,
                "user": call.user_ref,
                "call": f"{call.method} {call.path}",
                "ms": call.ms,
                "request id": call.request_id,
                "key": call.key_id,
            }
            for of, call in found
        ]
        described = [{"app": of.slug, **shown(call).model_dump(mode="json")} for of, call in found]
        emit({"calls": described}, as_json=as_json, text=as_table(rows, "no calls"))

    with_broker(work)


async def _matching(
    broker: Components, apps: list[App], query: CallQuery, limit: int
) -> list[tuple[App, LoggedCall]]:
    """Calls of some apps, newest first, each with its app."""
    if query.requestId is not None:
        return await broker.calls.of_request(apps, query.requestId)
    found = []
    for app in apps:
        wanted = filter_of(query, broker.providers[app.provider])
        page = await broker.calls.page(app, wanted, before=None, limit=limit)
        found += [(app, call) for call in page]
    return sorted(found, key=lambda each: (each[1].at, each[1].id), reverse=True)[:limit]

"""The `broker` command: each subcommand is a few lines over the parts."""

import json
from typing import Annotated

import typer

from broker.cli import admin, incidents, service
from broker.cli.runtime import echo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The broker: connect a product to HubSpot.",
)
app.command()(service.serve)
app.command()(service.work)
app.command()(service.migrate)
app.command()(service.sandbox)
app.command()(incidents.reseal)
app.command()(incidents.doctor)
app.add_typer(admin.workspaces, name="workspace")
app.add_typer(admin.keys, name="key")
app.add_typer(admin.apps, name="app")
app.add_typer(incidents.connections, name="connections")


@app.command("openapi")
def openapi_document(
    public_url: Annotated[str, typer.Option(help="Where it is served")] = "http://localhost:8080",
) -> None:
    """Print the OpenAPI document."""
    from broker.bootstrap.routes import openapi_document  # noqa: PLC0415  # needs no database

    echo(json.dumps(openapi_document(public_url), indent=2))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the walk")] = False,
    port: Annotated[int, typer.Option(help="Where the broker listens; the sandbox is next")] = 8080,
) -> None:
    """Walk the main job for real on this machine, then keep serving."""
    from broker.cli.demo import demo as walk  # noqa: PLC0415  # not in production

    walk(once=once, port=port)

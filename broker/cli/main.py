"""The `broker` command and its subcommands."""

import json
from typing import Annotated

import typer

from broker.cli import admin, audit, calls, doctor, incidents, keys, service
from broker.cli.runtime import echo
from broker.web.core.openapi_document import VERSION

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
app.command()(doctor.doctor)
app.add_typer(admin.workspaces, name="workspace")
app.add_typer(keys.keys, name="key")
app.add_typer(admin.apps, name="app")
app.add_typer(incidents.connections, name="connections")
app.add_typer(calls.calls, name="calls")
app.add_typer(audit.audit, name="audit")


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"broker {VERSION}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    """The broker: connect a product to HubSpot."""


@app.command("openapi")
def openapi_document(
    public_url: Annotated[
        str, typer.Option(help="The address it is served at")
    ] = "http://localhost:8080",
) -> None:
    """Print the OpenAPI document."""
    from broker.bootstrap.routes import openapi_document  # noqa: PLC0415  # needs no database

    echo(json.dumps(openapi_document(public_url), indent=2))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the walk-through")] = False,
    port: Annotated[
        int | None,
        typer.Option(help="The broker's port (default: 8080, or a free one); sandboxes follow"),
    ] = None,
) -> None:
    """Walk through the main job for real on this machine, then keep serving."""
    from broker.cli.demo import demo as walk  # noqa: PLC0415  # not in production

    walk(once=once, port=port)

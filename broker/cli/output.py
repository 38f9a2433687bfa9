"""How commands talk to the person at the terminal, besides lines and JSON."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from broker.cli.runtime import fail

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else")]


def as_facts(values: Mapping[str, Any]) -> str:
    """Names and values, one pair a line."""
    width = max((len(name) for name in values), default=0) + 2
    return "\n".join(f"{name:{width}}{_plain(value)}" for name, value in values.items())


def as_table(rows: Sequence[Mapping[str, Any]], empty: str) -> str:
    """Rows of the same names under a head of them; `empty` when there are none."""
    if not rows:
        return empty
    texts = [{name: _plain(value) for name, value in row.items()} for row in rows]
    widths = {name: max(len(name), *(len(row[name]) for row in texts)) for name in texts[0]}
    lines = [{name: name for name in widths}, *texts]
    return "\n".join(
        "  ".join(f"{row[name]:{width}}" for name, width in widths.items()).rstrip()
        for row in lines
    )


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone. Ends the command on no, and where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{question} There is no terminal to ask on: pass --yes if you mean it")
    typer.confirm(question, abort=True)


def read_secret(label: str) -> str:
    """A secret, typed without an echo or piped in, so that no list of processes shows it."""
    if sys.stdin.isatty():
        return str(typer.prompt(label, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _plain(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(_plain(each) for each in value.values())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return str(value)

"""How commands talk to the person at the terminal, besides lines and JSON."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

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
    """Ask before what cannot be undone, on a terminal. Ends the command on no."""
    if not yes and sys.stdin.isatty():
        typer.confirm(question, abort=True)


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

"""The recipes' sections of the console, made from the catalog."""

from collections.abc import Sequence
from pathlib import Path

from broker.recipes.base import AnySpec
from broker.recipes.building import Recipes
from broker.web.console.base import ConsoleBase, Section
from broker.web.console.routes import View

SCOPES = ("recipes",)


def sections(specs: Sequence[AnySpec]) -> list[Section]:
    """The entries of the console's navigation."""
    return [(each.name, each.panel.label, SCOPES) for each in specs if each.panel is not None]


def template_folders(specs: Sequence[AnySpec]) -> list[Path]:
    """Where the panels' templates are: `console/{recipe}/...` in each."""
    return [each.panel.templates for each in specs if each.panel is not None]


def table(specs: Sequence[AnySpec]) -> list[tuple[str, str, View]]:
    """The panels' addresses below `/console`, and who answers."""
    return [
        (
            route.method,
            f"/{each.name}{route.path}",
            getattr(route.handlers, route.handler),
        )
        for each in specs
        if each.panel is not None
        for route in each.panel.routes
    ]


def views(specs: Sequence[AnySpec], console: ConsoleBase, recipes: Recipes) -> list[object]:
    """One object for each type in the table."""
    return [
        view
        for each in specs
        if each.panel is not None
        for view in each.panel.views(console, recipes.built[each.name], recipes)
    ]

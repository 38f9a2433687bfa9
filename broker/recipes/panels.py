"""The recipes' sections of the console, made from the catalog."""

from collections.abc import Sequence
from pathlib import Path

from broker.recipes.base import AnySpec
from broker.recipes.building import Recipes
from broker.recipes.console.health import SECTION, RecipeHealthViews
from broker.recipes.console.runs import TEMPLATES
from broker.web.console.base import ConsoleBase, Section
from broker.web.console.routes import View

SCOPES = ("recipes",)


def sections(specs: Sequence[AnySpec]) -> list[Section]:
    """The entries of the console's navigation."""
    own = [(each.name, each.panel.label, SCOPES) for each in specs if each.panel is not None]
    return [*own, (SECTION, "Recipe health", SCOPES)]


def template_folders(specs: Sequence[AnySpec]) -> list[Path]:
    """Where the panels' templates are: `console/{recipe}/...` in each, and what they share."""
    own = [each.panel.templates for each in specs if each.panel is not None]
    return [TEMPLATES, *own]


def table(specs: Sequence[AnySpec]) -> list[tuple[str, str, type, str]]:
    """The panels' addresses below `/console`, and who answers: a type and its handler's name."""
    own = [
        (route.method, f"/{each.name}{route.path}", route.handlers, route.handler)
        for each in specs
        if each.panel is not None
        for route in each.panel.routes
    ]
    return [*own, ("GET", f"/{SECTION}", RecipeHealthViews, "show")]


def bound(specs: Sequence[AnySpec], views: Sequence[object]) -> list[tuple[str, str, View]]:
    """The same table with the handlers of these views."""
    by_type = {type(view): view for view in views}
    return [
        (method, path, getattr(by_type[handlers], handler))
        for method, path, handlers, handler in table(specs)
    ]


def views(specs: Sequence[AnySpec], console: ConsoleBase, recipes: Recipes) -> list[object]:
    """One object for each type in the table."""
    own = [
        view
        for each in specs
        if each.panel is not None
        for view in each.panel.views(console, recipes.built[each.name], recipes)
    ]
    return [*own, RecipeHealthViews(console, recipes)]

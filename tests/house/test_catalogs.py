"""A recipe, and a vendor, is a package and a line: counted by who names one."""

import ast
import re
import subprocess
from pathlib import Path

from broker.recipes.catalog import RECIPES

ROOT = Path(__file__).parents[2]

APART = re.compile(r"^(tests|docs|docker|\.ci)/|^broker/sandbox/|^README\.md$|^requirements\.lock$")
"""Tests, documentation, deployment and the fake vendors, which every recipe and vendor brings."""

MIRROR = {"sql/schema.sql"}
"""Says what the migrations say, which a test proves, so that it counts with them."""


def naming(name, *own):
    """Files outside a package's own folders whose text or path names it."""
    word = re.compile(name, re.IGNORECASE)
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = set()
    for file in files:
        path = ROOT / file
        if APART.match(file) or file in MIRROR or file.startswith(own) or not path.is_file():
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if word.search(file) or word.search(text):
            found.add(file)
    return found


def test_a_recipe_touches_at_most_five_files_outside_its_folder():
    assert naming("kyb", "broker/recipes/kyb/") == {
        "broker/recipes/catalog.py",  # the line
        "broker/stores/recipes/kyb_cases.py",  # its own rows
        "sql/queries/recipes/cases.sql",
        "sql/migrations/0001-schema.sql",
        "broker/cli/demo.py",  # the walk that shows it
    }


def test_a_vendor_touches_at_most_five_files_outside_its_folders():
    assert naming("fml", "broker/providers/fml/", "broker/recipes/kyb/") == {
        "broker/settings.py",  # where it is reached
        "broker/cli/demo.py",
        "pyproject.toml",  # which imports are allowed
    }


def test_no_recipe_knows_another():
    folder = ROOT / "broker" / "recipes"
    others = {spec.build.__module__.split(".")[2] for spec in RECIPES}
    known = {
        (file.relative_to(folder).parts[0], name)
        for file in folder.rglob("*.py")
        if file.relative_to(folder).parts[0] in others
        for name in _imported(file)
        if name in others
    }

    assert {pair for pair in known if pair[0] != pair[1]} == set()


def test_nothing_but_the_catalog_names_a_recipe_among_the_shared_modules():
    folder, names = ROOT / "broker" / "recipes", {spec.name for spec in RECIPES}
    shared = [
        file
        for file in folder.rglob("*.py")
        if file.relative_to(folder).parts[0] not in names and file.name != "catalog.py"
    ]

    assert len(shared) >= 15
    assert {
        file.name: name for file in shared for name in names if name in file.read_text().lower()
    } == {}


def test_every_recipe_may_have_limits_of_health():
    assert [each.name for each in RECIPES if "health" not in each.settings.model_fields] == []


def test_a_recipes_name_is_a_path_segment_that_nothing_else_uses():
    names = [spec.name for spec in RECIPES]

    assert len(names) == len(set(names))
    assert "runs" not in names
    assert all(re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name) for name in names)


def _imported(file):
    """The packages of `broker.recipes` that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        for module in modules:
            parts = module.split(".")
            if parts[:2] == ["broker", "recipes"] and len(parts) > 2:
                yield parts[2]

"""Every field of the API is described, and every body has an example that its model accepts."""

import tomllib
from pathlib import Path

import pytest

from broker.bootstrap.routes import URL_TABLE, openapi_document
from broker.recipes.api.table import table
from broker.recipes.catalog import RECIPES
from broker.web.core.openapi import operation_of

ROOT = Path(__file__).parents[2]

DOCUMENT = openapi_document("https://broker.example")
SCHEMAS = DOCUMENT["components"]["schemas"]
ROUTES = [*[(pages, name) for _, _, pages, name in URL_TABLE],
          *[(each.handlers, each.handler) for each in table(RECIPES)]]  # fmt: skip
BODIES = {
    described.body
    for pages, name in ROUTES
    if (described := operation_of(getattr(pages, name))).body is not None
}
FILES = [
    ROOT / "broker/web/api/reference.toml",
    *sorted((ROOT / "broker/recipes").glob("*/reference.toml")),
]


@pytest.mark.parametrize("model", sorted(SCHEMAS))
def test_every_field_says_what_it_means(model):
    fields = SCHEMAS[model].get("properties", {})

    assert [name for name, each in fields.items() if not each.get("description")] == []


def test_every_parameter_says_what_it_means_and_every_body_has_an_example():
    silent = []
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            silent += [
                f"{method} {path} {each['name']}"
                for each in operation["parameters"]
                if not each["description"]
            ]
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is not None and not body["example"]:
                silent.append(f"{method} {path}")

    assert silent == []


@pytest.mark.parametrize("model", sorted(BODIES, key=lambda model: model.__name__))
def test_the_example_of_a_body_is_one_that_its_model_accepts(model):
    found = [tomllib.loads(file.read_text()).get("examples", {}) for file in FILES]
    examples = {name: each for part in found for name, each in part.items()}

    model.model_validate(examples[model.__name__])


def test_nothing_is_described_that_is_not_there():
    """A field that was renamed or removed leaves no description behind."""
    names = {name for schema in SCHEMAS.values() for name in schema.get("properties", {})}
    named = {
        f"{model}.{name}" for model in SCHEMAS for name in SCHEMAS[model].get("properties", {})
    }
    left = []
    for file in FILES:
        read = tomllib.loads(file.read_text())
        left += [each for each in read.get("fields", {}) if each not in names | named]
        left += [each for each in read.get("examples", {}) if each not in SCHEMAS]

    assert left == []

"""Providers are known by the catalog, and nothing else asks which one it has."""

import ast
import tomllib
from pathlib import Path

import pytest

from broker.bootstrap.routes import URL_TABLE
from broker.providers.base import Provider
from broker.providers.catalog import BY_NAME, DEFAULT, PROVIDERS
from broker.web.api.app_models import OPTIONS, AppChange, NewApp

ROOT = Path(__file__).parents[2]

OUTSIDE = [
    module
    for module in sorted((ROOT / "broker").rglob("*.py"))
    if module.relative_to(ROOT / "broker").parts[0] not in {"providers", "sandbox"}
]

EXCEPTIONS = {
    "broker/cli/demo.py": "names the simulated vendors of the sandbox",
}


@pytest.mark.parametrize("module", OUTSIDE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_outside_the_providers_compares_a_providers_name(module):
    compared = {
        constant.value
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Compare | ast.Match | ast.Dict | ast.Subscript)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant) and constant.value in BY_NAME
    }

    assert not compared or str(module.relative_to(ROOT)) in EXCEPTIONS


def test_the_import_contracts_list_every_provider():
    folders = {
        f"broker.providers.{folder.name}"
        for folder in (ROOT / "broker" / "providers").iterdir()
        if (folder / "__init__.py").exists() and folder.name not in {"calls", "transport"}
    }
    contracts = {
        each["name"]: each
        for each in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
            "contracts"
        ]
    }

    assert set(contracts["No provider knows another"]["modules"]) == folders
    by_catalog = contracts["A provider is known by its catalog only"]
    assert set(by_catalog["forbidden_modules"]) == folders


@pytest.mark.parametrize("spec", PROVIDERS, ids=lambda spec: spec.name)
def test_a_provider_has_its_addresses_and_settings(spec):
    paths = {path for _, path, _, _ in URL_TABLE}

    assert f"/api/{spec.name}/auth/{{slug}}" in paths
    assert f"/api/{spec.name}/proxy/{{slug}}" in paths
    assert any(path.startswith(f"/{spec.name}/") and path.endswith("/callback") for path in paths)


def test_an_option_of_a_providers_apps_is_one_of_every_apps_settings():
    assert set(OPTIONS) <= set(NewApp.model_fields) & set(AppChange.model_fields)
    assert set(OPTIONS) >= {name for spec in PROVIDERS for name in spec.app_options}


def test_names_are_path_segments_and_the_default_is_one_of_them():
    assert all(name.isascii() and name.islower() and name.isalnum() for name in BY_NAME)
    assert DEFAULT in BY_NAME


def test_a_provider_says_everything_that_has_no_sensible_default():
    abstract = Provider.__abstractmethods__

    assert abstract == {
        "authorize_url",
        "close",
        "exchange",
        "identify",
        "quota_of",
        "refresh",
        "revoke",
        "send",
        "target_of",
        "template_of",
    }

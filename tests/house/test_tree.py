"""The shape of the code, held to its own rules."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "broker").rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_small_and_says_what_it_is_for(module):
    text = module.read_text()
    tree = ast.parse(text)

    if module.name == "__init__.py":
        assert text == ""
        return
    assert ast.get_docstring(tree)
    assert text.count("\n") <= 300
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 60, f"{node.name} has {length} lines"


SCHEMA_CHANGES = {"migrations.py", "distribution.py", "partitions.py"}
"""Modules about the catalog: their statements hold names of tables, or need what a plain Postgres
lacks, and cannot be prepared."""


def test_sql_stands_in_sql_files_only():
    statements = re.compile(r"\"[^\"]*\b(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b")
    places = [
        str(module.relative_to(ROOT))
        for module in MODULES
        if module.parent.name != "cli" and module.name not in SCHEMA_CHANGES
        if statements.search(module.read_text())
    ]

    assert places == []


def test_tls_is_never_switched_off():
    """F13."""
    text = "\n".join(module.read_text() for module in MODULES)

    assert not re.search(r"ssl=False|verify_ssl|CERT_NONE|check_hostname", text)


def test_where_a_secret_is_revealed_is_known():
    revealing = {
        module.relative_to(ROOT).as_posix()
        for module in MODULES
        if ".reveal()" in module.read_text()
    }

    assert revealing == {
        "broker/cli/admin.py",  # a new key, shown once
        "broker/cli/keys.py",  # a new key, shown once
        "broker/cli/demo.py",
        "broker/providers/enrichment/client.py",  # to the vendor, in the header that it takes
        "broker/providers/fml/client.py",  # to First Mile Labs, as the bearer
        "broker/providers/fml/protocol.py",  # in the body of a token request, and to what it signs
        "broker/providers/hubspot/client.py",  # to HubSpot, in the body or as the bearer
        "broker/providers/hubspot/oauth.py",
        "broker/providers/hubspot/events/signature.py",  # to what it signs
        "broker/receivers/signing.py",  # to what it signs
        "broker/sealing.py",
        "broker/stores/proxy/idempotency.py",  # a kept answer, to who has its key
        "broker/stores/connections/connect_sessions.py",  # a session's token, to its hash
        "broker/stores/connections/sealed_tokens.py",  # to its fingerprint
        "broker/stores/connections/handles.py",  # to its hash
        "broker/providers/hubspot/provider.py",  # to HubSpot, as the bearer
        "broker/services/installs/oauth_flow.py",  # a state, to the address that binds its link
        "broker/providers/woocommerce/keys.py",  # to a shop's site, as Basic
        "broker/providers/woocommerce/provider.py",  # a link's state, to the site's page
        "broker/providers/woocommerce/subscriptions.py",  # to a site, as what it signs with
        "broker/providers/xero/oauth.py",  # to Xero, in the body, as Basic or the bearer
        "broker/providers/quickbooks/oauth.py",  # to Intuit, in the body, as Basic or the bearer
        "broker/providers/quickbooks/provider.py",  # a company's id, given with a token
        "broker/providers/salesforce/oauth.py",  # to Salesforce, in the body or as the bearer
        "broker/providers/shopify/oauth.py",  # to Shopify, and to what it signs
        "broker/providers/shopify/provider.py",  # a shop's name, given as a credential
        "broker/providers/webhooks.py",  # to what it signs
        "broker/providers/oauth.py",  # a PKCE verifier, to its challenge
        "broker/stores/access/keys.py",  # to its hash
        "broker/stores/recipes/recipe_settings.py",  # to be sealed with its like
        "broker/stores/recipes/vendors.py",  # to its hash
        "broker/web/api/endpoints.py",  # a new signing secret, shown once
        "broker/web/core/cookies.py",  # a cookie, to the browser that it binds
        "broker/stores/access/operators.py",  # a sign-in's cookie, to its hash
        "broker/web/console/events.py",  # a new signing secret, shown once
        "broker/web/console/keys.py",  # a new key, shown once
        "broker/web/api/connect.py",  # a session's token, to the product
        "broker/web/inbound/oauth_callback.py",  # a code, to the browser that consented
    }

"""The queries of the tests, and the sandbox's schema, held against Shopify's own schema.

Shopify's introspection of 2026-10 is in the npm package @shopify/dev-mcp, as
`dist/data/admin_2026-10.json.gz`; `SHOPIFY_ADMIN_SCHEMA` says where the file is.
"""

import gzip
import json
import os

import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

import graphql
from graphql.utilities import find_breaking_changes

from broker.providers.shopify.api import SHOP_QUERY
from broker.providers.shopify.subscriptions import FIND, SUBSCRIBE
from broker.recipes.orders.shopify import CHANGED, ORDER
from broker.sandbox.shopify.admin.endpoint import SCHEMA
from tests.sandbox.shopify.queries import EVERY


@pytest.fixture(scope="module")
def published():
    path = os.environ.get("SHOPIFY_ADMIN_SCHEMA")
    if path is None:
        pytest.skip("SHOPIFY_ADMIN_SCHEMA does not name Shopify's schema of 2026-10")
    with gzip.open(path) as file:
        read = json.load(file)
    return graphql.build_client_schema(read["data"], assume_valid=True)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_shopifys_own_schema_accepts_every_query(published, name):
    assert graphql.validate(published, graphql.parse(EVERY[name])) == []


@pytest.mark.parametrize("name", sorted(EVERY))
def test_the_sandbox_accepts_every_query(name):
    assert graphql.validate(SCHEMA, graphql.parse(EVERY[name])) == []


def test_the_sandbox_has_nothing_that_shopify_lacks(published):
    broken = [
        change.description
        for change in find_breaking_changes(SCHEMA, published)
        if "@deprecated" not in change.description  # where a directive may stand: the library's
    ]

    assert broken == []


@pytest.mark.parametrize("query", [SHOP_QUERY, ORDER, CHANGED, FIND, SUBSCRIBE])
def test_shopifys_own_schema_accepts_the_brokers_queries(published, query):
    assert graphql.validate(published, graphql.parse(query)) == []
    assert graphql.validate(SCHEMA, graphql.parse(query)) == []

"""Every operation of the OpenAPI document, with the keys that may not use it."""

import re

import pytest

from broker.domain.model import KEY_SCOPES
from broker.providers.catalog import BY_NAME
from broker.web.core import openapi

PLACEHOLDERS = {
    "slug": "hbdev",
    "user": "u1",
    "target": "crm/v3/objects/contacts",
    "id": "00000000-0000-4000-8000-000000000000",
}

PROVES_ITSELF = re.compile(
    r"^/(oauth/token$"
    rf"|({'|'.join(BY_NAME)})/.*/(callback|webhooks|start|keys|account|actions/\w+)$"
    r"|fml/.*/webhooks$)"
)
"""What a provider, a vendor or a browser calls, or a client with its secret: none of them has a key."""

FOR_EVERYBODY = re.compile(
    r"^/($|connect/|connect\.js$|static/|healthz$|readyz$|openapi\.json$|docs($|/))"
)


@pytest.fixture
async def operations(broker):
    """Method, address and scopes of each operation, as the document has them."""
    await broker.connects("u1")
    document = (await broker.asks("GET", "/openapi.json", key="")).json()
    return [
        (method.upper(), re.sub(r"\{(\w+)\}", lambda name: PLACEHOLDERS.get(name[1], "x"), path), described.get("x-broker-scopes"))
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]  # fmt: skip


async def test_no_operation_that_needs_a_key_answers_without_one(broker, operations):
    for method, path, scopes in operations:
        if scopes is None:
            continue
        for authorization in ({}, {"Authorization": "Bearer bs_nothing"}):
            answer = await broker.asks(method, path, key="", headers=authorization)

            assert answer.status == 401, (method, path)
            assert answer.headers["Broker-Error"] == "not-authenticated", (method, path)


async def test_no_operation_answers_a_key_that_has_every_scope_but_its_own(broker, operations):
    keys = {}
    for method, path, scopes in operations:
        if scopes is None:
            continue
        lacking = tuple(sorted(set(KEY_SCOPES) - set(scopes)))
        if lacking not in keys:
            keys[lacking] = await broker.makes_key(*lacking)
        answer = await broker.asks(method, path, key=keys[lacking])

        assert answer.status == 403, (method, path)
        assert answer.headers["Broker-Error"] == "not-allowed", (method, path)


async def test_each_scope_of_an_operation_is_enough_by_itself(broker, operations):
    keys = {scope: await broker.makes_key(scope) for scope in KEY_SCOPES}
    for method, path, scopes in operations:
        for scope in scopes or ():
            reading = method in {"GET", "HEAD"} or not path.startswith("/proxy/")
            answer = await broker.asks(method, path, key=keys[scope])

            if scope != "proxy:read" or reading:
                assert answer.status not in {401, 403}, (method, path, scope)


async def test_what_needs_no_key_is_known(operations):
    for method, path, scopes in operations:
        known = PROVES_ITSELF.match(path) or FOR_EVERYBODY.match(path)

        assert (scopes is None) == bool(known), (method, path)


async def test_every_operation_that_needs_a_key_names_a_scope_that_keys_can_have(operations):
    assert len([scopes for _, _, scopes in operations if scopes]) > 40
    for method, path, scopes in operations:
        assert scopes is None or (scopes and set(scopes) <= set(KEY_SCOPES)), (method, path)


def test_only_the_guard_takes_scopes_as_they_are():
    """A line copied from an operation that checks callers by itself must not look like a guard."""
    for decorator in (openapi.public, openapi.self_authenticating):
        with pytest.raises(TypeError):
            decorator("proxy")

"""What a call does, and which rule covers it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from broker.domain.model import PolicyRule
from broker.providers.hubspot.policy import allows, canonical, covers, effect_of

PUBLISHED = Path(__file__).parents[3] / "shared" / "hubspot-openapi"

TWINS = [
    [
        "/crm/v3/objects/contacts",
        "/crm/objects/2026-03/contacts",
        "/crm/objects/v3/0-1",
        "/crm/v3/objects/contact/",
        "//crm//v4/objects/CONTACT",
        "/crm%2Fv3/objects/contacts?x=1",
    ],
    [
        "/crm/v4/associations/contacts/companies/batch/read",
        "/crm/associations/v4/0-1/0-2/batch/read",
        "/crm/associations/2026-09/contact/company/batch/read",
    ],
    [
        "/crm/v3/properties/deals",
        "/crm/properties/2026-03/deals",
        "/crm/properties/2027-03-beta/0-3",
    ],
    ["/crm/v3/owners/", "/crm/owners/2026-03"],
    [
        "/crm/v3/schemas/x",
        "/crm-object-schemas/v3/schemas/x",
        "/crm-object-schemas/2026-03/schemas/x",
    ],
    ["/webhooks/v3/1/settings", "/webhooks/2026-03/1/settings", "/app-webhooks/2026-09/1/settings"],
    ["/account-info/v3/details", "/account-info/2026-09/details"],
]


@pytest.mark.parametrize("spellings", TWINS, ids=lambda twins: twins[0])
def test_twins_are_one_thing(spellings):
    """P25."""
    assert len({canonical(spelling) for spelling in spellings}) == 1
    for pattern in spellings:
        rule = [PolicyRule(("GET",), pattern.partition("?")[0])]
        assert all(allows(rule, "GET", spelling) for spelling in spellings)


@pytest.mark.parametrize(
    ("method", "target", "effect"),
    [
        ("GET", "/crm/v3/objects/contacts", "read"),
        ("HEAD", "/crm/v3/objects/contacts/batch/archive", "read"),
        ("POST", "/crm/v3/objects/contacts/search", "read"),
        ("POST", "/crm/v3/objects/contacts/search/", "read"),
        ("POST", "/crm/objects/2026-03/contacts/batch/read", "read"),
        ("POST", "/crm/v3/objects/contacts/Search", "write"),
        ("PUT", "/crm/v3/objects/contacts/search", "write"),
        ("POST", "/crm/v3/objects/contacts", "write"),
        ("POST", "/collector/graphql", "write"),
        ("DELETE", "/crm/v3/objects/contacts/search", "delete"),
        ("POST", "/crm/v3/objects/contacts/batch/archive", "delete"),
        ("POST", "/crm/v3/objects/contacts/batch%2farchive", "delete"),
        ("POST", "/crm/v3/objects/contacts/batch/%61rchive?x", "delete"),
        ("POST", "/crm/v3/objects/contacts/batch/archive;a=b", "delete"),
        ("PUT", "/crm/v3/objects/contacts/gdpr-delete", "delete"),
        ("POST", "/crm/v4/associations/contacts/deals/batch/labels/archive", "delete"),
        ("POST", "/crm-objects/v1/objects/products/batch-delete", "delete"),
        ("PUT", "/crm-associations/v1/associations/delete", "delete"),
        ("PUT", "/crm-associations/v1/associations/delete-batch", "delete"),
        ("PUT", "/crm-associations/v1/associations/create-batch", "write"),
        ("POST", "/cms/v3/source-code/published/content/templates/page/search", "write"),
        ("POST", "/cms/source-code/2026-03/published/content/a/batch/read", "write"),
        ("POST", "/crm/v3/objects/contacts/1/search", "write"),
        ("POST", "/crm/v3/objects/contacts%23/search", "write"),
        ("POST", "/crm/v3/objects/contacts%3Fx/search", "write"),
        ("POST", "/crm/v3/objects/contacts/search%3Fx", "write"),
        ("POST", "/crm/v3/lists/search", "read"),
        ("POST", "/crm/lists/2026-03/search", "read"),
        ("POST", "/cms/v3/hubdb/tables/people/rows/batch/read", "read"),
        ("POST", "/marketing/v3/marketing-events/events/delete", "delete"),
        ("POST", "/crm/v3/objects/contacts/batch/archive%3F/search", "delete"),
        ("POST", "/search", "write"),
        ("POST", "/", "write"),
    ],
)
def test_what_a_call_does(method, target, effect):
    assert effect_of(method, target) == effect


@pytest.mark.parametrize(
    ("path", "target", "allowed"),
    [
        ("/crm/v3/objects/contacts", "/crm/v3/objects/contacts/1", False),
        ("/crm/v3/objects/contacts/*", "/crm/v3/objects/contacts/1", True),
        ("/crm/v3/objects/contacts/*", "/crm/v3/objects/contacts", False),
        ("/crm/*", "/crm/objects/2026-03/deals/1", True),
        ("/crm/*", "/automation/v4/flows", False),
        ("/crm/*/objects/contacts*", "/crm/v3/objects/contacts/1", True),
        ("/crm/*/objects/contacts*", "/crm/objects/2026-03/contacts/1", True),
        ("/crm/v3/objects/*/batch/read", "/crm/v3/objects/0-2/batch/read", True),
        ("/crm/v3/objects/[a-z]*", "/crm/v3/objects/deals", False),
        ("/*", "/anything", True),
        ("*", "/anything", True),
        ("/a*b*c", "/a1b2c", True),
        ("/a*b*c", "/a1c2b", False),
        ("/ab*ba", "/aba", False),
        ("/a**b", "/ab", True),
        ("/a*b*b", "/ab", False),
        ("/*x*", "/crm/x/y", True),
        ("/crm/*/labels", "/crm/labels/x", False),
        ("/crm/v3/objects/contacts", "/crm/v3/objects/contacts%3F/1", False),
        ("/crm/v3/objects/contacts/*", "/crm/v3/objects/contacts%3F/1", False),
        ("/crm/v3/objects/*", "/crm/v3/objects/contacts%23/1", True),
        ("/crm/*/1", "/crm/v3/objects/contacts%23/1", False),
    ],
)
def test_what_a_path_covers(path, target, allowed):
    assert allows([PolicyRule(("GET",), path)], "GET", target) is allowed


def test_what_a_method_covers():
    everything = "/*"

    assert allows([PolicyRule(("GET",), everything)], "HEAD", "/crm/v3/x")
    assert allows([PolicyRule(("GET",), everything)], "POST", "/crm/v3/objects/deals/search")
    assert allows([PolicyRule(("POST",), everything)], "POST", "/crm/v3/objects/deals/search")
    assert not allows([PolicyRule(("GET",), everything)], "POST", "/crm/v3/objects/deals")
    assert not allows([PolicyRule(("POST",), everything)], "POST", "/x/batch/archive")
    assert allows([PolicyRule(("DELETE",), everything)], "POST", "/x/batch/archive")
    assert not allows([], "GET", "/x")


class SearchedPath(str):
    """A path that notes where each search in it begins."""

    __slots__ = ("begun_at",)

    def find(self, part, start, end):
        self.begun_at.append(start)
        return str.find(self, part, start, end)


def test_a_path_is_searched_once_for_each_star_and_never_twice_in_one_place():
    """2.4."""
    path = SearchedPath("/" + "a" * 16_000 + "c")
    path.begun_at = []

    assert not covers(("/", *["a"] * 500, "b", "c"), path)
    assert len(path.begun_at) == 501
    assert path.begun_at == sorted(path.begun_at)


def test_a_refused_call_is_judged_at_once_however_many_stars_its_rules_have():
    """2.4: in a process of its own, for a pattern that backtracks takes hours and cannot be stopped."""
    judge = (
        "from broker.domain.model import PolicyRule; from broker.providers.hubspot.policy import allows;"
        "rules = [PolicyRule(('GET',), '/*a*a*a*a*b'), PolicyRule(('GET',), '/crm/v3/objects/*/*/associations/*/labels')];"
        "assert not allows(rules, 'GET', '/' + 'a' * 400 + 'c');"
        "assert not allows(rules, 'GET', '/crm/v3/objects' + '/a' * 4000 + '/associations/c' * 400)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    subprocess.run([sys.executable, "-c", judge], check=True, timeout=60, env=environment)


def published_operations():
    """Method, path and whether it reads, writes or deletes, of each operation HubSpot publishes."""
    for file in sorted(PUBLISHED.glob("*.json")):
        for path, methods in json.loads(file.read_text())["paths"].items():
            for method, operation in methods.items():
                yield method.upper(), path, documented_effect(method, path, operation)


def documented_effect(method, path, operation):
    """What a document says that an operation does, by its method, tags and operation's name."""
    name = re.sub(r"^.*_", "", operation.get("operationId", "")).casefold()
    words = f"{operation.get('summary', '')} {name.rpartition('/')[2]}".casefold()
    if method in {"get", "delete"}:
        return {"get": "read", "delete": "delete"}[method]
    if re.search(r"archive|purge|batchremove|gdpr|permanently delete", words):
        return "delete"
    reads = operation.get("tags") == ["Search"] or re.search(
        r"search|\bread|retrieve|getpage", words
    )
    return "read" if method == "post" and reads else "write"


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="HubSpot's OpenAPI documents are not here")
def test_every_operation_that_hubspot_publishes_has_the_effect_that_it_is_described_with():
    """2.9."""
    operations = list(published_operations())
    wrong = [
        (method, path, expected)
        for method, path, expected in operations
        if effect_of(method, re.sub(r"\{\w+\}", "7", path)) != expected
    ]

    assert len(operations) > 300
    assert wrong == []

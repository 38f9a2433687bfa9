"""What a call does, and which rule covers it."""

import pytest

from broker.domain.model import PolicyRule
from broker.providers.hubspot.policy import allows, canonical, effect_of

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

"""What a call does, and whether a rule covers it, judged on its final meaning.

HubSpot spells one operation in many ways: `/crm/v3/objects/contacts`,
`/crm/objects/2026-03/contacts` and `/crm/v3/objects/0-1` are one thing, and a POST can read
(`search`) or delete (`batch/archive`).
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

from broker.hubspot.destination import decoded
from broker.model import PolicyRule

Effect = Literal["read", "write", "delete"]

OBJECTS = re.compile(r"/crm/(?:objects/(?:v\d+|\d{4}-\d{2}(?:-beta)?)|v\d+/objects)(?=/|$)")
TYPES = {
    "contact": "contacts",
    "0-1": "contacts",
    "company": "companies",
    "0-2": "companies",
    "deal": "deals",
    "0-3": "deals",
    "ticket": "tickets",
    "0-5": "tickets",
    "product": "products",
    "0-7": "products",
    "line_item": "line_items",
    "0-8": "line_items",
}
"""HubSpot's names of standard objects (https://developers.hubspot.com/docs/guides/api/crm/understanding-the-crm)."""

READING = re.compile(r"/(search|batch/read|batch/query)/*$")
DELETING = re.compile(r"/(batch/archive|batch/delete|labels/archive|gdpr-delete)/*$")


def effect_of(method: str, target: str) -> Effect:
    """What HubSpot will do with a call."""
    path = decoded(target.partition("?")[0]).rstrip("/")
    if method in {"GET", "HEAD"}:
        return "read"
    if method == "DELETE" or DELETING.search(path):
        return "delete"
    return "read" if method == "POST" and READING.search(path) else "write"


def allows(rules: Iterable[PolicyRule], method: str, target: str) -> bool:
    """Whether one of the rules covers the call."""
    path, effect = canonical(target), effect_of(method, target)
    counts_as = {
        "read": {method, "GET"},
        "write": {method},
        "delete": {"DELETE"},
    }[effect]
    return any(
        counts_as & {name.upper() for name in rule.methods}
        and fnmatchcase(path, canonical(rule.path))
        for rule in rules
    )


def canonical(target: str) -> str:
    """The path of a target in the one spelling that rules are compared in."""
    path = re.sub(r"/{2,}", "/", decoded(target.partition("?")[0]))
    path = OBJECTS.sub("/crm/v3/objects", path, count=1)
    head, objects, rest = path.partition("/crm/v3/objects/")
    if objects and not head:
        kind, slash, tail = rest.partition("/")
        star = "*" if kind.endswith("*") else ""
        kind = kind.removesuffix("*")
        return f"{objects}{TYPES.get(kind.lower(), kind)}{star}{slash}{tail}"
    return path

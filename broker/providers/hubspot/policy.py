"""What a call does, and whether a rule covers it, judged on its final meaning.

HubSpot spells one operation in many ways: `/crm/v3/objects/contacts`,
`/crm/objects/2026-03/contacts` and `/crm/v3/objects/0-1` are one thing, as are
`/crm/v4/associations`, `/crm/associations/v4` and `/crm/associations/2026-03`; and a POST can read
(`search`) or delete (`batch/archive`). So versions do not count, and a rule for one holds for all.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Literal

from broker.domain.model import PolicyRule
from broker.providers.hubspot.destination import decoded

Effect = Literal["read", "write", "delete"]

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

READING = re.compile(r"/(search|batch/read|batch/query)$")
DELETING = re.compile(
    r"/(batch/archive|batch/delete|labels/archive|gdpr-delete|batch/purge"
    r"|batch-delete|associations(/v1)?/(associations/)?delete(-batch)?)$",  # of older versions
    re.IGNORECASE,
)
VERSION = re.compile(r"v\d{1,2}|\d{4}-\d{2}(-beta)?")
MOVED = {("app-webhooks",): ("webhooks",), ("crm-object-schemas", "schemas"): ("crm", "schemas")}
"""Where one API stands under two names."""


def effect_of(method: str, target: str) -> Effect:
    """What HubSpot will do with a call."""
    if method in {"GET", "HEAD"}:
        return "read"
    if method == "DELETE":
        return "delete"
    path = "/".join(("", *_segments(target)))
    if DELETING.search(path):
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
        and any(pattern.fullmatch(path) for pattern in _patterns(rule.path))
        for rule in rules
    )


def canonical(target: str) -> str:
    """The path of a target in the one spelling that rules are compared in: without a version,
    wherever it stands, and with standard objects by their plural names.
    """
    return _spelled(_segments(target), VERSION.fullmatch)


def _segments(target: str) -> list[str]:
    path = decoded(target.partition("?")[0])
    return [part for part in (piece.partition(";")[0] for piece in path.split("/")) if part]


def _spelled(segments: list[str], is_version: Callable[[str], object]) -> str:
    place = next((i for i in (1, 2) if i < len(segments) and is_version(segments[i])), None)
    if place is not None:
        segments = segments[:place] + segments[place + 1 :]
    for old, new in MOVED.items():
        if tuple(segments[: len(old)]) == old:
            segments = [*new, *segments[len(old) :]]
    return "/".join(("", *map(_plural, segments)))


def _plural(segment: str) -> str:
    star = "*" if segment.endswith("*") else ""
    kind = segment.removesuffix("*")
    return TYPES.get(kind.lower(), kind) + star


@lru_cache(maxsize=1024)
def _patterns(path: str) -> tuple[re.Pattern[str], ...]:
    """What a rule's path matches; a `*` in a version's place stands for no version too."""
    segments = _segments(path)
    spellings = {_spelled(segments, VERSION.fullmatch)}
    if any(segment in {"*", "v*"} for segment in segments[1:3]) and segments[-1:] != ["*"]:
        spellings.add(_spelled(segments, {"*", "v*"}.__contains__))
    return tuple(
        re.compile(".*".join(map(re.escape, spelling.split("*"))), re.DOTALL)
        for spelling in spellings
    )

"""What a call does, and whether a rule covers it, judged on its final meaning.

HubSpot spells one operation in many ways: `/crm/v3/objects/contacts`,
`/crm/objects/2026-03/contacts` and `/crm/v3/objects/0-1` are one thing, as are
`/crm/v4/associations`, `/crm/associations/v4` and `/crm/associations/2026-03`; and a POST can read
(`search`) or delete (`batch/archive`). So versions do not count, and a rule for one holds for all.

A POST reads only where HubSpot documents that it does; every other one counts as a write, because
paths can end in names of a caller's choosing (`/cms/source-code/published/content/{path}`).
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from broker.domain.model import PolicyRule
from broker.providers.calls.destination import decoded
from broker.providers.calls.effects import Effect, counts_as, covers

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

READING = frozenset(
    tuple(path.split("/"))
    for path in (
        "crm/objects/*/search",
        "crm/objects/*/batch/read",
        "crm/associations/*/*/batch/read",
        "crm/properties/*/batch/read",
        "crm/schemas/batch/read",
        "crm/lists/search",
        "webhooks-journal/journal/batch/read",
        "webhooks-journal/journal-local/batch/read",
        "cms/hubdb/tables/*/rows/batch/read",
        "cms/hubdb/tables/*/rows/draft/batch/read",
        "cms/blogs/posts/batch/read",
        "cms/blogs/authors/batch/read",
        "cms/blogs/tags/batch/read",
        "cms/pages/landing-pages/batch/read",
        "cms/pages/landing-pages/folders/batch/read",
        "cms/pages/site-pages/batch/read",
        "communication-preferences/statuses/batch/read",
        "conversations/conversations/actors/batch/read",
        "automation/flows/batch/read",
        "automation/workflow-id-mappings/batch/read",
    )
)
"""POSTs that change nothing (HubSpot's API reference and OpenAPI documents), in the spelling of
`canonical`; `*` is one segment."""

LAST_READING_WORDS = frozenset(segments[-1] for segments in READING)

DELETING = re.compile(
    r"/(batch/archive|labels/archive|gdpr-delete|batch/purge|batch-delete|delete(-batch)?)$",
    re.IGNORECASE,
)
"""How paths of requests that delete end, whatever their method."""

VERSION = re.compile(r"v\d{1,2}|\d{4}-\d{2}(-beta)?")
MOVED = {("app-webhooks",): ("webhooks",), ("crm-object-schemas", "schemas"): ("crm", "schemas")}
"""Where one API stands under two names."""

SEVERITY: tuple[Effect, ...] = ("read", "write", "delete")


def effect_of(method: str, target: str) -> Effect:
    """What HubSpot will do with a call; the gravest where its path can be read in two ways."""
    if method in {"GET", "HEAD"}:
        return "read"
    if method == "DELETE":
        return "delete"
    return max((_effect(method, each) for each in _readings(target)), key=SEVERITY.index)


def allows(rules: Iterable[PolicyRule], method: str, target: str) -> bool:
    """Whether one of the rules covers the call, in each way in which its path can be read."""
    rules = tuple(rules)
    return all(_allows(rules, method, segments) for segments in _readings(target))


def canonical(target: str) -> str:
    """The path of a target in the one spelling that rules are compared in: without a version,
    wherever it stands, and with standard objects by their plural names.
    """
    return _join(_spelled(_segments(target), VERSION.fullmatch))


def _effect(method: str, segments: list[str]) -> Effect:
    if DELETING.search(_join(segments)):
        return "delete"
    reads = method == "POST" and segments[-1:] and segments[-1] in LAST_READING_WORDS
    return "read" if reads and _is_reading(_spelled(segments, VERSION.fullmatch)) else "write"


def _is_reading(segments: list[str]) -> bool:
    return any(
        len(pattern) == len(segments)
        and all(part in {"*", segment} for part, segment in zip(pattern, segments, strict=True))
        for pattern in READING
    )


def _allows(rules: Iterable[PolicyRule], method: str, segments: list[str]) -> bool:
    effect: Effect = "delete" if method == "DELETE" else "read"
    if method not in {"GET", "HEAD", "DELETE"}:
        effect = _effect(method, segments)
    methods = counts_as(method, effect)
    path = _join(_spelled(segments, VERSION.fullmatch))
    return any(
        methods & {name.upper() for name in rule.methods}
        and any(covers(parts, path) for parts in _patterns(rule.path))
        for rule in rules
    )


def _readings(target: str) -> list[list[str]]:
    """The segments of a target; and, where its path holds an encoded `?` or `#`, those of what it
    would be for a server that decodes before it looks for the query.
    """
    segments = _segments(target)
    path = _join(segments)
    cut = re.split("[?#]", path, maxsplit=1)[0]
    return [segments] if cut == path else [segments, [part for part in cut.split("/") if part]]


def _segments(target: str) -> list[str]:
    path = decoded(target.partition("?")[0])
    return [part for part in (piece.partition(";")[0] for piece in path.split("/")) if part]


def _join(segments: Iterable[str]) -> str:
    return "/".join(("", *segments))


def _spelled(segments: list[str], is_version: Callable[[str], object]) -> list[str]:
    index = next((i for i in (1, 2) if i < len(segments) and is_version(segments[i])), None)
    if index is not None:
        segments = segments[:index] + segments[index + 1 :]
    for old, new in MOVED.items():
        if tuple(segments[: len(old)]) == old:
            segments = [*new, *segments[len(old) :]]
    return [_plural(segment) for segment in segments]


def _plural(segment: str) -> str:
    star = "*" if segment.endswith("*") else ""
    kind = segment.removesuffix("*")
    return TYPES.get(kind.lower(), kind) + star


@lru_cache(maxsize=1024)
def _patterns(path: str) -> tuple[tuple[str, ...], ...]:
    """What a rule's path matches, as parts between stars; a `*` in a version's position stands for
    no version too.
    """
    segments = _segments(path)
    spellings = {_join(_spelled(segments, VERSION.fullmatch))}
    if any(segment in {"*", "v*"} for segment in segments[1:3]) and segments[-1:] != ["*"]:
        spellings.add(_join(_spelled(segments, {"*", "v*"}.__contains__)))
    return tuple(tuple(spelling.split("*")) for spelling in spellings)

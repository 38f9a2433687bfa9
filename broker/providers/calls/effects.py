"""What a call does to a provider's data, and the plain rules by which most providers are judged."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

from broker.domain.model import PolicyRule
from broker.providers.calls.destination import decoded

Effect = Literal["read", "write", "delete"]


def effect_of_method(method: str) -> Effect:
    """What a call does where its method says so (RFC 9110 section 9.2.1)."""
    if method in {"GET", "HEAD"}:
        return "read"
    return "delete" if method == "DELETE" else "write"


def counts_as(method: str, effect: Effect) -> set[str]:
    """The methods of rules that cover a call: a reading POST is allowed as a GET is, and what
    deletes is allowed by DELETE alone.
    """
    return {"read": {method, "GET"}, "write": {method}, "delete": {"DELETE"}}[effect]


def allows(rules: Iterable[PolicyRule], method: str, effect: Effect, target: str) -> bool:
    """Whether one of the rules covers a call whose path has one spelling."""
    path = plain_path(target)
    methods = counts_as(method, effect)
    return any(
        methods & {name.upper() for name in rule.methods} and covers(_parts(rule.path), path)
        for rule in rules
    )


def plain_path(target: str) -> str:
    """The decoded path of a target, without matrix parameters and doubled slashes."""
    path = decoded(target.partition("?")[0])
    segments = (piece.partition(";")[0] for piece in path.split("/"))
    return "/".join(("", *(segment for segment in segments if segment)))


def covers(parts: Sequence[str], path: str) -> bool:
    """Whether a path is these parts with anything between them.

    Each part is looked for once, from where the one before ended, so that the time grows with the
    path and not with the ways in which it could be divided.
    """
    if len(parts) == 1:
        return path == parts[0]
    first, *middle, last = parts
    position, end = len(first), len(path) - len(last)
    if position > end or not path.startswith(first) or not path.endswith(last):
        return False
    for part in middle:
        position = path.find(part, position, end)
        if position < 0:
            return False
        position += len(part)
    return True


@lru_cache(maxsize=1024)
def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(plain_path(pattern).split("*"))

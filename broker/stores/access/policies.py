"""Policies as they stand in a column."""

import json
from collections.abc import Iterable

from broker.domain.model import PolicyRule


def read_policy(text: str | None) -> tuple[PolicyRule, ...] | None:
    """The rules stored as JSON."""
    if text is None:
        return None
    return tuple(PolicyRule(tuple(rule["methods"]), rule["path"]) for rule in json.loads(text))


def write_policy(rules: Iterable[PolicyRule] | None) -> str | None:
    """The rules as JSON."""
    if rules is None:
        return None
    return json.dumps([{"methods": rule.methods, "path": rule.path} for rule in rules])

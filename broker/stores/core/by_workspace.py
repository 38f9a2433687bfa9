"""Work of many workspaces, sorted so that each statement and each transaction is in one."""

import random
from collections.abc import Hashable, Iterable
from typing import TypeVar

W = TypeVar("W", bound=Hashable)
T = TypeVar("T")


def grouped(pairs: Iterable[tuple[W, T]]) -> list[tuple[W, list[T]]]:
    """What belongs to each workspace, from pairs of workspace and item; workspaces in no order, so
    that processes that looked at the same moment do not follow one another.
    """
    found: dict[W, list[T]] = {}
    for workspace, item in pairs:
        found.setdefault(workspace, []).append(item)
    groups = list(found.items())
    random.shuffle(groups)
    return groups

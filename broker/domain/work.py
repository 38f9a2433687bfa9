"""Background work that is due at a time."""

import math
from dataclasses import dataclass

WHEN_DUE = math.inf
"""The interval of a task that looks when work of its kind, which is the task's name, is due."""


@dataclass(frozen=True, slots=True)
class NewWork:
    """Work that was written: the kinds of which some is due at once, and whether some is due
    later.
    """

    due: frozenset[str]
    planned: bool

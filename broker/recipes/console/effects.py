"""What came of a run, in a few words and a colour: green only where the wanted effect happened."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Effect:
    """A run's state as a list shows it. `tone` is the class that colours it; empty: neutral."""

    words: str
    tone: Literal["good", "todo", "bad", ""] = ""


DONE = Effect("done", "good")
UNENDED = {
    "running": Effect("running", "todo"),
    "failed": Effect("failed", "bad"),
    "dismissed": Effect("dismissed"),
}
"""The states of runs that have no result."""


def refused_effect(refused: int) -> Effect:
    """That of a run over many records, of which some were refused."""
    return Effect(f"done, {refused} refused", "todo") if refused else DONE

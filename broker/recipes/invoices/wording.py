"""Words that both adapters use."""

from collections.abc import Mapping

MOST = 12


def offered(choices: Mapping[str, str]) -> str:
    """Some of what a setting may name, each with its name."""
    shown = [
        each if each == name else f"{each} ({name})" for each, name in list(choices.items())[:MOST]
    ]
    more = len(choices) - len(shown)
    return (
        ", ".join(shown) + (f" and {more} more" if more > 0 else "") if shown else "there is none"
    )

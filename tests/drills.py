"""How large a drill is: a tenth in the gate, all of it with `make drills`."""

import os

FULL = os.environ.get("BROKER_DRILL") == "full"


def sized(full: int, gate: int) -> int:
    """The size of a drill here."""
    return full if FULL else gate

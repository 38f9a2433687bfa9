"""Storms over the leads recipe, one process of pytest each: as many seeds as one likes.

    python -m tests.faults.storms --seeds 200 --edits 10000 --into storms.jsonl

Prints a line of figures for each seed and appends them to a file. A seed that stands there and was
good is not run again, so a command that was stopped goes on where it was.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DIRECTIONS = ("both", "to-salesforce", "to-hubspot")
LINES_KEPT = 40
"""How many lines of a failure are kept."""


def main() -> int:
    """Run the storms; 1 when one of them has failed."""
    arguments = _arguments()
    done = _good(arguments.into)
    failed = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        for direction in arguments.directions:
            if (direction, seed, arguments.edits) in done:
                continue
            found = _storm(direction, seed, arguments.edits)
            with arguments.into.open("a") as file:
                file.write(json.dumps(found) + "\n")
            sys.stdout.write(_line(found) + "\n")
            sys.stdout.flush()
            failed += not found["passed"]
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storms", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--edits", type=int, default=10_000, help="edits of each storm")
    parser.add_argument(
        "--directions", nargs="+", choices=DIRECTIONS, default=["both"], help="settings to run"
    )
    parser.add_argument("--into", type=Path, default=Path("storms.jsonl"), help="file of figures")
    return parser.parse_args()


def _good(into: Path) -> set[tuple[str, int, int]]:
    """The storms that stand in a file as good."""
    lines = into.read_text().splitlines() if into.exists() else []
    found = [json.loads(line) for line in lines]
    return {
        (each["direction"], each["seed"], each["requested"]) for each in found if each["passed"]
    }


def _storm(direction: str, seed: int, edits: int) -> dict[str, Any]:
    """One storm's figures, and the end of what pytest said where it failed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures"
        ran = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "tests/faults/test_leads.py",
                "-q",
                "--show-capture=no",
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "LEAD_STORM": f"{direction}:{seed}:{edits}",
                "FAULT_FIGURES": str(figures),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        measured = json.loads(figures.read_text()) if figures.exists() else {}
    measured.pop("test", None)
    found = {
        "direction": direction,
        "seed": seed,
        "requested": edits,
        "passed": ran.returncode == 0,
        "seconds": round(time.monotonic() - began),
        **measured,
    }
    if ran.returncode:
        found["failure"] = ran.stdout.splitlines()[-LINES_KEPT:]
    return found


def _line(found: dict[str, Any]) -> str:
    shown = {name: each for name, each in found.items() if name not in {"failure", "requested"}}
    writes = sum(found.get(f"writes to {side}", 0) for side in ("hubspot", "salesforce"))
    if found.get("edits"):
        shown["writes per edit"] = round(writes / found["edits"], 2)
    return ", ".join(f"{name} {value}" for name, value in shown.items())


if __name__ == "__main__":
    sys.exit(main())

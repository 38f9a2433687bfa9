"""`make bench`: how fast the broker is beside an earlier revision, bare aiohttp and nginx.

Subjects alternate round by round, so that a busy machine is as bad for one as for another; they
have one core (with --workers 2: two), client, upstream and Postgres the others. Ratios are made pair
by pair within a block. A block in which other processes were busy is repeated, twice at most; if too
many stay so, nothing is reported and the exit status is 3.
"""

import argparse
import contextlib
import itertools
import math
import platform
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tests.bench import report, servers
from tests.bench.lineup import SETUPS, Lineup, lineup
from tests.bench.load import CallsFailed, NothingAnswered, measure
from tests.bench.machine import Load, Snapshot
from tests.bench.processes import ALL_CORES
from tests.bench.report import Block
from tests.bench.revisions import Revision, checked_out, same_requirements, this_tree
from tests.bench.statements import Statements, count
from tests.bench.workloads import WORKLOADS, Workload

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
BEGIN, END = "<!-- measured -->", "<!-- end -->"
REPEATS = 2
TOO_BUSY = 3


def arguments() -> argparse.Namespace:
    """What to measure, from the command line."""
    named = "; ".join(f"{each.name}: {each.about}" for each in WORKLOADS.values())
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--against", metavar="REV", help="an earlier revision, in the same run")
    parser.add_argument("--workloads", type=_workloads, default="read,headers", help=named)
    parser.add_argument("--connections", type=_numbers, default="1,16,64")
    parser.add_argument("--express", action="store_true", help="express with axios too")
    parser.add_argument("--all", action="store_true", help="all of these, and 256 connections")
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--seconds", type=_positive, default=2, help="of a subject in a block")
    parser.add_argument(
        "--allowed", type=float, default=0.15, help="cores that others may use meanwhile"
    )
    parser.add_argument("--anyway", action="store_true", help="report though it was too busy")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/speed.md")
    chosen = parser.parse_args()
    if chosen.anyway and chosen.write:
        parser.error("figures of a busy machine are not written: leave out --anyway or --write")
    if chosen.all:
        chosen.workloads, chosen.connections = list(WORKLOADS.values()), [1, 16, 64, 256]
        chosen.express = True
    return chosen


def _workloads(text: str) -> list[Workload]:
    try:
        return [WORKLOADS[name] for name in text.split(",")]
    except KeyError as error:
        raise argparse.ArgumentTypeError(f"there is no workload {error}") from None


def _numbers(text: str) -> list[int]:
    return [_positive(number) for number in text.split(",")]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main() -> int:
    """Measure and print; 0, or 3 when the machine was too busy."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = arguments()
    if len(ALL_CORES) < 2:
        sys.exit("bench: two cores are needed, one for what is measured and one for the rest")
    if chosen.express and not servers.node_is_ready():
        print("express is left out: node or npm is missing, or npm could not install it")
        chosen.express = False
    if not chosen.anyway and (load := idle_load()).exceeds(chosen.allowed):
        print(f"The machine is too busy: {load}; try later, or see --anyway", file=sys.stderr)
        return TOO_BUSY
    with ExitStack() as stack:
        revisions = [this_tree()]
        if chosen.against:
            revisions.append(stack.enter_context(checked_out(chosen.against)))
        blocks, comparisons, counted = everything(revisions, chosen)
        head = heading(revisions, blocks, chosen)
    problems = report.too_busy(blocks, chosen.allowed)
    if problems and not chosen.anyway:
        print(
            "The machine was too busy, nothing is reported:", *problems, sep="\n", file=sys.stderr
        )
        return TOO_BUSY
    if chosen.anyway:
        kept = blocks
    else:
        kept = [block for block in blocks if not block.load.exceeds(chosen.allowed)]
    parts = [head, report.tables(kept, comparisons), report.statement_table(counted)]
    if problems:
        parts.insert(0, "**The machine was too busy; these figures prove nothing.**\n")
    text = "\n".join(parts)
    print(text)
    if chosen.write:
        page = PAGE.read_text()
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
    return 0


def idle_load(seconds: float = 2) -> Load:
    """What the machine does while we do nothing."""
    before = Snapshot.take()
    time.sleep(seconds)
    return Snapshot.take().load_since(before)


def everything(
    revisions: Sequence[Revision], chosen: argparse.Namespace
) -> tuple[list[Block], list[tuple[str, str]], dict[str, Statements]]:
    """Blocks of all setups, which subjects compare with which, statements of warm calls."""
    blocks: list[Block] = []
    comparisons: dict[tuple[str, str], None] = {}
    counted: dict[str, Statements] = {}
    for setup in SETUPS:
        workloads = [each for each in chosen.workloads if each.setup == setup]
        if not workloads:
            continue
        with lineup(setup, revisions, express=chosen.express) as found:
            blocks += rounds(found, workloads, chosen)
            comparisons |= dict.fromkeys(found.comparisons)
            for subject in found.subjects:
                if subject.name in found.postgres and subject.name not in counted:
                    server = found.postgres[subject.name]
                    counted[subject.name] = count(server, subject, chosen.seconds, found.client)
    return blocks, list(comparisons), counted


def rounds(found: Lineup, workloads: list[Workload], chosen: argparse.Namespace) -> list[Block]:
    """Warm up, then measure every workload at every number of connections, round by round."""
    cells = chosen.rounds * len(workloads) * len(chosen.connections)
    seconds = len(found.subjects) * cells * (chosen.seconds + 1 / chosen.rounds)
    names = ", ".join(each.name for each in workloads)
    print(f"{names}: about {math.ceil(seconds / 60)} min", flush=True)
    for subject in found.subjects:
        for workload, connections in itertools.product(workloads, chosen.connections):
            # Its own connections to the upstream, handshakes included, are made here.
            with contextlib.suppress(NothingAnswered):
                measure(subject, workload, connections, 1, found.client)
    blocks = []
    for number in range(chosen.rounds):
        for workload in workloads:
            blocks += [
                quiet_block(found, workload, connections, number, chosen)
                for connections in chosen.connections
            ]
        print(f"round {number + 1} of {chosen.rounds}", flush=True)
    return blocks


def quiet_block(
    found: Lineup, workload: Workload, connections: int, number: int, chosen: argparse.Namespace
) -> Block:
    """Measure every subject once; again when others were busy meanwhile, twice at most."""
    first = number // 2 % len(found.subjects)
    order = found.subjects[first:] + found.subjects[:first]
    if number % 2:
        order.reverse()  # of each pair, each comes first as often
    for _ in range(1 if chosen.anyway else 1 + REPEATS):
        before = Snapshot.take()
        measured = {
            subject.name: measure(subject, workload, connections, chosen.seconds, found.client)
            for subject in order
        }
        load = Snapshot.take().load_since(before)
        measured = {subject.name: measured[subject.name] for subject in found.subjects}
        block = Block(workload, connections, measured, load)
        if not load.exceeds(chosen.allowed):
            break
        print(f"  {workload.name}, {connections} connections: {load}", flush=True)
    return block


def heading(revisions: Sequence[Revision], blocks: list[Block], chosen: argparse.Namespace) -> str:
    """What was measured, on what, and how quietly."""
    quiet = sum(not block.load.exceeds(chosen.allowed) for block in blocks)
    others = max(block.load.others for block in blocks)
    commits = "; ".join(f"`{each.name}` is {each.commit}" for each in revisions)
    python, aiohttp = platform.python_version(), version("aiohttp")
    lines = [
        f"Python {python}, aiohttp {aiohttp}, uvloop; {len(ALL_CORES)} cores. {commits}.",
        f"{chosen.rounds} rounds of {chosen.seconds} s a subject.",
        f"{quiet} of {len(blocks)} blocks were quiet; others used {others:.2f} cores at most.",
        "Medians; ratios are pairs of one block: median (least to most).",
    ]
    if not all(same_requirements(revisions[0], each) for each in revisions[1:]):
        lines.append("Their pinned packages differ; both ran with those of this tree.")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CallsFailed as failure:
        sys.exit(f"bench: {failure}")

"""Figures of a run as tables: medians, and ratios pair by pair within a turn."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.load import Measured
from tests.bench.machine import Load
from tests.bench.statements import Statements
from tests.bench.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Turn:
    """Every subject measured once, one after the other, and what else the machine did meanwhile."""

    workload: Workload
    connections: int
    measured: dict[str, Measured]
    load: Load


@dataclass(frozen=True)
class Spread:
    """The middle of some values, and how far they lie apart."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of at least one value."""
        found = list(values)
        return cls(statistics.median(found), min(found), max(found))

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.least:.2f} to {self.most:.2f})"


def ratio(turns: Sequence[Turn], name: str, base: str, field: str) -> Spread:
    """How many times the base's figure a subject's is, each pair from one turn."""
    return Spread.of(
        getattr(turn.measured[name], field) / getattr(turn.measured[base], field) for turn in turns
    )


def above_direct(turns: Sequence[Turn], name: str) -> float:
    """Milliseconds at the median that a subject adds to a call without it."""
    return statistics.median(
        turn.measured[name].p50 - turn.measured["direct"].p50 for turn in turns
    )


def median(turns: Sequence[Turn], name: str, field: str) -> float:
    """The median of a subject's figure."""
    return statistics.median(getattr(turn.measured[name], field) for turn in turns)


def cells(turns: Iterable[Turn]) -> dict[tuple[str, int], list[Turn]]:
    """Turns by workload and connections."""
    found: dict[tuple[str, int], list[Turn]] = {}
    for turn in turns:
        found.setdefault((turn.workload.name, turn.connections), []).append(turn)
    return found


def too_busy(turns: Sequence[Turn], allowed: float) -> list[str]:
    """Cells of which at most half the turns were quiet, a line each."""
    lines = []
    for (name, connections), group in cells(turns).items():
        loud = [turn.load for turn in group if turn.load.exceeds(allowed)]
        if len(loud) * 2 >= len(group):
            worst = max(loud, key=lambda load: load.others + load.steal)
            lines.append(
                f"{name}, {connections} connections: {len(loud)} of {len(group)} turns; {worst}"
            )
    return lines


def tables(turns: Sequence[Turn], comparisons: Sequence[tuple[str, str]]) -> str:
    """Tables of each workload: what answers, and how it compares."""
    lines: list[str] = []
    for name in dict.fromkeys(turn.workload.name for turn in turns):
        groups = [(cell[1], group) for cell, group in cells(turns).items() if cell[0] == name]
        present = groups[0][1][0].measured.keys()
        lines += [
            f"### `{name}`: {WORKLOADS[name].about}",
            "",
            "| connections | what answers | calls/s | p50 ms | above direct | p99 ms | CPU µs a call | RSS MB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {connections} | {each} | {median(group, each, 'rate'):,.0f} "
            f"| {median(group, each, 'p50'):.2f} | {above_direct(group, each):.2f} "
            f"| {median(group, each, 'p99'):.2f} | {median(group, each, 'cpu'):.0f} "
            f"| {median(group, each, 'rss'):.0f} |"
            for connections, group in groups
            for each in present
        ]
        lines += [
            "",
            "| connections | compared | calls/s | CPU a call | p50 | p99 |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {connections} | {one} : {base} | "
            + " | ".join(str(ratio(group, one, base, f)) for f in ("rate", "cpu", "p50", "p99"))
            + " |"
            for connections, group in groups
            for one, base in comparisons
            if {one, base} <= present
        ]
        lines.append("")
    return "\n".join(lines)


def statement_table(counted: dict[str, Statements]) -> str:
    """How many statements a warm call costs."""
    lines = [
        "### Statements of warm calls",
        "",
        "| what answers | calls | statements | a call | at rest, as long | most of them |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {each.calls:,} | {each.count:,} | {each.per_call:.4f} | {each.at_rest:,} "
        f"| {each.most} |"
        for name, each in counted.items()
    ]
    return "\n".join([*lines, ""])

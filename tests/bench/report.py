"""Figures of a run as tables: medians, and ratios pair by pair within a block."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench.load import Measured
from tests.bench.machine import Load
from tests.bench.statements import Statements
from tests.bench.workloads import WORKLOADS, Workload


@dataclass(frozen=True)
class Block:
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


def ratio(blocks: Sequence[Block], name: str, base: str, field: str) -> Spread:
    """How many times the base's figure a subject's is, each pair from one block."""
    return Spread.of(
        getattr(block.measured[name], field) / getattr(block.measured[base], field)
        for block in blocks
    )


def above_direct(blocks: Sequence[Block], name: str) -> float:
    """Milliseconds at the median that a subject adds to a call without it."""
    return statistics.median(
        block.measured[name].p50 - block.measured["direct"].p50 for block in blocks
    )


def median(blocks: Sequence[Block], name: str, field: str) -> float:
    """The median of a subject's figure."""
    return statistics.median(getattr(block.measured[name], field) for block in blocks)


def cells(blocks: Iterable[Block]) -> dict[tuple[str, int], list[Block]]:
    """Blocks by workload and connections."""
    found: dict[tuple[str, int], list[Block]] = {}
    for block in blocks:
        found.setdefault((block.workload.name, block.connections), []).append(block)
    return found


def too_busy(blocks: Sequence[Block], allowed: float) -> list[str]:
    """Cells of which at most half the blocks were quiet, a line each."""
    lines = []
    for (name, connections), group in cells(blocks).items():
        loud = [block.load for block in group if block.load.exceeds(allowed)]
        if len(loud) * 2 >= len(group):
            worst = max(loud, key=lambda load: load.others + load.steal)
            lines.append(
                f"{name}, {connections} connections: {len(loud)} of {len(group)} blocks; {worst}"
            )
    return lines


def tables(blocks: Sequence[Block], comparisons: Sequence[tuple[str, str]]) -> str:
    """Tables of each workload: what answers, and how it compares."""
    lines: list[str] = []
    for name in dict.fromkeys(block.workload.name for block in blocks):
        groups = [(cell[1], group) for cell, group in cells(blocks).items() if cell[0] == name]
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

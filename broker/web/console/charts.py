"""Charts over time: lines for who sees them, and the same numbers as a table for everybody."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Numbers = Sequence[float | None]
"""One number for each time; None where there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart, with at most three lines by their label: their form tells them apart (solid,
    dashed, dotted), not their colour alone. `unit` stands after each number.
    """

    id: str
    caption: str
    unit: str
    lines: Mapping[str, Numbers]


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts over the same times, in seconds since 1970: each begins a step of the same length."""

    times: Sequence[int]
    charts: Sequence[Chart]

    def drawn(self, chart: Chart) -> dict[str, Any]:
        """What `console.js` draws a chart from."""
        lines = [{"label": label, "values": values} for label, values in chart.lines.items()]
        return {"times": self.times, "unit": chart.unit, "series": lines}

    def rows(self) -> list[tuple[datetime, list[float | None]]]:
        """The numbers of every chart's lines, newest first, without steps in which there is none
        but zero.
        """
        columns = [numbers for chart in self.charts for numbers in chart.lines.values()]
        found = [
            (datetime.fromtimestamp(at, UTC), [numbers[place] for numbers in columns])
            for place, at in enumerate(self.times)
        ]
        return [row for row in reversed(found) if any(row[1])]


def percentage(part: int, whole: int) -> float | None:
    """A part of a whole in percent, to one decimal; None of nothing."""
    return round(100 * part / whole, 1) if whole else None

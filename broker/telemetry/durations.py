"""A histogram of durations that one thread writes: two additions, where the client library takes
two locks and looks at each bucket in turn.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import Histogram
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

BOUNDS = tuple(bound for bound in Histogram.DEFAULT_BUCKETS if bound != float("inf"))
"""Upper bounds in seconds, the client library's own."""


class Durations:
    """The durations that share their labels."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class DurationHistogram(Collector):
    """Durations by the values of their labels, for `/metrics`."""

    def __init__(
        self, name: str, help_text: str, labels: tuple[str, ...], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._help = help_text
        self._labels = labels
        self._children: dict[tuple[str, ...], Durations] = {}
        registry.register(self)

    def labels(self, *values: str) -> Durations:
        """The durations with these values, in the order of the names."""
        return self._children.setdefault(values, Durations())

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """The name alone, so that the registry refuses a second histogram of that name."""
        yield HistogramMetricFamily(self._name, self._help, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What Prometheus scrapes: cumulative counts by upper bound."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        names = [str(bound) for bound in BOUNDS] + ["+Inf"]
        for values, durations in self._children.items():
            counts = list(zip(names, accumulate(durations.counts), strict=True))
            family.add_metric(values, counts, durations.total)
        yield family

"""Calls that took the fast path, counted by plain additions."""

from collections.abc import Iterator

from prometheus_client.metrics_core import CounterMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry


class FastPathCalls(Collector):
    """How many calls the fast path began, completed, and lost to callers who left."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = 0
        self.completed = 0
        self.abandoned = 0
        registry.register(self)

    def describe(self) -> Iterator[CounterMetricFamily]:
        """The name alone, so that the registry refuses a second metric of that name."""
        yield self._family()

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What Prometheus scrapes. A call that is under way counts as handed over until it ends."""
        family = self._family()
        family.add_metric(["completed"], self.completed)
        family.add_metric(["abandoned"], self.abandoned)
        family.add_metric(["handed-over"], self.started - self.completed - self.abandoned)
        yield family

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(
            "broker_fast_path_calls",
            "Proxied calls that the fast path began, by outcome: completed, abandoned (the caller "
            "left), handed-over (to the handler, which waits, renews or repeats).",
            labels=["outcome"],
        )

"""Metrics of the installation, measured now and then because only the database knows them."""

from broker.domain.model import Status
from broker.services.events.deliverer import FAILURES_TO_OPEN_CIRCUIT
from broker.stores.core.overview import Overview
from broker.telemetry.metrics import Metrics

CONNECTIONS_EVERY_S = 300
"""Counting reads every connection, so it is rare."""

OVERDUE_EVERY_S = 15
ENDPOINTS_EVERY_S = 60


class Gauges:
    """Measures on behalf of a process that does background work."""

    def __init__(self, overview: Overview, metrics: Metrics) -> None:
        self._overview = overview
        self._metrics = metrics

    async def count_connections(self) -> None:
        """Connections by status; a status without any is 0, so that an alert sees it fall."""
        counted = await self._overview.connections()
        for status in Status:
            self._metrics.connections.labels(status.value).set(counted.get(status.value, 0))

    async def measure_endpoints(self) -> None:
        """How many endpoints are closed, and for how long the longest."""
        number, seconds = await self._overview.closed_endpoints(FAILURES_TO_OPEN_CIRCUIT)
        self._metrics.closed_endpoints.set(number)
        self._metrics.endpoint_down.set(seconds)

    async def measure_overdue(self) -> None:
        """How late the background work is."""
        for work, seconds in (await self._overview.overdue()).items():
            self._metrics.overdue.labels(work).set(seconds)

"""The metrics of one process."""

import platform
from collections.abc import Callable, Iterable
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from broker.telemetry import log_writer
from broker.telemetry.durations import DurationHistogram
from broker.telemetry.fast_path_calls import FastPathCalls

RUN_BUCKETS = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 14_400, 86_400)
"""Seconds: most runs take some, one that waits for a vendor takes hours."""


class Metrics:
    """The counters of one process. Labels never name a user, a portal or a workspace."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = DurationHistogram(
            "broker_request_seconds",
            "Time to answer a request, by route template and status class.",
            ("route", "status"),
            self.registry,
        )
        self.renewals = self._counter("broker_renewals", "Refresh requests to HubSpot, by outcome.")
        self.revocations = self._counter(
            "broker_revocations", "Revocations of refresh tokens at HubSpot, by outcome."
        )
        self.quota = self._counter(
            "broker_quota", "Calls that had to wait for quota: waited (and got it), refused."
        )
        self.quota_exchanges = self._counter(
            "broker_quota_exchanges",
            "Exchanges of quota permits with the database, by cause: call (no permit left), wanted "
            "and available (notified by another process), limit (a new one was reported), surplus "
            "(permits returned), poll (calls still wait), upkeep.",
            ("cause",),
        )
        self.retries = self._counter(
            "broker_retries", "Retries of proxied calls: made, or over-budget (left out)."
        )
        self.calls_dropped = self._counter(
            "broker_calls_not_logged",
            "Proxied calls that the call log lacks: dropped while the database was slow or "
            "unavailable, or refused meanwhile before their app was known.",
            (),
        )
        self.invalidations = self._counter(
            "broker_invalidations",
            "Changes that made cached values stale: connection, key, app, recipe, or all.",
            ("kind",),
        )
        self.events = self._counter(
            "broker_events",
            "Events received from providers, by outcome: published (one for each connection), "
            "duplicate, unknown-account, parked (not readable).",
        )
        self.vendor_events = self._counter(
            "broker_vendor_events",
            "Events received from the vendors of recipes, by vendor and outcome.",
            ("vendor", "outcome"),
        )
        self.deliveries = self._counter(
            "broker_deliveries",
            "Attempts to deliver an event: delivered, waiting (for the next attempt), dead (also "
            "without an attempt, when an event expires).",
        )
        self._count_runs()
        self.fast_path = FastPathCalls(self.registry)
        self._count_losses()
        self._describe_installation()
        self._count_from_zero()

    def _count_from_zero(self) -> None:
        # Counted from 0: of a counter that appears with its first failure, no rate sees that one.
        for counter, outcomes in (
            (self.renewals, ("renewed",)),
            (self.quota, ("waited", "refused")),
            (self.deliveries, ("delivered", "waiting", "dead")),
        ):
            for outcome in outcomes:
                counter.labels(outcome)

    def _count_runs(self) -> None:
        self.runs = self._counter(
            "broker_runs",
            "Runs of recipes that paused or ended, by recipe and outcome: done, waiting, failed.",
            ("recipe", "outcome"),
        )
        self.run_seconds = Histogram(
            "broker_run_seconds",
            "From what triggered a run of a recipe to its last effect, of runs that are done and "
            "no person restarted.",
            ("recipe",),
            registry=self.registry,
            buckets=RUN_BUCKETS,
        )
        self.unhealthy_recipes = self._gauge(
            "broker_unhealthy_recipes",
            "Apps whose recipe has crossed a threshold of its settings, by recipe. Measured by "
            "processes with background work.",
            ("recipe",),
        )

    def _describe_installation(self) -> None:
        self.connections = self._gauge(
            "broker_connections",
            "Connections by status, counted every five minutes by processes with background work.",
            ("status",),
        )
        self.overdue = self._gauge(
            "broker_overdue_seconds",
            "How long the oldest due work has waited: renewals, revocations, webhooks, deliveries "
            "(to endpoints that accept them), runs. Measured by processes with background work.",
            ("work",),
        )
        self.closed_endpoints = self._gauge(
            "broker_closed_endpoints",
            "Endpoints that are sent no more than a probe every few minutes because they failed "
            "several times in a row; disabled ones are not counted. Measured by processes with "
            "background work.",
            (),
        )
        self.endpoint_down = self._gauge(
            "broker_endpoint_down_seconds",
            "For how long the endpoint that has been closed for longest has accepted nothing, 0 "
            "without any. Measured by processes with background work.",
            (),
        )
        self._gauge(
            "broker_build_info",
            "1, labelled with the versions of the process.",
            ("version", "python"),
        ).labels(version("hubspot-broker"), platform.python_version()).set(1)
        ProcessCollector(registry=self.registry)

    def expect_runs(self, recipes: Iterable[str]) -> None:
        """Count the runs of some recipes from 0."""
        for recipe in recipes:
            for outcome in ("done", "waiting", "failed"):
                self.runs.labels(recipe, outcome)

    def watch_database(self, is_up: Callable[[], bool]) -> None:
        """Report whether Postgres answers and accepts writes, as this process last found."""
        self._gauge(
            "broker_database_up", "1 while the database answers and accepts writes, else 0.", ()
        ).set_function(lambda: float(is_up()))

    def _count_losses(self) -> None:
        self.process_restarts = self._counter(
            "broker_process_restarts",
            "Processes of `serve --workers` that ended unexpectedly in the place of this one, and "
            "were started again.",
            (),
        )
        self.refusals = self._counter(
            "broker_refusals",
            "Requests that the broker itself refused, by the code of the problem; what providers "
            "refuse is not among them.",
            ("code",),
        )
        self.refusals.labels("busy")
        self.connections_shed = self._counter(
            "broker_connections_shed",
            "Connections of callers closed because file descriptors ran short.",
            (),
        )
        Gauge(
            "broker_log_lines_lost",
            "Log lines dropped because standard error did not accept them.",
            registry=self.registry,
        ).set_function(log_writer.dropped_lines)

    def _counter(
        self, name: str, help_text: str, labels: tuple[str, ...] = ("outcome",)
    ) -> Counter:
        return Counter(name, help_text, labels, registry=self.registry)

    def _gauge(self, name: str, help_text: str, labels: tuple[str, ...]) -> Gauge:
        return Gauge(name, help_text, labels, registry=self.registry)

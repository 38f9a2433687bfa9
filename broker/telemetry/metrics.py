"""The metrics of one process."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from broker.telemetry import log_writer


class Metrics:
    """The counters of one process. Labels never name a user, a portal or a workspace."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "broker_request_seconds",
            "Time to answer, by route template and status class.",
            ["route", "status"],
            registry=self.registry,
        )
        self.connections_shed = Counter(
            "broker_connections_shed",
            "Connections of callers closed because file descriptors ran short.",
            registry=self.registry,
        )
        self.renewals = Counter(
            "broker_renewals",
            "Refresh requests sent to HubSpot, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.revocations = Counter(
            "broker_revocations",
            "Revocations of refresh tokens at HubSpot, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.quota = Counter(
            "broker_quota",
            "Calls that had to wait for quota, by whether they got it.",
            ["outcome"],
            registry=self.registry,
        )
        self.retries = Counter(
            "broker_retries",
            "Second tries of proxied calls: made, or left out because the budget was spent.",
            ["outcome"],
            registry=self.registry,
        )
        self.calls_dropped = Counter(
            "broker_calls_not_logged",
            "Proxied calls that the call log lacks, for the database was slow or away.",
            registry=self.registry,
        )
        Gauge(
            "broker_log_lines_lost",
            "Log lines that were not written, for the stream took none.",
            registry=self.registry,
        ).set_function(log_writer.dropped_lines)
        self.events = Counter(
            "broker_events",
            "HubSpot's events, by what became of them: told, duplicate, unknown-account, parked.",
            ["outcome"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "broker_deliveries",
            "Attempts to deliver an event, by outcome: delivered, waiting, dead.",
            ["outcome"],
            registry=self.registry,
        )
        self.runs = Counter(
            "broker_runs",
            "Runs of recipes, by what became of a turn: done, waiting, failed.",
            ["recipe", "outcome"],
            registry=self.registry,
        )

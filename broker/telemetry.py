"""What operators see of a running broker: redacted logs and metrics."""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from broker import lines
from broker.lines import Lines, scrub


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    return {name: scrub(value, str(name)) for name, value in event.items()}


def configure_logging(
    style: Literal["json", "console"] | None, stream: TextIO = sys.stderr, *, gather: bool = False
) -> None:
    """Send every record, ours and the libraries', through one redacting chain to `stream`.

    `gather`: lines are written together by a thread, some times a second, and at once when they
    warn; a stream that takes none holds up nobody.
    """
    style = style or ("console" if stream.isatty() else "json")
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            _redact,
            last,
        ],
    )
    handler = Lines(stream, gather=gather, plainly=style == "json")
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Authlib prints issued tokens at DEBUG; aiohttp's access line holds queries.
    logging.getLogger("authlib").setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("pogo_core").setLevel(logging.ERROR)


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
        self.calls_lost = Counter(
            "broker_calls_not_logged",
            "Proxied calls that the call log lacks, for the database was slow or away.",
            registry=self.registry,
        )
        Gauge(
            "broker_log_lines_lost",
            "Log lines that were not written, for the stream took none.",
            registry=self.registry,
        ).set_function(lines.lost)
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

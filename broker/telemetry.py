"""What operators see of a running broker: redacted logs and metrics."""

import logging
import re
import sys
from typing import Any, Literal, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

SECRET_FIELD = re.compile(
    r"(?i)(authorization|token|secret|password|verifier|cookie|api[-_]?key|ciphertext|^code$|^state$)"
)
SECRET_TEXT = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=:-]{8,}"
    r"|\bb[cskt]_[0-9a-f]{32}[A-Za-z0-9._~+/=-]*"
    r"|([?&](?:code|state|token|access_token|refresh_token|client_secret|hapikey)=)[^&\s\"']+"
)
REDACTED = "[redacted]"


def scrub(value: Any, name: str = "") -> Any:
    """The value with everything that looks or is named like a secret replaced."""
    if isinstance(value, dict):
        return {key: scrub(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(inner, name) for inner in value]
    if SECRET_FIELD.search(name):
        return REDACTED
    if isinstance(value, str):
        return SECRET_TEXT.sub(lambda found: (found.group(1) or "") + REDACTED, value)
    return value


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    return {name: scrub(value, str(name)) for name, value in event.items()}


def configure_logging(
    style: Literal["json", "console"] | None, stream: TextIO = sys.stderr
) -> None:
    """Send every record, ours and the libraries', through one redacting chain to `stream`."""
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
    handler = logging.StreamHandler(stream)
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

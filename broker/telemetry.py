"""What operators see of a running broker: redacted logs and metrics."""

import asyncio
import atexit
import logging
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
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
    style: Literal["json", "console"] | None, stream: TextIO = sys.stderr, *, gather: bool = False
) -> None:
    """Send every record, ours and the libraries', through one redacting chain to `stream`.

    `gather`: lines are written together, some times a second, and at once when they warn.
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


REQUESTS = "broker.request"
"""The logger of the one line that every request leaves."""

OURS = frozenset({"request_id", "route", "key", "app"})
"""Fields of a request's line that are made or checked here and cannot hold a secret."""

GATHER_S = 0.2


class Lines(logging.StreamHandler[TextIO]):
    """Writes lines to a stream. Where they are gathered, the lines of requests, whose fields are
    ours, take a short way past logging and its chain, unless they look as if they held a secret.
    """

    def __init__(self, stream: TextIO, *, gather: bool, plainly: bool) -> None:
        super().__init__(stream)
        self._gather = gather
        self._plainly = gather and plainly
        self._waiting: list[str | tuple[float, dict[str, Any]]] = []
        if gather:
            atexit.register(self.write_out)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._gather:
            super().emit(record)
            return
        self._put(self.format(record))
        if record.levelno >= logging.WARNING:
            self.write_out()

    def tell_request(self, fields: dict[str, Any]) -> bool:
        """Take the fields of a request's line; False where they must go the long way."""
        if self._plainly:
            self._put((time.time(), fields))
        return self._plainly

    def write_out(self) -> None:
        """Write the lines that wait."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            lines = [line if isinstance(line, str) else _plain_line(*line) for line in waiting]
            self.stream.write("\n".join([*lines, ""]))
            self.stream.flush()

    def _put(self, line: str | tuple[float, dict[str, Any]]) -> None:
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(GATHER_S, self.write_out)
            except RuntimeError:  # no loop is running
                self.write_out()


def tell_request(fields: dict[str, Any]) -> None:
    """One line about a request that ended."""
    handler = logging.root.handlers[0] if logging.root.handlers else None
    if not (isinstance(handler, Lines) and handler.tell_request(fields)):
        logging.getLogger(REQUESTS).info("answered", extra=fields)


def _plain_line(at: float, fields: dict[str, Any]) -> str:
    told = {
        **fields,
        "event": "answered",
        "level": "info",
        "logger": REQUESTS,
        "timestamp": f"{datetime.fromtimestamp(at, UTC).isoformat()[:-6]}Z",
    }
    # Looking through a whole line costs more than writing it, and these are words of ours.
    if any(
        isinstance(value, str) and SECRET_TEXT.search(value)
        for name, value in fields.items()
        if name not in OURS
    ):
        told = scrub(told)
    return orjson.dumps(told, default=str).decode()


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

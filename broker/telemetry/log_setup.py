"""Logging setup: every record, the libraries' too, passes one redacting chain."""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

from broker.telemetry.log_writer import LogHandler
from broker.telemetry.redaction import scrub


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    return {name: scrub(value, str(name)) for name, value in event.items()}


def configure_logging(
    style: Literal["json", "console"] | None, stream: TextIO = sys.stderr, *, gather: bool = False
) -> None:
    """Send every record, the libraries' too, through one redacting chain to `stream`.

    `gather`: lines are written together by a thread, some times a second, and at once when they
    warn; a stream that blocks delays nothing else.
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
    handler = LogHandler(stream, gather=gather, plainly=style == "json")
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # Authlib prints issued tokens at DEBUG; aiohttp's access line holds queries.
    logging.getLogger("authlib").setLevel(logging.INFO)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("pogo_core").setLevel(logging.ERROR)

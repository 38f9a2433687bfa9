"""Log lines on their way out: redacted, gathered, and never waited for."""

import asyncio
import atexit
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

import orjson

from broker.telemetry.redaction import looks_secret, scrub

REQUEST_LOGGER = "broker.request"
"""The logger of the one line that every request leaves."""

SAFE_FIELDS = frozenset({"request_id", "method", "route", "key", "error"})
"""Fields of a request's line that are made or checked here and cannot hold a secret."""

BATCH_S = 0.05

MAX_BUFFERED_CHARS = 8_388_608
"""How many characters wait for a stream that takes none; later lines are counted and lost."""

FLUSH_TIMEOUT_S = 2.0
"""How long a process that ends waits for the stream to take what is left."""


class LogWriter:
    """Writes texts to a stream in a thread of its own, so that a stream that takes nothing, such as
    a pipe that nobody reads, holds up nobody else.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: deque[tuple[str, int]] = deque()
        self._size = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Lines that were not written, for too many waited."""
        self._reported = 0

    def put(self, text: str, lines: int) -> None:
        """Have some lines written, unless too much waits already."""
        with self._wake:
            if self._size + len(text) > MAX_BUFFERED_CHARS:
                self.dropped += lines
                return
            self._texts.append((text, lines))
            self._size += len(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def drain(self, seconds: float) -> None:
        """Wait until all is written, for so long at most."""
        with self._wake:
            self._wake.wait_for(lambda: not self._size, seconds)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._texts)
                text, _ = self._texts.popleft()
                lost, self._reported = self.dropped - self._reported, self.dropped
            if lost:
                text += render_line(time.time(), {"event": "lines lost", "lines": lost}) + "\n"
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                pass  # a stream that is gone must not end what it told of
            with self._wake:
                self._size = sum(len(each) for each, _ in self._texts)
                self._wake.notify_all()


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream. Where they are gathered, the lines of requests, whose fields are
    ours, take a short way past logging and its chain, unless they look as if they held a secret.
    """

    def __init__(self, stream: TextIO, *, gather: bool, plainly: bool) -> None:
        super().__init__(stream)
        self._gather = gather
        self._plainly = gather and plainly
        self._waiting: list[str | tuple[float, dict[str, Any]]] = []
        self.writer = LogWriter(stream)
        if gather:
            atexit.register(self._flush_at_exit)

    def emit(self, record: logging.LogRecord) -> None:
        if not self._gather:
            super().emit(record)
            return
        self._put(self.format(record))
        if record.levelno >= logging.WARNING:
            self.flush_batch()

    def log_request(self, fields: dict[str, Any]) -> bool:
        """Take the fields of a request's line; False where they must go the long way."""
        if self._plainly:
            self._put((time.time(), fields))
        return self._plainly

    def flush_batch(self) -> None:
        """Write the lines that wait."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            lines = [line if isinstance(line, str) else render_line(*line) for line in waiting]
            self.writer.put("\n".join([*lines, ""]), len(lines))

    def _flush_at_exit(self) -> None:
        self.flush_batch()
        self.writer.drain(FLUSH_TIMEOUT_S)

    def _put(self, line: str | tuple[float, dict[str, Any]]) -> None:
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(BATCH_S, self.flush_batch)
            except RuntimeError:  # no loop is running
                self.flush_batch()


def log_request(fields: dict[str, Any]) -> None:
    """One line about a request that ended."""
    handler = logging.root.handlers[0] if logging.root.handlers else None
    if not (isinstance(handler, LogHandler) and handler.log_request(fields)):
        logging.getLogger(REQUEST_LOGGER).info("answered", extra=fields)


def dropped_lines() -> int:
    """How many lines of this process were not written."""
    handler = logging.root.handlers[0] if logging.root.handlers else None
    return handler.writer.dropped if isinstance(handler, LogHandler) else 0


def render_line(at: float, fields: dict[str, Any]) -> str:
    """A line as JSON; `at` is in seconds since 1970."""
    second = int(at)
    told = {
        "event": "answered",
        "level": "info",
        "logger": REQUEST_LOGGER,
        "timestamp": f"{_second(second)}.{int((at - second) * 1e6):06d}Z",
        **fields,
    }
    # Looking through a whole line costs more than writing it, and these are words of ours.
    for name, value in fields.items():
        if name not in SAFE_FIELDS and isinstance(value, str) and looks_secret(value):
            told = scrub(told)
            break
    return orjson.dumps(told, default=str).decode()


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")

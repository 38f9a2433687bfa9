"""Log lines on their way out: redacted, written in batches by a thread, and never waited for."""

import asyncio
import atexit
import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO
from uuid import UUID

import orjson

from broker.telemetry.redaction import looks_secret, scrub

REQUEST_LOGGER = "broker.request"
"""The logger of the one line that every request leaves."""

BEGINNING = f'{{"event":"answered","level":"info","logger":"{REQUEST_LOGGER}",'

SAFE_FIELDS = frozenset({"request_id", "method", "route", "key", "error"})
"""Fields of a request's line that are made or checked by the broker and cannot hold a secret."""

CALL_FIELDS = frozenset({"request_id", "method", "key", "app", "route", "status", "ms"})
"""Fields of the line of a proxied call, of which only the id and the time differ between calls."""

BATCH_S = 0.05

MAX_BUFFERED_CHARS = 8_388_608
"""How many characters are buffered for a stream that blocks; later lines are dropped, counted."""

FLUSH_TIMEOUT_S = 2.0
"""How long a process that ends waits for the stream to accept the rest."""


class LogWriter:
    """Writes texts to a stream in a thread of its own, so that a stream that blocks, such as a full
    pipe without a reader, delays nothing else.
    """

    def __init__(self, stream: TextIO, max_chars: int = MAX_BUFFERED_CHARS) -> None:
        self._stream = stream
        self._max_chars = max_chars
        self._texts: deque[tuple[str, int]] = deque()
        self._size = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self.dropped = 0
        """Lines that were not written because the buffer was full."""
        self._reported = 0

    def put(self, text: str, lines: int) -> None:
        """Buffer some lines to be written, or count them as dropped when the buffer is full."""
        with self._wake:
            if self._size + len(text) > self._max_chars:
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
                dropped = {"event": "log_lines_dropped", "level": "warning", "lines": lost}
                text += render_line(time.time(), dropped) + "\n"
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                pass  # a closed stream must not end the process that logs
            with self._wake:
                self._size = sum(len(each) for each, _ in self._texts)
                self._wake.notify_all()


class LogHandler(logging.StreamHandler[TextIO]):
    """Writes lines to a stream. Where they are gathered, the lines of requests, whose fields the
    broker makes, take a fast path past logging and its chain, unless one looks like a secret.
    """

    def __init__(self, stream: TextIO, *, gather: bool, plainly: bool) -> None:
        super().__init__(stream)
        self._gather = gather
        self._plainly = gather and plainly
        self._batch: list[str | tuple[float, dict[str, Any]]] = []
        self._batch_lock = threading.Lock()
        self._flushed_by: asyncio.AbstractEventLoop | None = None
        """The loop that will write the batch. One that ends before it does so is replaced by the
        next that logs.
        """
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
        """Accept the fields of a request's line; False where it must go through logging."""
        if self._plainly:
            self._put((time.time(), fields))
        return self._plainly

    def flush_batch(self) -> None:
        """Write the gathered lines."""
        with self._batch_lock:
            batch, self._batch, self._flushed_by = self._batch, [], None
        if batch:
            lines = [line if isinstance(line, str) else render_line(*line) for line in batch]
            self.writer.put("\n".join([*lines, ""]), len(lines))

    def _flush_at_exit(self) -> None:
        self.flush_batch()
        self.writer.drain(FLUSH_TIMEOUT_S)

    def _put(self, line: str | tuple[float, dict[str, Any]]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a thread without a loop, which nothing would wake
            loop = None
        with self._batch_lock:
            self._batch.append(line)
            scheduled = loop is self._flushed_by
            self._flushed_by = loop
        if loop is None:
            self.flush_batch()
        elif not scheduled:
            loop.call_later(BATCH_S, self.flush_batch)


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
    timestamp = f"{_second(second)}.{int((at - second) * 1e6):06d}Z"
    if fields.keys() == CALL_FIELDS:
        constant = _constant(
            *(fields["method"], fields["key"], fields["app"], fields["route"], fields["status"])
        )
        return (
            f'{BEGINNING}"timestamp":"{timestamp}","request_id":"{fields["request_id"]}",'
            f'{constant},"ms":{fields["ms"]}}}'
        )
    line = {
        "event": "answered",
        "level": "info",
        "logger": REQUEST_LOGGER,
        "timestamp": timestamp,
        **fields,
    }
    # Searching a whole line costs more than writing it, and most fields are the broker's own.
    for name, value in fields.items():
        if name not in SAFE_FIELDS and isinstance(value, str) and looks_secret(value):
            line = scrub(line)
            break
    return orjson.dumps(line, default=str).decode()


@lru_cache(maxsize=1024)
def _constant(method: str, key: UUID, app: str, route: str, status: int) -> str:
    """What the lines of a key's calls to an app have in common."""
    fields = {"method": method, "key": key, "app": app, "route": route, "status": status}
    fields = scrub(fields) if looks_secret(app) else fields
    return orjson.dumps(fields, default=str).decode()[1:-1]


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")

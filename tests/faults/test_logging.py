"""Log lines whose stream blocks, or is gone, or whose loop ends."""

import asyncio
import io
import json
import logging
import os
import threading
from contextlib import suppress
from uuid import uuid4

import pytest

from broker.telemetry.log_setup import configure_logging
from broker.telemetry.log_writer import LogHandler, LogWriter, render_line

CONTACTS = "/crm/v3/objects/contacts"


async def test_a_log_that_nobody_reads_fails_no_call(broker, start_process):
    """O8: the pipe is full after 64 kB, and calls go on."""
    await broker.connects("u1")
    reader, writer = os.pipe()
    process, url = await start_process(stderr=writer, BROKER_LOG_FORMAT="json")
    os.close(writer)

    async def calls():
        answers = [broker.asks("GET", f"{url}/healthz?{n:040}") for n in range(50)]
        return {answer.status for answer in await asyncio.gather(*answers)}

    statuses = set().union(*[await calls() for _ in range(20)])
    proxied = (await broker.asks("GET", f"{url}/proxy/hbdev/u1{CONTACTS}")).status

    assert statuses == {200}
    assert proxied == 200

    def read():
        with os.fdopen(reader, "rb") as pipe:
            return pipe.read().decode().splitlines()

    reading = asyncio.to_thread(read)
    process.terminate()
    lines = await asyncio.wait_for(reading, 30)
    assert len(lines) > 1000
    assert sum(json.loads(line)["event"] == "answered" for line in lines) > 1000


class Blocked(io.StringIO):
    """A stream that blocks until it is set free."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def write(self, text):
        self.free.wait(20)
        return super().write(text)


def test_the_buffer_is_bounded_and_dropped_lines_are_counted():
    """O8."""
    stream = Blocked()
    writer = LogWriter(stream, max_chars=1000)

    for n in range(100):
        writer.put(f"{n:099}\n", 1)
    lost = writer.dropped
    stream.free.set()
    writer.put("last\n", 1)
    writer.drain(10)
    writer.put("more\n", 1)
    writer.drain(10)

    text = stream.getvalue()
    assert 88 <= lost <= 91
    assert text.count("\n") >= 100 - lost + 2
    dropped = [
        json.loads(line)["lines"] for line in text.splitlines() if "log_lines_dropped" in line
    ]
    assert sum(dropped) == writer.dropped  # at once or bit by bit, as its thread comes to it


def test_a_stream_that_is_gone_ends_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    out = LogWriter(stream)
    out.put("a\n", 1)
    out.drain(10)
    out.put("b\n", 1)
    out.drain(10)

    assert out.dropped == 0
    with suppress(OSError):
        stream.close()


def logged(handler, stream):
    handler.writer.drain(10)
    return [json.loads(line).get("n") for line in stream.getvalue().splitlines()]


def test_lines_of_a_loop_that_ends_early_are_written_with_the_next_loop_s():
    stream = io.StringIO()
    handler = LogHandler(stream, gather=True, plainly=True)

    async def logs(number, seconds):
        handler.log_request({"n": number})
        await asyncio.sleep(seconds)

    asyncio.run(logs(1, 0))  # ends before its batch is due
    assert logged(handler, stream) == []
    asyncio.run(logs(2, 0.2))

    assert logged(handler, stream) == [1, 2]


def test_a_thousand_threads_log_each_line_once():
    stream = io.StringIO()
    handler = LogHandler(stream, gather=True, plainly=True)
    threads = [
        threading.Thread(target=handler.log_request, args=({"n": number},))
        for number in range(1000)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert sorted(logged(handler, stream)) == list(range(1000))


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_is_logged_without_its_secrets_and_a_text_stays_in_its_line(style):
    """O2, O3."""
    stream, root = io.StringIO(), logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging(style, stream)
        error = ValueError("https://x/callback?code=c0de-1&state=st4te-2 Bearer t0ken-of-3")
        root.error("unexpected_error", exc_info=error)
        plain = stream.getvalue()
        root.warning("odd_agent", extra={"agent": "a\r\n{} \x1b[31mred\x1b[0m"})
        line = stream.getvalue().removeprefix(plain)
    finally:
        root.handlers[:], level = before
        root.setLevel(level)

    assert "ValueError" in plain
    assert not [secret for secret in ("c0de-1", "st4te-2", "t0ken-of-3") if secret in plain]
    assert line.count("\n") == 1
    assert "\r" not in line
    assert "\x1b" not in line


def test_tokens_of_every_kind_are_redacted():
    """2.17."""
    for prefix in ("bc", "bs", "bk", "bt", "cs", "co"):
        token = f"{prefix}_{'0123456789abcdef' * 2}secret-part"
        line = render_line(0, {"route": "/x", "path": f"/a/{token}/b"})
        assert "secret-part" not in line, prefix


def test_the_line_of_a_call_is_the_same_json_as_any_other():
    fields = {
        "request_id": "a" * 32,
        "method": "GET",
        "key": uuid4(),
        "app": 'a"b',
        "route": "/{x}",
    }
    fields |= {"status": 200, "ms": 0.05}
    for at, app in ((0, 'a"b'), (1_764_000_000.25, "demo"), (1.5, f"bs_{'0123456789abcdef' * 2}")):
        fields["app"] = app
        line, other = render_line(at, fields), render_line(at, {**fields, "error": "x"})
        assert line == other.replace(',"error":"x"', "")
        assert json.loads(line)["level"] == "info"

"""Whoever should take the log lines does not."""

import asyncio
import io
import json
import os
import threading
from contextlib import suppress

from broker.telemetry import log_writer
from broker.telemetry.log_writer import LogWriter

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
    told = await asyncio.wait_for(reading, 30)
    assert len(told) > 1000
    assert sum(json.loads(line)["event"] == "answered" for line in told) > 1000


class Held(io.StringIO):
    """A stream that takes nothing until it may."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()

    def write(self, text):
        self.free.wait(20)
        return super().write(text)


def test_what_waits_is_bounded_and_what_is_lost_is_counted(monkeypatch):
    """O8."""
    monkeypatch.setattr(log_writer, "MAX_BUFFERED_CHARS", 1000)
    stream = Held()
    writer = LogWriter(stream)

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
    told = [json.loads(line)["lines"] for line in text.splitlines() if "lines lost" in line]
    assert sum(told) == writer.dropped  # at once or bit by bit, as its thread comes to it


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

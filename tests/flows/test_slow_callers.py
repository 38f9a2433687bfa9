"""Callers who begin and do not go on: they hold nothing for ever."""

import asyncio
from contextlib import asynccontextmanager

from yarl import URL

from broker.web import parsing, passing, refusing

HEAD = "{} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n"


@asynccontextmanager
async def connection(broker):
    reader, writer = await asyncio.open_connection("localhost", URL(broker.url).port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_a_connection_that_asks_nothing_is_ended(broker, monkeypatch):
    """L4: also one that sends a head byte by byte; one that has asked is kept."""
    monkeypatch.setattr(refusing, "FIRST_REQUEST_S", 0.5)
    async with (
        connection(broker) as (silent, _),
        connection(broker) as (dripping, drip),
        connection(broker) as (asking, ask),
    ):
        ask.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        await asking.readuntil(b"\r\n\r\n")
        ended = asyncio.gather(silent.read(), dripping.read())
        for byte in b"GET /healthz HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy":
            if ended.done():
                break
            drip.write(bytes([byte]))
            await asyncio.sleep(0.05)

        assert await asyncio.wait_for(ended, 5) == [b"", b""]
        ask.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await asyncio.wait_for(asking.readuntil(b"\r\n\r\n"), 5)


async def test_a_body_that_does_not_come_ends_its_request(broker, hubspot, monkeypatch):
    """L4: of a proxied call, and of any other."""
    monkeypatch.setattr(parsing, "BODY_S", 0.5)
    await broker.connects("u1")
    hubspot.seen.clear()
    for line in ("POST /proxy/hbdev/u1/_echo/x", "POST /api/apps", "POST /oauth/token"):
        async with connection(broker) as (reader, writer):
            head = HEAD.format(line, broker.key) + "Content-Length: 100\r\n\r\n{"
            writer.write(head.encode())
            answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).decode()

            assert " 400 " in answer.partition("\r\n")[0], line
            assert "invalid-request" in answer or "oauth" in line
    assert not hubspot.seen


async def test_an_answer_that_nobody_reads_is_let_go_of(broker, monkeypatch):
    """L4: its connection to HubSpot too, and many that are small but pile up in one connection."""
    monkeypatch.setattr(passing, "READING_S", 0.5)
    await broker.connects("u1")
    large = HEAD.format("GET /proxy/hbdev/u1/_bytes/50000000", broker.key) + "\r\n"
    small = HEAD.format("GET /proxy/hbdev/u1/_bytes/60000", broker.key) + "\r\n"
    async with connection(broker) as (_, once), connection(broker) as (_, often):
        once.transport.pause_reading()
        often.transport.pause_reading()
        once.write(large.encode())
        often.write(small.encode() * 300)

        for _ in range(100):
            await broker.parts.call_log.write()
            page = await broker.asks("GET", "/api/apps/hbdev/calls", params={"limit": "500"})
            ended = {call["error"] for call in page.json()["calls"]}
            if {"answer-cut", "caller-left"} <= ended:
                break
            await asyncio.sleep(0.1)

        assert {"answer-cut", "caller-left"} <= ended
        assert broker.parts.hubspot.under_way == 0

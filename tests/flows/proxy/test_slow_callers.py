"""Callers who begin and do not go on: they hold nothing for ever."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from broker.web.core import http_server, requests
from tests.until import until

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
    monkeypatch.setattr(http_server, "FIRST_REQUEST_TIMEOUT_S", 0.5)
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
    monkeypatch.setattr(requests, "BODY_S", 0.5)
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


RAW = b'{"userForeignIdentifier":"u1","method":"GET","url":"/_bytes/60000"}'
RAW_HEAD = f"Content-Type: application/json\r\nContent-Length: {len(RAW)}\r\n"


def callers_served():
    """Connections that the broker looks after in this process, which the sandbox is in too."""
    frames = [getattr(task.get_coro(), "cr_frame", None) for task in asyncio.all_tasks()]
    served = [frame.f_locals.get("self") for frame in frames if frame is not None]
    return sum(isinstance(each, http_server.ConnectionHandler) for each in served)


@pytest.mark.parametrize(
    ("line", "more", "body", "times"),
    [
        ("GET /proxy/hbdev/u1/_bytes/50000000", "", b"", 1),
        ("GET /proxy/hbdev/u1/_bytes/60000", "", b"", 300),
        ("POST /api/raw/hbdev", RAW_HEAD, RAW, 300),
        ("GET /openapi.json", "", b"", 300),
    ],
)
async def test_an_answer_that_nobody_reads_is_let_go_of(
    broker, monkeypatch, line, more, body, times
):
    """L4: a large one, and small ones that pile up, of HubSpot's or ours; and HubSpot is free."""
    monkeypatch.setattr(http_server, "WRITE_STALL_TIMEOUT_S", 0.5)
    await broker.connects("u1")
    for _ in range(3):  # so that proxied calls may take the fast path
        await broker.proxies("/_echo/warm")
    before = callers_served()
    async with connection(broker) as (_, writer):
        writer.transport.pause_reading()
        request = (HEAD.format(line, broker.key) + more + "\r\n").encode() + body
        writer.write(request * times)
        await until(lambda: callers_served() != before)

        await until(lambda: callers_served() <= before, within=10)

    assert broker.parts.providers.in_flight == 0


async def test_an_answer_that_is_read_slowly_comes_whole(broker, monkeypatch):
    """However long it takes, as long as some of it is taken."""
    monkeypatch.setattr(http_server, "WRITE_STALL_TIMEOUT_S", 0.5)
    await broker.connects("u1")
    head = HEAD.format("GET /proxy/hbdev/u1/_bytes/12000000", broker.key)
    async with connection(broker) as (reader, writer):
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        got = 0
        while part := await reader.read(400_000):
            got += len(part)
            await asyncio.sleep(0.05)

    assert got == 12_000_000

"""How much memory senders may hold before they have proved who they are."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from broker.errors import BrokerError
from broker.web.core import unproved
from broker.web.core.unproved import UnprovedBodies

LARGE = unproved.SMALL_BYTES + 1


@asynccontextmanager
async def receiving(bodies, at_most=10_000_000):
    """The port of a server that answers what it read, or 503."""

    async def handle(request):
        seen = []
        try:
            body = await bodies.read(request, at_most, seen.append)
        except BrokerError as refusal:
            return web.Response(status=refusal.status)
        assert b"".join(seen) == body
        return web.Response(text=str(len(body)))

    runner = web.ServerRunner(web.Server(handle), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def begin(port, length, sent):
    """A connection that has sent some of a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
    writer.write(b"x" * sent)
    await writer.drain()
    return reader, writer


async def status(reader):
    return (await asyncio.wait_for(reader.readline(), 10)).split()[1]


async def refused(bodies, port):
    """Wait until the budget for large bodies is used up."""
    async with asyncio.timeout(10):
        while True:
            reader, writer = await begin(port, LARGE, 60_000)
            answer = asyncio.create_task(reader.readline())
            done, _ = await asyncio.wait({answer}, timeout=0.2)
            answer.cancel()
            writer.close()
            if done:
                return answer.result().split()[1]


@pytest.fixture
async def bodies():
    return UnprovedBodies(small_budget=100_000, large_budget=300_000)


async def test_bodies_of_strangers_hold_no_more_than_their_budget(bodies):
    """2.5: those that come when it is used up are refused, and it is free again when others go."""
    async with receiving(bodies) as port:
        holding = [await begin(port, LARGE, 140_000) for _ in range(2)]
        assert await refused(bodies, port) == b"503"
        for _, writer in holding:
            writer.close()
        async with asyncio.timeout(10):
            while True:
                reader, writer = await begin(port, LARGE, LARGE)
                answer = await status(reader)
                writer.close()
                if answer == b"200":
                    break


async def test_large_bodies_leave_room_for_small_ones(bodies):
    async with receiving(bodies) as port:
        holding = [await begin(port, LARGE, 140_000) for _ in range(2)]
        assert await refused(bodies, port) == b"503"
        reader, writer = await begin(port, 50_000, 50_000)

        assert await status(reader) == b"200"
        for _, each in (*holding, (reader, writer)):
            each.close()


async def test_a_body_that_does_not_arrive_gives_back_what_it_held(bodies, monkeypatch):
    monkeypatch.setattr(unproved, "TIMEOUT_S", 0.3)
    async with receiving(bodies) as port:
        reader, writer = await begin(port, LARGE, 200_000)
        async with asyncio.timeout(10):
            await reader.readline()
        writer.close()
        reader, writer = await begin(port, LARGE, LARGE)

        assert await status(reader) == b"200"
        writer.close()

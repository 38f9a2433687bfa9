"""The fast path's connection, with a toy path: what is its own, and what stays aiohttp's."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiohttp import web

from broker.telemetry.metrics import Metrics
from broker.web.core import http_server
from broker.web.core.descriptors import DescriptorGuard
from broker.web.core.middleware import FAST_CALL, RequestLog, observe_requests
from broker.web.core.runner import AppRunner
from tests.until import until


class ToyCall:
    def __init__(self, path, body):
        self.started = 0.0
        self.request_id = f"id of {path}"
        self.fields = {"request_id": self.request_id}
        self.body = body
        self.ended = []

    def end(self, *, sent):
        self.ended.append(sent)


class ToyPath:
    """Takes what begins with `/fast` and answers it when it is told to."""

    def __init__(self):
        self.calls = []
        self.connections = []

    def begin(self, request, connection):
        if not request.path.startswith("/fast"):
            return None
        call = ToyCall(request.path, request.body)
        self.calls.append(call)
        self.connections.append(connection)
        return call

    def respond(self, at=-1, text=b"fast"):
        self.connections[at].respond(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
        )


async def ordinary(request):
    fast_call = request.get(FAST_CALL)
    text = f"{request.path} {fast_call.request_id if fast_call else ''} {await request.text()}"
    return web.Response(text=text)


@asynccontextmanager
async def served(**settings):
    app, path, metrics = web.Application(), ToyPath(), Metrics()
    app.router.add_route("*", "/{rest:.*}", ordinary)
    around = partial(observe_requests, requests=RequestLog(metrics))
    runner = AppRunner(
        app, around, DescriptorGuard(10_000, metrics.connections_shed), path, **settings
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield path, runner
    finally:
        await runner.cleanup()


@asynccontextmanager
async def connected(runner):
    reader, writer = await asyncio.open_connection("127.0.0.1", runner.addresses[0][1])
    try:
        yield reader, writer
    finally:
        writer.close()


def get(path, method="GET", body=""):
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}\r\n{body}".encode()


def kept_back(runner):
    """How many bytes wait for the end of the call on the one connection."""
    (connection,) = runner.server.connections
    return len(connection._deferred)  # noqa: SLF001  # nothing outside tells that they have come


async def answer(reader):
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
    return (await reader.readexactly(length)).decode()


async def test_a_call_is_answered_and_the_next_may_be_any():
    async with served() as (path, runner), connected(runner) as (reader, writer):
        for n in range(3):
            writer.write(get(f"/fast/{n}"))
            await until(lambda n=n: len(path.calls) == n + 1)
            path.respond()
            assert await answer(reader) == "fast"
            writer.write(get("/other", "POST", "a body"))
            assert await answer(reader) == "/other  a body"

        assert [call.ended for call in path.calls] == [[True]] * 3


async def test_what_comes_meanwhile_waits_its_turn():
    """The second request, a part of the third, and the rest of it after the first is answered."""
    async with served() as (path, runner), connected(runner) as (reader, writer):
        writer.write(get("/fast/1"))
        await until(lambda: len(path.calls) == 1)
        third = get("/other/3", "POST", "whole")
        writer.write(get("/fast/2") + third[:-3])
        await asyncio.sleep(0.05)
        assert len(path.calls) == 1
        path.respond(text=b"one")
        await until(lambda: len(path.calls) == 2)
        path.respond(text=b"two")
        writer.write(third[-3:])

        assert [await answer(reader) for _ in range(3)] == ["one", "two", "/other/3  whole"]


async def test_a_call_that_is_handed_over_keeps_its_id_and_its_place():
    async with served() as (path, runner), connected(runner) as (reader, writer):
        writer.write(get("/fast/1", "POST", "abc") + get("/other"))
        await until(lambda: len(path.calls) == 1)
        assert path.calls[0].body == b"abc"
        path.connections[0].hand_over()

        assert (await answer(reader)).startswith("/fast/1 id of /fast/1")
        assert await answer(reader) == "/other  "
        assert path.calls[0].ended == [], "the handler's to end"


@pytest.mark.parametrize("handed_over", [False, True])
async def test_a_caller_who_leaves_ends_the_call(handed_over):
    async with served() as (path, runner), connected(runner) as (_, writer):
        writer.write(get("/fast/1"))
        await until(lambda: len(path.calls) == 1)
        if handed_over:
            path.connections[0].hand_over()
            path.connections[0].connection_lost(None)
        writer.transport.abort()

        await until(lambda: path.calls[0].ended)

    assert path.calls[0].ended == [False]


async def test_a_stop_waits_for_the_call_and_ends_the_connection():
    async with served(shutdown_timeout=10) as (path, runner), connected(runner) as (reader, writer):
        writer.write(get("/fast/1"))
        await until(lambda: len(path.calls) == 1)
        stopping = asyncio.create_task(runner.cleanup())
        await asyncio.sleep(0.05)
        assert not stopping.done()
        path.respond(text=b"late")

        assert await answer(reader) == "late"
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await asyncio.wait_for(stopping, 5)
    assert path.calls[0].ended == [True]


async def test_a_stop_waits_for_the_handler_of_a_call_that_was_handed_over():
    async with served(shutdown_timeout=10) as (path, runner), connected(runner) as (reader, writer):
        writer.write(get("/fast/1") + get("/fast/2"))
        await until(lambda: len(path.calls) == 1)
        stopping = asyncio.create_task(runner.cleanup())
        await asyncio.sleep(0.05)
        path.connections[0].hand_over()

        assert (await answer(reader)).startswith("/fast/1 id of /fast/1")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        await asyncio.wait_for(stopping, 5)
    assert len(path.calls) == 1, "what came meanwhile is not begun"


async def test_a_stop_does_not_wait_for_ever():
    async with (
        served(shutdown_timeout=0.1) as (path, runner),
        connected(runner) as (reader, writer),
    ):
        writer.write(get("/fast/1"))
        await until(lambda: len(path.calls) == 1)

        await asyncio.wait_for(runner.cleanup(), 5)

        assert await asyncio.wait_for(reader.read(), 5) == b""
    assert path.calls[0].ended == [False]


async def test_the_keep_alive_time_begins_after_each_call_and_never_ends_one():
    async with (
        served(keepalive_timeout=0.3) as (path, runner),
        connected(runner) as (
            reader,
            writer,
        ),
    ):
        for n in range(4):
            writer.write(get("/fast"))
            await until(lambda n=n: len(path.calls) == n + 1)
            await asyncio.sleep(0.5 if n == 0 else 0.15)
            path.respond()
            assert await answer(reader) == "fast"

        assert await asyncio.wait_for(reader.read(), 5) == b"", "it ends once nothing comes"


async def test_a_request_to_close_is_the_last():
    async with served() as (path, runner), connected(runner) as (reader, writer):
        writer.write(get("/fast").replace(b"Host", b"Connection: close\r\nHost"))
        await until(lambda: len(path.calls) == 1)
        path.respond()

        assert await answer(reader) == "fast"
        assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_response_that_is_not_read_ends_the_call_once_it_is():
    async with served() as (path, runner), connected(runner) as (reader, writer):
        writer.transport.pause_reading()
        writer.write(get("/fast"))
        await until(lambda: len(path.calls) == 1)
        path.respond(text=b"y" * 8_000_000)
        await asyncio.sleep(0.05)
        assert path.calls[0].ended == []
        writer.transport.resume_reading()

        assert len(await answer(reader)) == 8_000_000
        await until(lambda: path.calls[0].ended == [True])


async def test_a_response_that_nobody_reads_ends_its_call_and_its_connection(monkeypatch):
    """L4."""
    monkeypatch.setattr(http_server, "WRITE_STALL_TIMEOUT_S", 0.2)
    async with served() as (path, runner), connected(runner) as (_, writer):
        writer.transport.pause_reading()
        writer.write(get("/fast"))
        await until(lambda: len(path.calls) == 1)
        path.respond(text=b"y" * 8_000_000)

        await until(lambda: path.calls[0].ended)
        await until(lambda: not runner.server.connections)

    assert path.calls[0].ended == [False]


@pytest.mark.parametrize("meanwhile", [False, True])
async def test_what_is_not_http_gets_the_servers_refusal(meanwhile):
    """Alone, and while a call is under way."""
    async with served() as (path, runner), connected(runner) as (reader, writer):
        if meanwhile:
            writer.write(get("/fast"))
            await until(lambda: len(path.calls) == 1)
        writer.write(b"nonsense\r\n\r\n")
        if meanwhile:
            await asyncio.sleep(0.05)
            path.respond()
            assert await answer(reader) == "fast"

        assert b" 400 " in await asyncio.wait_for(reader.readline(), 5)


@pytest.mark.parametrize("size", [60_000, 200_000, 900_000])
async def test_a_long_body_that_waited_is_given_to_the_handler_whole(size):
    """And bodies after it are read as ever."""
    async with served() as (path, runner), connected(runner) as (reader, writer):
        writer.write(get("/fast"))
        await until(lambda: len(path.calls) == 1)
        body = "".join(chr(97 + n % 26) for n in range(size))
        writer.write(get("/other", "POST", body))
        await until(lambda: kept_back(runner) > 50_000)
        await asyncio.sleep(0.05)
        assert kept_back(runner) < 400_000, "the rest is not read yet"
        path.respond()

        assert await answer(reader) == "fast"
        assert await answer(reader) == f"/other  {body}"
        for n in range(2):
            writer.write(get("/other", "POST", f"{n}" * 1000))
            assert await answer(reader) == "/other  " + f"{n}" * 1000


async def test_a_long_body_that_comes_at_once_is_given_to_the_handler_whole():
    async with served() as (_, runner), connected(runner) as (reader, writer):
        for size in (140_000, 200_000, 250_000):
            writer.write(get("/other", "POST", "x" * size))
            assert await answer(reader) == "/other  " + "x" * size


async def test_requests_in_any_pieces_are_answered_in_turn():
    """Cut anywhere, also inside a body, and with the fast path's among the handler's."""
    bodies = ["", "b" * 70, "c" * 300_000]
    sent = b"".join(
        get(f"/{kind}/{n}", "POST" if body else "GET", body)
        for n, body in enumerate(bodies * 2)
        for kind in ("fast", "other")
    )
    for size in (1, 7, 90, 4_000, 65_536):
        async with served() as (path, runner), connected(runner) as (reader, writer):
            answers = asyncio.create_task(collect(reader, 12))
            for at in range(0, len(sent), size * 400 if size == 1 else size):
                writer.write(sent[at : at + size * 400] if size == 1 else sent[at : at + size])
                await asyncio.sleep(0)
                while path.calls and not path.calls[-1].ended:
                    path.respond(text=path.calls[-1].body or b"fast")
            while not answers.done():
                await asyncio.sleep(0)
                if path.calls and not path.calls[-1].ended:
                    path.respond(text=path.calls[-1].body or b"fast")
            got = await answers

        for n, body in enumerate(bodies * 2):
            fast, other = got[2 * n : 2 * n + 2]
            assert fast in (body or "fast", f"/fast/{n}  {body}"), (size, n)
            assert other == f"/other/{n}  {body}", (size, n)


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /other HTTP/1.1\r\nX-Rest: ",
        b"POST /other HTTP/1.1\r\nContent-Length: %d\r\nHost: x\r\n\r\n",
    ],
)
async def test_what_looks_like_a_request_inside_another_is_none(begin):
    """In a header's value and in a body, each in a piece of its own."""
    inside = get("/fast")
    async with served() as (path, runner), connected(runner) as (reader, writer):
        writer.write(begin % len(inside) if b"%d" in begin else begin)
        await asyncio.sleep(0.05)
        writer.write(inside)

        assert (await answer(reader)).startswith("/other")
        assert path.calls == []


async def collect(reader, count):
    return [await answer(reader) for _ in range(count)]


async def test_a_body_that_comes_after_its_head_leaves_the_next_call_to_the_fast_path():
    async with served() as (path, runner), connected(runner) as (reader, writer):
        for n in range(3):
            request = get(f"/fast/{n}", "POST", "body")
            writer.write(request[:-4])
            await asyncio.sleep(0.02)
            writer.write(request[-4:])
            assert await answer(reader) == f"/fast/{n}  body"
            writer.write(get("/fast"))
            await until(lambda n=n: len(path.calls) == n + 1)
            path.respond()
            assert await answer(reader) == "fast"


async def test_the_keep_alive_time_begins_again_after_a_request_of_the_handlers():
    async with (
        served(keepalive_timeout=0.6) as (path, runner),
        connected(runner) as (reader, writer),
    ):
        writer.write(get("/fast"))
        await until(lambda: len(path.calls) == 1)
        path.respond()
        assert await answer(reader) == "fast"
        for _ in range(4):
            await asyncio.sleep(0.4)
            writer.write(get("/other"))
            assert await answer(reader) == "/other  "

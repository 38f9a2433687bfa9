"""Receivers that misbehave, over real sockets."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from broker.receivers.client import Receivers

WHERE = {
    "name": "http://localhost:{port}/",
    "literal": "http://127.0.0.1:{port}/",
    "short": "http://127.1:{port}/",
    "hexadecimal": "http://0x7f.1:{port}/",
    "number": "http://2130706433:{port}/",
    "zero": "http://0.0.0.0:{port}/",
    "mapped": "http://[::ffff:7f00:1]:{port}/",
}


@pytest.fixture
async def receivers():
    made = Receivers(allow_private=True, total_s=0.5)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def raw(answer):
    """A server that does with its connection what `answer` says; yields its URL and its count."""
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        with contextlib.suppress(
            ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
        ):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", connections
    finally:
        server.close()
        for writer in connections:
            writer.close()


async def forever(writer, chunk, pause):
    while True:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(pause)


async def hang(writer):
    await asyncio.sleep(60)


async def drip_headers(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    await forever(writer, b"H", 0.05)


async def drip_body(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    await forever(writer, b"x", 0.05)


async def endless_body(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await forever(writer, b"10000\r\n" + b"x" * 65_536 + b"\r\n", 0)


async def hang_up(writer):
    writer.transport.abort()


async def garbage(writer):
    writer.write(b"\x00\xff" * 500 + b"\r\n\r\n")
    await writer.drain()


async def many_headers(writer):
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n")
    await writer.drain()


async def test_each_ends_within_its_deadline_and_says_why(receivers):
    """D4."""
    expected = {
        hang: (None, "timeout"),
        drip_headers: (None, "timeout"),
        drip_body: (200, None),
        endless_body: (200, None),
        hang_up: (None, "broken-connection"),
        garbage: (None, "broken-connection"),
        many_headers: (None, "broken-connection"),
    }

    for answer, (status, error) in expected.items():
        async with raw(answer) as (url, _), asyncio.timeout(5):
            reply = await receivers.post(url, {}, "{}")
        assert (reply.status, reply.error) == (status, error), answer.__name__


async def test_nobody_there_is_unreachable(receivers, unused_tcp_port):
    reply = await receivers.post(f"http://127.0.0.1:{unused_tcp_port}/", {}, "{}")
    nowhere = await receivers.post("http://nowhere.invalid/", {}, "{}")

    assert (reply.status, reply.error) == (None, "unreachable")
    assert nowhere.status is None


async def test_a_redirect_is_a_failure_and_is_not_followed(receivers, receiver):
    """D3."""

    async def redirect(request):
        raise web.HTTPTemporaryRedirect(f"{receiver.url}/inside")

    receiver.answers["/out"] = redirect

    reply = await receivers.post(f"{receiver.url}/out", {}, "{}")

    assert (reply.status, reply.accepted) == (307, False)
    assert receiver.at("/inside") == []


async def test_a_private_address_is_refused_at_the_socket_in_every_spelling():
    """P5, P6, D3: names are judged by the address that is connected to, at each connect."""
    guarded = Receivers(allow_private=False)
    async with raw(hang) as (url, connections):
        port = url.rsplit(":", 1)[1].strip("/")
        replies = {
            name: await guarded.post(where.format(port=port), {}, "{}")
            for name, where in WHERE.items()
        }
        await guarded.close()

    assert {reply.status for reply in replies.values()} == {None}
    assert replies["name"].error == replies["literal"].error == "private-address"
    assert connections == []


async def test_the_spellings_would_lead_here(receivers):
    """What makes the guard above able to fail."""
    reached = []
    async with raw(hang_up) as (url, connections):
        port = url.rsplit(":", 1)[1].strip("/")
        for name, where in WHERE.items():
            before = len(connections)
            await receivers.post(where.format(port=port), {}, "{}")
            if len(connections) > before:
                reached.append(name)

    assert {"name", "literal"} <= set(reached)
    assert socket.inet_aton("127.1") == socket.inet_aton("127.0.0.1")


async def test_cookies_of_one_receiver_reach_nobody(receivers, receiver):
    async def cookie(_request):
        return web.Response(headers={"Set-Cookie": "a=b"})

    receiver.answers["/in"] = cookie
    for _ in range(2):
        await receivers.post(f"{receiver.url}/in", {}, "{}")

    assert [each.headers.get("cookie") for each in receiver.got] == [None, None]

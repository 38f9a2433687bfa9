"""What stands around every request, with applications that go wrong."""

import asyncio
import resource
import socket
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from broker.errors import BodyTooLarge
from broker.providers.calls.answers import Answer
from broker.providers.transport.headers import Headers
from broker.services.proxy.idempotency import BufferedBody
from broker.telemetry.metrics import Metrics
from broker.web.core import http_server, middleware, runner
from broker.web.core.descriptors import DescriptorGuard, raise_descriptor_limit
from broker.web.core.middleware import (
    LOG_FIELDS,
    RequestLog,
    ShieldedRequests,
    cancel_on_disconnect,
    observe_requests,
)
from broker.web.core.runner import AppRunner
from broker.web.proxy.proxy_response import SingleWriteResponse
from tests.until import until


@asynccontextmanager
async def answering(handler, descriptors=1_000_000, **settings):
    """The address of an application whose every request has this handler."""
    observed = Metrics()
    guard = DescriptorGuard(descriptors, observed.connections_shed)
    shielded = ShieldedRequests()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", shielded.wrap(handler))
    app.on_cleanup.append(shielded.drain)
    around = partial(observe_requests, requests=RequestLog(observed))
    app_runner = AppRunner(
        app, around, guard, access_log=None, handler_cancellation=True, **settings
    )
    await app_runner.setup()
    try:
        await web.TCPSite(app_runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{app_runner.addresses[0][1]}"
    finally:
        await app_runner.cleanup()


@pytest.mark.parametrize("failure", [BodyTooLarge(), RuntimeError(), web.HTTPBadRequest()])
async def test_a_refusal_after_an_answer_began_cuts_it_and_is_no_second_answer(failure):
    async def half(request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"half")
        raise failure

    async with answering(half) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        logged = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert logged.count(b"HTTP/1.1") == 1
    assert logged.endswith(b"4\r\nhalf\r\n")


async def test_an_answer_that_cannot_be_ended_is_reset_for_a_peer_of_http_1_0():
    """F1: for it the end of the connection is the end of the body."""

    async def half(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        raise BodyTooLarge

    async with answering(half) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), 5)
        writer.close()


async def test_a_failure_after_an_answer_in_one_write_is_no_second_answer():
    async def whole(request):
        headers = [("Content-Length", "2")]
        answer = Answer(
            200, "OK", Headers.of(headers), BufferedBody(b"hi"), False, None, None, lambda: None
        )
        await SingleWriteResponse(request, answer).prepare(request)
        raise BodyTooLarge

    async with answering(whole) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"hi")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (BodyTooLarge(), 413, "body-too-large"),
        (RuntimeError("secret"), 500, "internal"),
        (TimeoutError(), 500, "internal"),
        (web.HTTPRequestEntityTooLarge(1, 2), 413, "body-too-large"),
        (web.HTTPNotAcceptable(), 400, "invalid-request"),
    ],
)
async def test_whatever_goes_wrong_is_told_in_a_problem_document(failure, status, code):
    async def fails(_request):
        raise failure

    async with (
        answering(fails) as url,
        aiohttp.ClientSession() as session,
        session.get(url) as answer,
    ):
        assert (answer.status, answer.headers["Broker-Error"]) == (status, code)
        assert (await answer.json())["requestId"] == answer.headers["X-Request-Id"]
        assert "secret" not in await answer.text()


async def test_a_redirect_is_none_of_it():
    async def leads_on(_request):
        raise web.HTTPFound("/there")

    async with (
        answering(leads_on) as url,
        aiohttp.ClientSession() as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (302, "/there")
        assert "Broker-Error" not in answer.headers


async def test_what_was_begun_is_ended_though_its_caller_is_cut_off_and_the_rest_is_not():
    """C22, J10: a service that stops waits for it before it lets go of what it needs."""
    ended = []

    async def slowly(_request):
        begun.set()
        await asyncio.sleep(0.4)
        ended.append("slowly")
        return web.Response()

    @cancel_on_disconnect
    async def forever(_request):
        begun.set()
        await asyncio.Event().wait()

    for handler in (slowly, forever):
        begun = asyncio.Event()
        async with aiohttp.ClientSession() as session:
            async with answering(handler, shutdown_timeout=0.1) as url:
                calling = asyncio.create_task(session.get(url))
                await begun.wait()
            with pytest.raises(aiohttp.ClientError):
                await calling

    assert ended == ["slowly"]


async def test_what_is_logged_of_a_request_is_what_was_known_at_its_end(monkeypatch):
    logged = []
    monkeypatch.setattr(middleware, "log_request", logged.append)
    gone = asyncio.Event()

    async def finds_late(request):
        await gone.wait()
        request[LOG_FIELDS]["outcome"] = "connected"
        return web.Response()

    async with answering(finds_late) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.1)
        writer.transport.abort()
        await until(lambda: logged)
        gone.set()

    assert (logged[0]["status"], logged[0].get("outcome")) == (499, None)


async def test_the_last_of_an_answer_counts_as_unread_too(monkeypatch):
    """L4: what is less than a buffer full, when all else is done."""
    monkeypatch.setattr(http_server, "WRITE_STALL_TIMEOUT_S", 0.3)
    lost = asyncio.Event()

    async def nearly_sent(request):
        line = request.transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return web.Response(body=b"x" * 40_000)

    class Watched(http_server.ConnectionHandler):
        def connection_lost(self, exc):
            super().connection_lost(exc)
            lost.set()

    monkeypatch.setattr(runner, "ConnectionHandler", Watched)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        async with answering(nearly_sent) as url:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", int(url.rpartition(":")[2])))
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

            await asyncio.wait_for(lost.wait(), 5)


async def connected(url):
    return await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))


async def answers(reader, writer):
    """Whether a connection gets an answer to a request."""
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).startswith(
            b"HTTP/1.1 200"
        )
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def test_when_descriptors_run_short_the_longest_silent_connections_make_room():
    """2.10b: whoever speaks is served, however many say nothing; and a call under way goes on."""
    go_on = asyncio.Event()

    async def slowly(request):
        if request.path == "/slow":
            await go_on.wait()
        return web.Response()

    line = socket.socket()
    free = line.fileno()
    line.close()
    async with answering(slowly, descriptors=(free + 100) * 4 // 3, shutdown_timeout=1) as url:
        slow, served, silent = await connected(url), await connected(url), []
        slow[1].write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await answers(*served)
        for _ in range(60):
            silent.append(await connected(url))
            fresh = await connected(url)
            assert await answers(*fresh)
            fresh[1].close()
        assert await answers(*served)
        assert not await answers(*silent[0])
        assert await answers(*silent[-1])
        go_on.set()
        assert b" 200 " in await asyncio.wait_for(slow[0].readline(), 10)
        for _, writer in (slow, served, *silent):
            writer.close()


def test_the_descriptor_limit_is_raised_as_far_as_the_system_allows():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 256), before[1]))
        limit = raise_descriptor_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert limit == soft == (hard if hard != resource.RLIM_INFINITY else soft)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

"""What stands around every request, with applications that go wrong."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from broker.errors import BodyTooLarge
from broker.telemetry import Metrics
from broker.web.middleware import around
from broker.web.refusing import Runner


@asynccontextmanager
async def answering(handler):
    """The address of an application whose every request has this handler."""
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = Runner(app, partial(around, metrics=Metrics()), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


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
        told = await asyncio.wait_for(reader.read(), 5)
        writer.close()

    assert told.count(b"HTTP/1.1") == 1
    assert told.endswith(b"4\r\nhalf\r\n")


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

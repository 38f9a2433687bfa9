"""Kept connections to HubSpot: nothing is taken for an answer that is none, and nobody gets
another's.
"""

import asyncio
import random
import socket
import ssl
import threading
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from broker.errors import InvalidRequest
from broker.providers.transport.budget import NotConnected
from broker.providers.transport.headers import Headers
from broker.providers.transport.pool import ConnectTimeout, Pool
from broker.providers.transport.request import encode_request
from broker.providers.transport.response import InvalidResponse, ResponseCut
from tests.certificates import certificate

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"


@asynccontextmanager
async def server(script, **options):
    """A server on a socket that does what `script(reader, writer, number of the connection)` does;
    a pool of connections to it; and how many connections there were.
    """
    made = []

    async def serve(reader, writer):
        made.append(writer)
        try:
            await script(reader, writer, len(made))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # whoever calls has left, or the test is over
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=options.pop("tls", None))
    port = listening.sockets[0].getsockname()[1]
    origin = URL(options.pop("origin", "http://127.0.0.1")).with_port(port)
    pool = Pool(origin, options.pop("connect", 5), options.pop("idle", 5))
    try:
        yield pool, made
    finally:
        pool.close()
        listening.close()


async def heads(reader):
    """The head of each request that comes."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        yield head


def says(*answers):
    """A script that gives one answer after the other to requests on whatever connection."""
    left = list(answers)

    async def script(reader, writer, _number):
        async for _ in heads(reader):
            answer = left.pop(0)
            writer.write(answer)
            await writer.drain()
            if not left:
                return

    return script


async def ask(pool, method="GET", body=None, within=5.0, length=None, headers=()):
    """The answer, read to its end."""
    sent = Headers.of([("Host", "h"), *headers])
    request, rest = encode_request(method, "/x", [sent], body, length)
    repeats = method in {"GET", "HEAD", "PUT", "DELETE"}
    answer = await asyncio.wait_for(
        pool.send(request, rest, within, bodiless=method == "HEAD", repeats=repeats), 10
    )
    try:
        body = b"".join([part async for part in answer])
    finally:
        answer.close()
    return answer, body


async def test_a_connection_serves_one_call_after_the_other():
    closing = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"

    async def script(reader, writer, number):
        async for _ in heads(reader):
            writer.write(closing if number == 1 and len(seen) == 2 else GOOD)

    seen = []
    async with server(script) as (pool, made):
        for _ in range(5):
            answer, body = await ask(pool)
            seen.append((answer.status, body, len(made)))

    assert seen == [(200, b"hi", 1)] * 3 + [(200, b"hi", 2)] * 2


async def test_what_framing_says_is_the_body():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n"
    cases = {
        chunked + b"X-Trailer: no\r\n\r\n": (200, b"abcde"),
        b"HTTP/1.1 200 OK\r\nX: 1\r\n\r\nuntil the end": (200, b"until the end"),
        b"HTTP/1.1 204 No Content\r\n\r\n": (204, b""),
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n": (304, b""),
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + GOOD: (200, b"hi"),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\n\r\n" + GOOD: (200, b"hi"),
        b"HTTP/1.1 207 \xc3\xa9\xff\r\nX: \xff\r\nContent-Length: 0\r\n\r\n": (207, b""),
    }
    for raw, expected in cases.items():
        async with server(says(raw)) as (pool, _):
            answer, body = await ask(pool)
            assert (answer.status, body) == expected, raw
            assert "x-trailer" not in answer.headers
            assert "link" not in answer.headers


async def test_an_answer_to_head_has_no_body_whatever_it_says():
    async with server(
        says(
            b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            GOOD,
        )
    ) as (pool, _):
        for _ in range(3):
            answer, body = await ask(pool, "HEAD")
            assert (answer.status, body) == (200, b"")
        assert (await ask(pool))[1] == b"hi"


BROKEN = [
    b"<html>no HTTP</html>",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"HTTP/1.1 200 " + b"A" * 400_000 + b"\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"A" * 400_000 + b"\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.1 103 Hint\r\n\r\n" * 30_000 + GOOD,
    b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\x1bK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nuntil the end",
    CHUNKED.replace(b" chunked", b" gzip, chunked") + b"0\r\n\r\n",
    CHUNKED.replace(b" chunked", b" chunked\r\nTransfer-Encoding: chunked") + b"0\r\n\r\n",
    CHUNKED + b"0\r\n" + b"X: 1\r\n" * 100_000 + b"\r\n",
    CHUNKED + b"0\r\nX: " + b"A" * 400_000 + b"\r\n\r\n",
    CHUNKED + b"3;" + b"A" * 400_000 + b"\r\nabc\r\n0\r\n\r\n",
]


async def test_what_is_not_an_answer_is_an_error_and_never_a_shorter_answer():
    """F10."""
    for raw in BROKEN:

        async def script(reader, writer, number, raw=raw):
            async for _ in heads(reader):
                writer.write(raw if number == 1 else GOOD)
                await writer.drain()
                if number == 1:
                    return

        async with server(script) as (pool, _):
            with pytest.raises((ResponseCut, InvalidResponse)):
                await ask(pool, "POST")
            assert (await ask(pool))[1] == b"hi", raw[:60]
            assert pool.in_flight == 0


async def test_a_status_of_no_class_is_not_waited_for_as_an_interim_one():
    """2.17: the provider keeps the connection open and has nothing more to say."""
    for status in (b"099", b"000"):
        odd = b"HTTP/1.1 " + status + b" Odd\r\nContent-Length: 0\r\n\r\n"

        async def script(reader, writer, _number, odd=odd):
            async for _ in heads(reader):
                writer.write(odd)

        async with server(script) as (pool, _):
            with pytest.raises(ResponseCut):
                await ask(pool)


async def test_nobody_gets_what_was_sent_unasked():
    """P14: a second answer, in the same write or later, belongs to no call."""
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

    async def together(reader, writer, _number):
        async for _ in heads(reader):
            writer.write(GOOD + poison)

    async def later(reader, writer, _number):
        async for _ in heads(reader):
            writer.write(GOOD)
            await asyncio.sleep(0.02)
            writer.write(poison)

    for script in (together, later):
        async with server(script) as (pool, made):
            for _ in range(4):
                assert (await ask(pool))[1] == b"hi"
                await asyncio.sleep(0.05)
            assert len(made) == 4


async def test_a_dead_connection_is_noticed_and_only_safe_calls_go_out_again():
    """RFC 9110 section 9.2.2."""

    async def script(reader, writer, number):
        async for _ in heads(reader):
            if number % 2 and served.get(number):
                return
            served[number] = True
            writer.write(GOOD)

    served = {}
    async with server(script) as (pool, made):
        assert (await ask(pool))[1] == b"hi"
        assert (await ask(pool))[1] == b"hi"
        assert len(made) == 2
    served.clear()
    async with server(script) as (pool, made):
        assert (await ask(pool, "POST", b"{}"))[1] == b"hi"
        with pytest.raises(InvalidResponse):
            await ask(pool, "POST", b"{}")
        assert len(made) == 1


async def test_a_connection_that_rested_too_long_is_not_used(monkeypatch):
    """A process that was frozen wakes with connections that nobody looked after."""
    async with server(says(GOOD, GOOD)) as (pool, made):
        await ask(pool, "POST", b"{}")
        monkeypatch.setattr("broker.providers.transport.pool.KEEPALIVE_S", 0.0)
        await ask(pool, "POST", b"{}")
        assert len(made) == 2


async def test_a_closed_pool_connects_no_more():
    async with server(says(GOOD, GOOD)) as (pool, _):
        await ask(pool)
        pool.close()
        with pytest.raises(NotConnected):
            await ask(pool)


async def test_whoever_is_finished_cannot_end_the_next_callers_answer():
    async with server(says(GOOD, GOOD, GOOD)) as (pool, made):
        first, _ = await ask(pool)
        second = await pool.send(b"GET / HTTP/1.1\r\n\r\n", None, 5, bodiless=False, repeats=True)
        first.close()
        first.put_back(b"x")
        assert await second.read() == b"hi"
        assert len(made) == 1


async def test_each_wait_has_its_end():
    """F7, F9: for a connection, between two bytes, and in all."""

    async def never(reader, _writer, _number):
        async for _ in heads(reader):
            await asyncio.sleep(60)

    async def dripping(reader, writer, _number):
        async for _ in heads(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(1000):
                writer.write(b"x")
                await asyncio.sleep(0.05)

    for script, options, within in ((never, {"idle": 0.2}, 60), (dripping, {"idle": 5}, 0.4)):
        async with server(script, **options) as (pool, _):
            with pytest.raises(
                TimeoutError, match="The provider took too long"
            ):  # and no test's own end
                await ask(pool, within=within)
            assert pool.in_flight == 0
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # more than it keeps waiting
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        pool = Pool(URL(f"http://127.0.0.1:{full.getsockname()[1]}"), 0.2, 5)
        with pytest.raises(ConnectTimeout):
            await ask(pool)
        for each in waiting:
            each.close()


async def test_a_slow_caller_is_not_a_slow_hubspot():
    async def slowly():
        for _ in range(3):
            await asyncio.sleep(0.4)
            yield b"abc"

    async def script(reader, writer, _number):
        async for _ in heads(reader):
            assert await reader.readexactly(9) == b"abcabcabc"
            writer.write(GOOD)

    async with server(script, idle=0.2) as (pool, _):
        assert (await ask(pool, "POST", slowly(), length="9"))[1] == b"hi"


async def test_an_answer_before_the_body_is_sent_ends_the_sending():
    """P20."""
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 1
            yield b"z" * 65_536

    async def script(reader, writer, number):
        async for _ in heads(reader):
            writer.write(
                b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno" if number == 1 else GOOD
            )
            if number == 1:
                await asyncio.sleep(1)

    async with server(script) as (pool, made):
        answer, body = await ask(pool, "PUT", endless())
        assert (answer.status, body) == (413, b"no")
        before = sent
        assert (await ask(pool, "POST", b"{}"))[1] == b"hi"
        assert (sent, len(made)) == (before, 2)


async def test_a_body_that_ends_wrongly_ends_the_call():
    async def short():
        yield b"abc"

    async def failing():
        yield b"abc"
        raise InvalidRequest("no more")

    async def script(reader, writer, _number):
        await reader.read(-1)

    async with server(script) as (pool, _):
        for body, length in ((short(), "9"), (short(), "2"), (failing(), None)):
            with pytest.raises(InvalidRequest):
                await ask(pool, "POST", body, length=length)
        assert pool.in_flight == 0


async def test_a_head_is_one_head():
    """P7: what would begin another line, or request, is refused before anything is sent."""
    for value in ("a\r\nX: b", "a\nb", "a\rb", "a\0b"):
        with pytest.raises(InvalidRequest):
            encode_request("GET", "/", [Headers.of([("X", value)])], None, None)
        with pytest.raises(InvalidRequest):
            encode_request("GET", f"/{value}", [Headers()], None, None)
        with pytest.raises(InvalidRequest):
            encode_request("GET", "/", [Headers.of([(value, "x")])], None, None)
    odd = Headers.of([("X", "\udcff é")])
    assert encode_request("GET", "/", [odd], None, None)[0].count(b"\xff") == 1


async def test_a_slow_reader_slows_hubspot_and_not_our_memory():
    wrote = 0

    async def script(reader, writer, _number):
        nonlocal wrote
        async for _ in heads(reader):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
            for _ in range(1024):
                writer.write(b"z" * 65_536)
                await writer.drain()
                wrote += 65_536

    async with server(script, idle=0.3) as (pool, _):
        answer = await pool.send(b"GET / HTTP/1.1\r\n\r\n", None, 60, bodiless=False, repeats=True)
        await asyncio.sleep(1.0)
        assert wrote < 32_000_000  # what the kernel's buffers hold
        got = 0
        async for part in answer:
            got += len(part)
            assert len(part) < 1_000_000
        assert got == 67_108_864


async def test_no_noise_makes_a_call_hang_or_spoils_the_next():
    """F10: 500 answers, cut and changed at random."""
    chance = random.Random(7)
    sound = [
        GOOD,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: 1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
    ]

    def noise():
        raw = bytearray(chance.choice(sound) * chance.randint(1, 2))
        for _ in range(chance.randint(0, 3)):
            at = chance.randrange(len(raw))
            raw[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
        return bytes(raw[: chance.randint(1, len(raw))] if chance.random() < 0.3 else raw)

    async def script(reader, writer, _number):
        async for head in heads(reader):
            raw = noise() if b"noise" in head else GOOD
            cut = chance.randrange(len(raw) + 1)
            writer.write(raw[:cut])
            await asyncio.sleep(0)
            writer.write(raw[cut:])
            if b"noise" in head and chance.random() < 0.7:
                return

    outcomes = set()
    async with server(script, idle=0.2) as (pool, _):
        for _ in range(500):
            try:
                answer, _body = await ask(pool, "POST", headers=[("X", "noise")])
                outcomes.add(answer.status)
            except (ResponseCut, InvalidResponse, TimeoutError) as error:
                outcomes.add(type(error).__name__)
            assert (await ask(pool))[1] == b"hi"
        assert pool.in_flight == 0
    assert {200, 429, "ResponseCut", "InvalidResponse"} <= outcomes


async def test_only_hubspots_own_certificate_will_do(tmp_path, monkeypatch):
    """F13: another's, an expired one, or one that nobody vouches for, is no connection at all."""
    for host, days, vouched, works in (
        ("localhost", 1, True, True),
        ("localhost", 1, False, False),
        ("localhost", -1, True, False),
        ("api.example", 1, True, False),
    ):
        context, file = certificate(tmp_path, host, days)
        monkeypatch.setenv("SSL_CERT_FILE", str(file) if vouched else str(tmp_path / "none"))
        async with server(says(GOOD), tls=context, origin="https://localhost") as (pool, _):
            if works:
                assert (await ask(pool))[1] == b"hi"
            else:
                with pytest.raises(NotConnected):
                    await ask(pool)
    pool = Pool(URL("https://no-such-host.invalid:443"), 5, 5)
    with pytest.raises(NotConnected):
        await ask(pool)


def hangs_up(context, words):
    """A server that says something of its own in the very segment that ends the TLS handshake."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = listening.accept()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        with connection:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(outgoing.read())
                    incoming.write(connection.recv(65_536))
            tls.write(words)
            connection.sendall(outgoing.read())

    threading.Thread(target=serve, daemon=True).start()
    return listening


@pytest.mark.asyncio(loop_factories=["asyncio"])  # uvloop tells of the end a moment later
async def test_a_connection_that_ends_as_it_begins_is_none(tmp_path, monkeypatch):
    context, file = certificate(tmp_path, "localhost", 1)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with hangs_up(context, GOOD) as listening:
        pool = Pool(URL("https://localhost").with_port(listening.getsockname()[1]), 5, 5)
        with pytest.raises(NotConnected):
            await ask(pool)
        assert pool.is_unused

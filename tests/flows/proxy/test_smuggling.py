"""Requests that two servers might read differently: HubSpot gets one, or none, and never the second."""

import asyncio

import pytest

SECOND = "GET /proxy/hbdev/u1/_echo/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"

CORPUS = {
    "length and chunked": (["Content-Length: 5", CHUNKED], "0\r\n\r\n" + SECOND),
    "chunked and length": ([CHUNKED, "Content-Length: 400"], "0\r\n\r\n" + SECOND),
    "two lengths": (["Content-Length: 0", "Content-Length: 5"], "xxxxx" + SECOND),
    "two lengths in one": (["Content-Length: 0, 5"], "xxxxx" + SECOND),
    "a signed length": (["Content-Length: +5"], "xxxxx" + SECOND),
    "a negative length": (["Content-Length: -1"], SECOND),
    "a length in hexadecimal": (["Content-Length: 0x5"], "xxxxx" + SECOND),
    "a length with an underscore": (["Content-Length: 1_0"], "xxxxxxxxxx" + SECOND),
    "a length of words": (["Content-Length: five"], "xxxxx" + SECOND),
    "an empty length": (["Content-Length: "], SECOND),
    "space before the colon": (["Content-Length : 5"], "xxxxx" + SECOND),
    "space before chunked's colon": (["Transfer-Encoding : chunked"], "0\r\n\r\n" + SECOND),
    "xchunked": (["Transfer-Encoding: xchunked"], "0\r\n\r\n" + SECOND),
    "chunked twice": ([CHUNKED, CHUNKED], "0\r\n\r\n" + SECOND),
    "identity after chunked": (["Transfer-Encoding: chunked, identity"], "0\r\n\r\n" + SECOND),
    "a vertical tab": (["Transfer-Encoding: \x0bchunked"], "0\r\n\r\n" + SECOND),
    "chunked in quotes": (['Transfer-Encoding: "chunked"'], "0\r\n\r\n" + SECOND),
    "a folded header": (["X-A: b\r\n c: d", "Content-Length: 0"], SECOND),
    "a folded chunked": (["Transfer-Encoding:\r\n chunked"], "0\r\n\r\n" + SECOND),
    "a bad chunk size": ([CHUNKED], "zz\r\nxxxxx\r\n0\r\n\r\n" + SECOND),
    "a negative chunk": ([CHUNKED], "-1\r\nx\r\n0\r\n\r\n" + SECOND),
    "a chunk size with 0x": ([CHUNKED], "0x5\r\nxxxxx\r\n0\r\n\r\n" + SECOND),
    "a chunk longer than told": ([CHUNKED], "3\r\nxxxxx\r\n0\r\n\r\n" + SECOND),
    "a huge chunk size": ([CHUNKED], "f" * 40 + "\r\nx\r\n0\r\n\r\n" + SECOND),
    "bare line feeds in chunks": ([CHUNKED], "5\nxxxxx\n0\n\n" + SECOND),
    "a chunk extension with a line feed": ([CHUNKED], "5;a\nb\r\nxxxxx\r\n0\r\n\r\n" + SECOND),
    "a null in a value": (["X-A: a\x00b"], ""),
    "a return in a value": (["X-A: a\rb: c"], ""),
    "a line feed in a value": (["X-A: a\nX-B: c"], ""),
    "a null in a name": (["X\x00A: b"], ""),
    "a name with a space": (["X A: b"], ""),
    "a name with a parenthesis": (["X(A): b"], ""),
    "no name": ([": b"], ""),
    "no colon": (["nonsense"], ""),
    "a name of two hosts": (["Host: evil.example"], ""),
    "a long field": (["X-A: " + "a" * 20_000], ""),
    "too many fields": ([f"X-{n}: a" * 50 for n in range(400)], ""),
}

LINES = {
    "two spaces": "POST  /proxy/hbdev/u1/_echo/x HTTP/1.1",
    "a tab": "POST\t/proxy/hbdev/u1/_echo/x\tHTTP/1.1",
    "an odd version": "POST /proxy/hbdev/u1/_echo/x HTTP/1.9.1",
    "no version": "POST /proxy/hbdev/u1/_echo/x",
    "absolute": "POST http://evil.example/proxy/hbdev/u1/_echo/x HTTP/1.1",
    "authority": "CONNECT evil.example:443 HTTP/1.1",
    "a star": "OPTIONS * HTTP/1.1",
}


async def exchange(broker, line, headers, body):
    port = int(broker.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("localhost", port)
    lines = [line, "Host: localhost", f"Authorization: Bearer {broker.key}", *headers]
    writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1"))
    await writer.drain()
    received = b""
    try:
        async with asyncio.timeout(0.4):
            while part := await reader.read(65_536):
                received += part
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return received


@pytest.mark.parametrize("keyed", [True, False])
async def test_nothing_is_smuggled_past_the_broker(broker, hubspot, keyed):
    """P10, P11: the second request carries no key; were it sent on, it would be under our token."""
    await broker.connects("u1")
    for _ in range(3):
        await broker.proxies("/_echo/warm")
    assert broker.parts.metrics.fast_path.completed, "what is plain takes the fast path here"
    line = "POST /proxy/hbdev/u1/_echo/x HTTP/1.1"

    for name, (headers, body) in CORPUS.items() if keyed else ():
        hubspot.seen.clear()
        await exchange(broker, line, headers, body)
        targets = [seen.raw_path for seen in hubspot.seen]
        assert "/_echo/smuggled" not in targets, name
        assert len(targets) <= 1, name
        for seen in hubspot.seen:
            names = {each.lower() for each in seen.headers}
            assert "x-b" not in names, name
            assert seen.headers.getall("Host") == [hubspot.url.removeprefix("http://")], name
    for name, odd in LINES.items() if not keyed else ():
        hubspot.seen.clear()
        await exchange(broker, odd, ["Content-Length: 0"], "")
        assert all(seen.raw_path == "/_echo/x" for seen in hubspot.seen), name

    for codings in ("gzip, chunked", "identity, chunked"):
        # Not chunked's to lose: the rest of what was done to the body would be forgotten.
        hubspot.seen.clear()
        body = "3\r\nabc\r\n0\r\n\r\n"
        received = await exchange(broker, line, [f"Transfer-Encoding: {codings}"], body)
        assert received.startswith(b"HTTP/1.1 400 "), codings
        assert not hubspot.seen
    for path in ("/_echo/one", "/_echo/two"):
        answer = await broker.proxies(path)
        assert answer.json()["target"] == path

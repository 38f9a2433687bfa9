"""Which requests are plain, and how they are read; all others are aiohttp's to read or refuse."""

import pytest

from broker.web.core.plain_requests import MAX_HEAD_BYTES, MAX_HEADERS, RequestReader

GOOD = b"GET /x?a=1 HTTP/1.1\r\nHost: x\r\nX-A:\tb \t\r\n\r\n"
BODY = b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"

NOT_PLAIN = {
    "twice": GOOD.replace(b"X-A", b"HOST"),
    "nowhere": GOOD.replace(b"Host", b"X-B"),
    "HTTP/1.0": GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "chunked": BODY.replace(b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    "both lengths": BODY.replace(b"Host", b"Transfer-Encoding: chunked\r\nHost"),
    "expecting": BODY.replace(b"Host: x", b"Host: x\r\nExpect: 100-continue"),
    "upgrading": GOOD.replace(b"X-A", b"Connection: upgrade\r\nUpgrade: h2c\r\nX-A"),
    "tunnel": GOOD.replace(b"GET /x?a=1", b"CONNECT x:443"),
    "bare line feed": GOOD.replace(b"x\r\nX-A", b"x\nX-A"),
    "folded": GOOD.replace(b"X-A:", b"X-A: b\r\n c"),
    "space before the colon": GOOD.replace(b"X-A:", b"X-A :"),
    "line before": b"\r\n" + GOOD,
    "no digits": BODY.replace(b": 3", b": +3"),
    "two lengths in one": BODY.replace(b": 3", b": 3, 3"),
    "unfinished head": GOOD[:-1],
    "unfinished body": BODY[:-1],
    "long": GOOD.replace(b"\tb", b"b" * MAX_HEAD_BYTES),
    "many": GOOD.replace(b"X-A", b"".join(b"X-%d: 1\r\n" % n for n in range(MAX_HEADERS)) + b"X-A"),
    "nonsense": b"nonsense\r\n\r\n",
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_could_be_read_in_two_ways_or_is_more_than_one_piece_is_not_plain(name):
    reader = RequestReader()

    assert reader.read(NOT_PLAIN[name]) is None
    assert reader.read(GOOD) is not None, "the next one is read as if nothing had been"


def test_a_plain_request_is_read_as_it_came_and_what_follows_it_is_left():
    reader = RequestReader()
    for _ in range(2):
        request = reader.read(BODY + GOOD)
        assert (request.method, request.path, request.body) == ("POST", "/x", b"abc")
        assert (request.raw, request.headers.keep_alive) == (BODY, True)

    last = reader.read(GOOD.replace(b"X-A", b"Connection: close\r\nX-A"))

    assert (last.path, last.body, last.headers.keep_alive) == ("/x?a=1", None, False)
    assert last.headers.fields == {b"host": b"x", b"connection": b"close", b"x-a": b"b"}

"""Which requests are plain, and how they are read; all others are aiohttp's to read or refuse."""

import pytest

from broker.web.core.plain_requests import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_REMEMBERED_BYTES,
    RequestReader,
)

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
    assert last.headers.by_name == {b"host": b"x", b"connection": b"close", b"x-a": b"b"}


def test_headers_that_a_connection_repeats_are_read_as_a_first_request_is():
    """What is remembered answers exactly as the parser would: no byte of a first line is taken
    that it refuses, and no body is cut elsewhere.
    """
    lines = [b"%b /x HTTP/1.1" % method for method in (b"GET", b"DELETE", b"PURGE", b"get", b"PRI")]
    lines += [b"GET /x%by HTTP/1.1" % bytes([each]) for each in range(256)]
    lines += [b"GET %bx HTTP/1.1" % bytes([each]) for each in range(256)]
    lines += [b"GET /x HTTP/1.0", b"GET /x HTTP/2.0", b"GET  /x HTTP/1.1", b"GET /x HTTP/1.1 "]
    lines += [
        b"GET http://y/ HTTP/1.1",
        b"GET /x",
        b"GET /x HTTP/1.1\r\nHost: y",
        b"",
        b"\r\nGET /",
    ]
    lines += [b"GET /%b HTTP/1.1" % (b"x" * size) for size in (*range(16_300, 16_390), 40_000)]
    remembered = 0
    for first in (GOOD, BODY):
        _, _, rest = first.partition(b"\r\n")
        for line in lines:
            for whole in (line + b"\r\n" + rest, line + b"\r\n" + rest + GOOD):
                for data in (whole, whole[:-1]):
                    reader = RequestReader()
                    known = reader.read(first).headers
                    found, expected = reader.read(data), RequestReader().read(data)
                    assert _shown(found) == _shown(expected), data
                    remembered += found is not None and found.headers is known

    assert remembered > 500, "most first lines were read without the parser"


def test_only_the_headers_of_the_last_request_are_remembered_and_no_long_ones():
    reader = RequestReader()
    known = reader.read(GOOD).headers
    other = reader.read(GOOD.replace(b"X-A", b"X-B")).headers
    assert reader.read(GOOD).headers is not known
    assert other.by_name[b"x-b"] == b"b"

    long = GOOD.replace(b"X-A:", b"X-A: " + b"a" * MAX_REMEMBERED_BYTES)
    assert reader.read(long).headers is not reader.read(long).headers

    known = reader.read(GOOD).headers
    reader.close()
    assert reader.read(GOOD).headers is not known, "a connection that is gone holds no credentials"

    closing = GOOD.replace(b"X-A", b"Connection: close\r\nX-A")
    assert reader.read(closing) is not None
    assert reader.read(closing) is None, "nothing follows the last request"


def _shown(request):
    if request is None:
        return None
    headers = request.headers
    return (
        *(request.raw, request.method, request.path, request.body),
        *(headers.lines, headers.by_name, headers.keep_alive),
    )

"""The same request at HubSpot itself and through the broker: nobody should be able to tell."""

import asyncio
import gzip
import hashlib
import itertools
import json

import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until

OURS = {
    "broker-request-id",
    "content-security-policy",
    "x-content-type-options",
    "x-request-id",
}
"""What the broker adds to each answer."""

UNLIKE = {"date", "server", "x-hubspot-correlation-id", "x-hubspot-ratelimit-remaining"}
"""What differs between two answers of HubSpot's own."""

WORDS = [
    "a%2Fb",
    "a%2fb",
    "jane%40acme.example",
    "jane@acme.example",
    "a+b",
    "a%20b",
    "a%2Bb",
    "[x]",
    "a;v=1",
    "a:b",
    "a,b",
    "(a)",
    "a=b&c",
    "~a_b-c.d!",
    "%E2%82%AC",
    "%FF%FE",
    "%ff",
    "a..b",
    "...",
    "a%20",
    "%7Ea",
    "$batch",
    "a|b",
    'a"b',
    "a^b",
    "{a}",
    "<a>",
    "a'b",
    "a*b",
    "a%25b",
    "%C0%80",
    "a%3Fb",
    "a%23b",
    "%D0%96",
    "0-1",
    "_",
    "-",
    "a%26b",
    "%3B",
    "%3D",
]
QUERIES = [
    "",
    "?",
    "?x",
    "?x=",
    "?=x",
    "?&&",
    "?x=1&x=2&x=1",
    "?x[]=1&x[]=2",
    "?x=a+b%20c%2Bd",
    "?x=%FF",
    "?x=1;y=2",
    "?x=a/b?c",
    "?x=https://evil.example/%2e%2e",
    "?p=a,b&p=c%2Cd",
    "?x=%0A",
    "?x=//y",
    "?x=%u0041",
    "?x==",
    "?x=%",
    "?x='\"<>",
]
TARGETS = (
    [f"/_echo/{word}" for word in WORDS]
    + [f"/_echo/a{query}" for query in QUERIES]
    + [f"/_echo/{word}{query}" for word, query in itertools.product(WORDS[:16], QUERIES[1:11])]
)


async def echo_of(port, target, token, method="GET", headers=(), body=b"", prefix=""):
    """Status, headers and body of a request sent byte for byte, and the body's framing."""
    reader, writer = await asyncio.open_connection("localhost", port)
    lines = [f"{method} {prefix}{target} HTTP/1.1", "Host: hubspot.example"]
    lines += [f"Authorization: Bearer {token}", *headers, "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()
    raw = await reader.read()
    writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    pairs = [line.split(": ", 1) for line in fields]
    return status, pairs, rest


def end_to_end(pairs, but=frozenset()):
    dropped = UNLIKE | but | {"connection"}
    return sorted((n.lower(), v) for n, v in pairs if n.lower() not in dropped)


def echoed(body):
    """What an echo says that it got, less the headers that must differ; else the body itself."""
    try:
        payload = json.loads(body)
        sent = [(name.lower(), value) for name, value in payload["headers"]]
    except (ValueError, KeyError, TypeError):
        return body
    # An empty body may be told as such or not at all (RFC 9110 section 8.6).
    empty = ("content-length", "0")
    hidden = {"host", "authorization", "connection"}
    payload["headers"] = sorted(pair for pair in sent if pair[0] not in hidden and pair != empty)
    return payload


@pytest.fixture
async def both(broker, hubspot):
    """Ask HubSpot itself and the broker; the two answers. Most calls take the fast path."""
    await broker.connects("u1")
    for _ in range(2):
        await broker.proxies("/_echo/warm")
    token = list(hubspot.grants.access_tokens)[-1]
    ports = int(hubspot.url.rsplit(":", 1)[1]), int(broker.url.rsplit(":", 1)[1])

    async def ask(target, method="GET", headers=(), body=b""):
        direct = await echo_of(ports[0], target, token, method, headers, body)
        prefix = "/proxy/hbdev/u1"
        through = await echo_of(ports[1], target, broker.key, method, headers, body, prefix)
        return direct, through

    before = broker.parts.metrics.fast_path.completed
    yield ask
    assert broker.parts.metrics.fast_path.completed > before


def differences(direct, through):
    """In what two answers differ that must not."""
    found = []
    if direct[0] != through[0]:
        found.append(("status", direct[0], through[0]))
    # An echo is as long as what it got, which differs by the headers that must.
    length = frozenset({"content-length"} if isinstance(echoed(direct[2]), dict) else ())
    headers = (
        end_to_end(direct[1], length | {"x-request-id"}),
        end_to_end(through[1], length | OURS),
    )
    if "content-length" not in dict(headers[0]):
        # The sandbox may end a body by closing; through the broker it is chunked.
        headers = tuple([h for h in each if h[0] != "transfer-encoding"] for each in headers)
    if headers[0] != headers[1]:
        found.append(("headers", headers[0], headers[1]))
    if echoed(direct[2]) != echoed(through[2]):
        found.append(("body", direct[2][:300], through[2][:300]))
    return found


async def test_over_two_hundred_odd_targets_are_the_same(both, record_property):
    """P3, P22."""
    assert len(set(TARGETS)) >= 200

    unlike = {}
    for target in TARGETS:
        if found := differences(*(await both(target))):
            unlike[target] = found

    record_property("targets", f"{len(TARGETS)} asked, {len(unlike)} unlike")
    assert unlike == {}


async def test_every_method_body_and_status_is_the_same(both, hubspot):
    """P16, P21."""
    unlike = {}
    packed = gzip.compress(b'{"a":1}' * 1000)
    bodies = [b"", b"x", b"\x00\xff" * 40_000, b"y" * 300_000, packed]
    for method, body in itertools.product(["GET", "POST", "PUT", "PATCH", "DELETE"], bodies):
        headers = ["Content-Encoding: gzip"] if body is packed else ["Content-Type: text/x-odd"]
        if found := differences(*(await both("/_echo/x", method, headers, body))):
            unlike[method, len(body)] = found
    for code in (200, 201, 202, 204, 207, 304, 400, 403, 404, 409, 414, 415, 422, 500, 501):
        for method in ("GET", "HEAD", "POST"):
            if found := differences(*(await both(f"/_status/{code}", method))):
                unlike[method, code] = found

    assert unlike == {}


async def test_whatever_hubspot_answers_is_the_same(both, hubspot):
    """P16, P21: HTML errors, encodings that do not fit, redirects, odd headers, real errors."""
    unlike = {}
    cases = [
        Fault("/crm/*", "html", status=500),
        Fault("/crm/*", "html", status=403, body="<h1>\xfc</h1>"),
        Fault("/crm/*", "gzip"),
        Fault("/crm/*", "redirect", status=302, location="https://evil.example/"),
        Fault("/crm/*", "redirect", status=308, location="/crm/v3/elsewhere"),
        Fault("/crm/*", "headers", headers={"Content-Encoding": "br", "X-Odd": "\xe9 ;=,"}),
        Fault("/crm/*", "headers", headers={"Content-Type": "", "ETag": 'W/"x"', "Vary": "*"}),
        Fault("/crm/*", "headers", headers={"Link": "<x>; rel=next", "Warning": "199 - odd"}),
        Fault("/crm/*", "status", status=418, body="{not json"),
        Fault("/crm/*", "drip", seconds=0.001),
    ]
    for number, fault in enumerate(cases):
        hubspot.faults.clear()
        hubspot.faults.add(fault)
        if found := differences(*(await both("/crm/v3/objects/contacts"))):
            unlike[number, fault.kind] = found
    hubspot.faults.clear()
    for target in ("/crm/v3/objects/contacts/x", "/crm/v3/objects/nonsense", "/nowhere"):
        direct, through = await both(target)
        correlated = [json.loads(answer[2]) for answer in (direct, through)]
        for body in correlated:
            body.pop("correlationId", None)
        if direct[0] != through[0] or correlated[0] != correlated[1]:
            unlike[target] = (direct, through)

    assert unlike == {}


async def test_a_hundred_megabytes_are_the_same_both_ways(broker, hubspot):
    """P18."""
    await broker.connects("u1")
    size = 100 * 1_048_576

    async def parts():
        for _ in range(size // 65_536):
            yield b"z" * 65_536

    up = await broker.proxies("/_echo/x", method="PUT", data=parts())
    digest, got = hashlib.sha256(), 0
    async with broker.session.get(
        f"{broker.url}/proxy/hbdev/u1/_bytes/{size}",
        headers={"Authorization": f"Bearer {broker.key}"},
    ) as down:
        async for chunk in down.content.iter_any():
            digest.update(chunk)
            got += len(chunk)

    assert up.json()["bodyLength"] == size
    assert up.json()["bodySha256"] == hashlib.sha256(b"z" * size).hexdigest()
    assert (got, digest.hexdigest()) == (size, hashlib.sha256(b"x" * size).hexdigest())


async def test_a_thousand_who_leave_leave_nothing_behind(broker, hubspot):
    """P19, F16: sockets and tasks are back where they were."""
    await broker.connects("u1")
    await broker.proxies("/_echo/x")
    hubspot.faults.add(Fault("/_echo/hang", "hang"))
    hubspot.faults.add(Fault("/_echo/drip", "drip", seconds=0.05))
    to_hubspot = broker.parts.providers
    await asyncio.sleep(0.1)
    before = len(asyncio.all_tasks())

    async def leave(n):
        path = "/_echo/hang" if n % 2 else "/_echo/drip"
        try:
            answer = await asyncio.wait_for(broker.proxies(path), 0.3)
        except TimeoutError:
            return
        pytest.fail(f"{path} should hang and got {answer.status}: {answer.body[:500]!r}")

    for start in range(0, 1000, 100):
        await asyncio.gather(*(leave(n) for n in range(start, start + 100)))

    await until(lambda: to_hubspot.in_flight == 0, within=30)
    await until(lambda: len(asyncio.all_tasks()) <= before + 2, within=30)
    assert (await broker.proxies("/_echo/x")).status == 200

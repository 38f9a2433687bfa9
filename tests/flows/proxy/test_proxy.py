"""Transparent calls: HubSpot as if nobody stood between."""

import asyncio
import gzip
import hashlib
import io
import itertools
from urllib.parse import quote
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from broker.domain.model import PolicyRule
from broker.sandbox.core.faults import Fault
from tests.until import until

TARGETS = [
    "/crm/v3/objects/contacts?limit=1&after=2",
    "/_echo/a%2Fb",
    "/_echo/a%2fb",
    "/_echo/jane%40acme.example?idProperty=email",
    "/_echo/a+b%20c",
    "/_echo/a@b",
    "/_echo/[x]",
    "/_echo/a;v=1;w=2",
    "/_echo/a:b",
    "/_echo/a,b",
    "/_echo/(a)'b'*",
    "/_echo/a=b&c",
    "/_echo/~a_b-c.d!",
    "/_echo/%E2%82%AC",
    "/_echo/%FF%FE",
    "/_echo/%ff",
    "/_echo/a..b",
    "/_echo/...",
    "/_echo/a/",
    "/_echo/a%20",
    "/_echo/%7Ea",
    "/_echo/$batch",
    "/_echo/a|b",
    '/_echo/a"b',
    "/_echo/a^b`c",
    "/_echo/{a}",
    "/_echo/a?",
    "/_echo/a?x",
    "/_echo/a?x=",
    "/_echo/a?=x",
    "/_echo/a?&&",
    "/_echo/a?x=1&x=2&x=1",
    "/_echo/a?x[]=1&x[]=2",
    "/_echo/a?x=a+b%20c%2Bd",
    "/_echo/a?x=%FF",
    "/_echo/a?x=1;y=2",
    "/_echo/a?x=a/b?c",
    "/_echo/a?x=https://evil.test/%2e%2e",
    "/_echo/a?properties=a,b&properties=c%2Cd",
    "/_echo/a?x=%0A",
    "/_echo/a?x=//y",
    "/_echo/" + "a" * 4000,
    "/_echo/a?x=" + "%20" * 2000,
]

REFUSED = [
    "//evil.test/x",
    "//evil.test",
    "/%2f/evil.test",
    "/%2F%2Fevil.test",
    "/http://evil.test/x",
    "/https:/evil.test/x",
    "/http%3A%2F%2Fevil.test",
    "/@evil.test/x",
    "/user@evil.test/x",
    "/\\evil.test",
    "/%5Cevil.test",
    "/crm/../oauth",
    "/crm/./v3",
    "/..",
    "/.",
    "/crm/%2e%2e/oauth",
    "/crm/%2E%2E/oauth",
    "/crm/.%2e/oauth",
    "/crm/%252e%252e/oauth",
    "/crm/..;/oauth",
    "/crm/a%2F..%2Fb",
    "/crm/a%5C..%5Cb",
    "/crm/%00",
    "/crm/x?y=%00",
    "/crm/%0d%0aHost:evil.test",
    "/crm/%0A",
    "/crm/v3?hapikey=demo",
    "/crm/v3?a=1&HAPIKEY=demo",
    "/crm/v3?%68apikey=demo",
    "/crm/x#y",
]


@pytest.fixture
async def canary(unused_tcp_port_factory):
    """A listener that nobody may talk to; the requests it got."""
    got = []

    async def listen(request):
        got.append(request.raw_path)
        return web.Response(text="canary-reached")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", listen)
    runner = web.AppRunner(app)
    await runner.setup()
    port = unused_tcp_port_factory()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    got_at = type("Canary", (), {"got": got, "port": port, "url": f"http://127.0.0.1:{port}"})
    yield got_at
    await runner.cleanup()


async def raw(broker, target, method="GET", headers=(), body=b"", prefix="/proxy/hbdev/u1"):
    """A request byte for byte; the status and the whole answer."""
    port = int(broker.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [
        f"{method} {prefix}{target} HTTP/1.1",
        "Host: localhost",
        f"Authorization: Bearer {broker.key}",
        "Connection: close",
        *headers,
    ]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    await writer.drain()
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer


async def test_the_target_arrives_byte_for_byte(broker, hubspot):
    """P3, P22."""
    await broker.connects("u1")
    hubspot.seen.clear()

    statuses = [(await raw(broker, target))[0] for target in TARGETS]

    assert [seen.raw_path for seen in hubspot.seen] == TARGETS
    assert max(statuses) < 500


async def test_a_target_that_means_something_else_is_refused_unsent(broker, hubspot):
    """P1, P3, P23."""
    await broker.connects("u1")
    hubspot.seen.clear()

    statuses = {target: (await raw(broker, target))[0] for target in REFUSED}

    assert {target for target, status in statuses.items() if status not in {400, 403}} == set()
    assert list(hubspot.seen) == []


async def test_our_own_key_in_a_query_is_refused(broker, hubspot):
    """P23."""
    await broker.connects("u1")
    hubspot.seen.clear()

    answer = await broker.proxies(f"/crm/v3/objects/contacts?api_key={broker.key}")

    assert answer.status == 400
    assert list(hubspot.seen) == []


async def test_methods_and_bodies_arrive_whole(broker):
    await broker.connects("u1")
    methods, sizes = ["GET", "POST", "PUT", "PATCH", "DELETE"], [0, 1, 70_000, 300_000, 3_000_000]

    for method, size in itertools.product(methods, sizes):
        body = b"\x00\xff" * (size // 2) + b"x" * (size % 2)
        answer = await broker.proxies("/_echo/x", method=method, data=io.BytesIO(body))

        echo = answer.json()
        assert (echo["method"], echo["bodyLength"]) == (method, size)
        assert echo["bodySha256"] == hashlib.sha256(body).hexdigest()


async def test_a_chunked_body_arrives_whole(broker):
    await broker.connects("u1")

    async def parts():
        for _ in range(20):
            yield b"abc" * 10_000

    answer = await broker.proxies("/_echo/x", method="POST", data=parts())

    assert answer.json()["bodyLength"] == 600_000


async def test_a_compressed_body_is_left_alone_both_ways(broker, hubspot):
    """P16."""
    await broker.connects("u1")
    packed = gzip.compress(b'{"properties":{}}')
    hubspot.faults.add(Fault("/crm/*", "gzip"))

    up = await broker.proxies(
        "/_echo/x", method="POST", data=packed, headers={"Content-Encoding": "gzip"}
    )
    down = await broker.proxies(headers={"Accept-Encoding": "gzip"})

    assert up.json()["bodySha256"] == hashlib.sha256(packed).hexdigest()
    assert down.headers["Content-Encoding"] == "gzip"
    assert b'"results"' in gzip.decompress(down.body)


async def test_hubspots_status_is_the_callers(broker):
    """P21, O5."""
    await broker.connects("u1")

    for code in [200, 201, 204, 207, 304, 400, 404, 409, 423, 429, 477, 500, 503]:
        answer = await broker.proxies(f"/_status/{code}")

        assert answer.status == code
        assert "Broker-Error" not in answer.headers
        assert answer.headers["X-Request-Id"]


async def test_a_caller_who_closes_is_told_so(broker):
    """RFC 9112 section 9.6, also of an answer that leaves in one write."""
    await broker.connects("u1")

    last = await broker.proxies("/_echo/x", headers={"Connection": "close"})
    usual = await broker.proxies("/_echo/x")

    assert last.headers["Connection"] == "close"
    assert "Connection" not in usual.headers


async def test_head_is_head(broker, hubspot):
    """P21."""
    await broker.connects("u1")

    answer = await broker.proxies("/_echo/x", method="HEAD")

    assert answer.status == 200
    assert answer.body == b""
    assert hubspot.seen[-1].method == "HEAD"


async def test_an_answer_without_a_content_type_stays_without(broker, hubspot):
    await broker.connects("u1")

    status, answer = await raw(broker, "/_status/204")

    assert status == 204
    assert b"content-type:" not in answer.lower()


async def test_only_end_to_end_headers_reach_hubspot(broker, hubspot):
    """P7, P8, P9."""
    await broker.connects("u1")

    status, _ = await raw(
        broker,
        "/_echo/x",
        headers=[
            "Cookie: session=1",
            "X-Broker-Key: k",
            "Connection: close, x-secret-hop, authorization, host",
            "X-Secret-Hop: 1",
            "Proxy-Authorization: Basic x",
            "TE: trailers",
            "Upgrade: h2c",
            "X_Forwarded_User: root",
            "X-Forwarded-For: 10.0.0.1",
            "X-HTTP-Method-Override: DELETE",
            "X-Mine: yes",
            "Accept: application/json",
        ],
    )

    assert status == 200
    sent = [(name.lower(), value) for name, value in hubspot.seen[-1].headers.items()]
    names = [name for name, _ in sent]
    token = list(hubspot.grants.access_tokens)[-1]
    assert [value for name, value in sent if name == "authorization"] == [f"Bearer {token}"]
    assert ("x-mine", "yes") in sent
    assert ("accept", "application/json") in sent
    assert names.count("host") == 1
    assert not set(names) & {
        "cookie",
        "x-broker-key",
        "x-secret-hop",
        "proxy-authorization",
        "te",
        "upgrade",
        "x_forwarded_user",
        "x-forwarded-for",
        "x-http-method-override",
        "user-agent",
        "accept-encoding",
    }
    assert broker.key not in str(sent)


async def test_hubspot_cannot_speak_for_the_broker_or_to_browsers(broker, hubspot):
    """P13, P14."""
    await broker.connects("u1")
    upstream_headers = {
        "Broker-Error": "reauth-required",
        "Set-Cookie": "a=b",
        "Strict-Transport-Security": "max-age=1",
        "Access-Control-Allow-Origin": "*",
        "Content-Security-Policy": "default-src *",
        "X-HubSpot-RateLimit-Max": "110",
        "x-hubspot-correlation-id": "abc",
        "Link": "<x>",
    }
    hubspot.faults.add(Fault("/_echo/*", "headers", headers=upstream_headers))

    answer = await broker.proxies("/_echo/x")

    assert "Broker-Error" not in answer.headers
    assert "Set-Cookie" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-HubSpot-RateLimit-Max"] == "110"
    assert answer.headers["x-hubspot-correlation-id"] == "abc"
    assert answer.headers["Link"] == "<x>"


async def test_one_users_cookie_never_reaches_another(broker, hubspot):
    await broker.connects("u1")
    await broker.connects("u2")
    hubspot.faults.add(Fault("/_echo/*", "set-cookie"))

    await broker.proxies("/_echo/x")
    await broker.proxies("/_echo/x", user="u2")

    assert "Cookie" not in hubspot.seen[-1].headers


async def test_a_redirect_is_passed_on_and_not_followed(broker, hubspot, canary):
    """P4."""
    await broker.connects("u1")

    for status in [301, 302, 303, 307, 308]:
        hubspot.faults.clear()
        hubspot.faults.add(Fault("/_echo/*", "redirect", status=status, location=canary.url))
        answer = await broker.proxies("/_echo/x")

        assert answer.status == status
        assert answer.headers["Location"] == canary.url
    assert canary.got == []


async def test_every_users_call_carries_that_users_token(broker, hubspot):
    users = ["u1", "U1", "a/b", "a%2Fb", "ü €", "null", "x" * 255]
    for user in users:
        await broker.connects(user)
    tokens = list(hubspot.grants.access_tokens)

    for user, token in zip(users, tokens, strict=True):
        assert (await broker.proxies("/_echo/x", user=user)).status == 200
        assert hubspot.seen[-1].headers["Authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("method", ["TRACE", "OPTIONS", "PROPFIND"])
async def test_other_methods_are_not_taken(broker, hubspot, method):
    """P12, P15."""
    await broker.connects("u1")
    hubspot.seen.clear()

    answer = await broker.proxies("/_echo/x", method=method)

    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert list(hubspot.seen) == []


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_over_the_limit_is_refused(start_broker, hubspot, chunked):
    """P18."""
    broker = await start_broker(max_body_mb=1)
    await broker.makes_workspace()
    await broker.registers()
    await broker.connects("u1")

    async def parts():
        for _ in range(30):
            yield b"x" * 65_536

    body = parts() if chunked else io.BytesIO(b"x" * 1_048_577)
    try:
        answer = await broker.proxies("/_echo/x", method="POST", data=body)
        assert (answer.status, answer.code) == (413, "body-too-large")
    except (aiohttp.ClientConnectionError, ConnectionError):
        pass  # refused while the rest was still being sent
    assert (await broker.proxies("/_echo/x")).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("/_echo/*", "hang"), 504, "hubspot-timeout"),
        (Fault("/_echo/*", "garbage"), 502, "hubspot-unavailable"),
        (Fault("/_echo/*", "lose-answer"), 502, "hubspot-unavailable"),
    ],
)
async def test_no_answer_is_told_as_such(start_broker, hubspot, fault, status, code):
    """F7, F10."""
    broker = await start_broker(upstream_idle_s=0.4)
    await broker.makes_workspace()
    await broker.registers()
    await broker.connects("u1")
    hubspot.faults.add(fault)

    answer = await broker.proxies("/_echo/x", method="POST", data=b"{}")

    assert (answer.status, answer.code) == (status, code)
    assert fault.hits == 1


@pytest.mark.parametrize("chunked", [True, False])
async def test_half_an_answer_is_never_passed_off_as_a_whole_one(broker, hubspot, chunked):
    """F8."""
    await broker.connects("u1")
    hubspot.faults.add(Fault("/_echo/*", "reset", after_bytes=40, chunked=chunked))

    with pytest.raises(aiohttp.ClientPayloadError):
        await broker.proxies("/_echo/x")


async def test_a_caller_who_leaves_frees_the_call_to_hubspot(broker, hubspot):
    """P19."""
    await broker.connects("u1")
    hubspot.faults.add(Fault("/_echo/*", "hang"))

    for _ in range(20):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(broker.proxies("/_echo/x"), 0.05)

    await until(lambda: broker.parts.providers.in_flight == 0)


async def test_a_policy_covers_every_spelling_of_a_call(broker, hubspot):
    """P25."""
    await broker.connects("u1")
    rules = [{"methods": ["GET", "POST"], "path": "/crm/v3/objects/contacts*"}]
    await broker.asks("PATCH", "/api/apps/hbdev", json={"policy": rules})

    async def outcome(method, path):
        answer = await broker.proxies(path, method=method)
        return answer.headers.get("Broker-Error")

    assert await outcome("GET", "/crm/v3/objects/contacts?limit=1") is None
    assert await outcome("GET", "/crm/objects/2026-03/0-1") is None
    assert await outcome("POST", "/crm/v3/objects/contacts/search") is None
    assert await outcome("POST", "/crm/objects/2026-09/contact/batch/read") is None
    hubspot.seen.clear()
    assert await outcome("DELETE", "/crm/v3/objects/contacts/1") == "call-refused"
    assert await outcome("POST", "/crm/v3/objects/contacts/batch/archive") == "call-refused"
    assert await outcome("POST", "/crm/objects/2026-03/contacts/batch%2Farchive") == "call-refused"
    assert await outcome("POST", "/crm/v3/objects/contacts/batch/archive;x=1") == "call-refused"
    assert await outcome("POST", "/crm/v3/objects/contacts//batch/Archive/") == "call-refused"
    assert await outcome("PATCH", "/crm/v3/objects/contacts/1") == "call-refused"
    assert await outcome("GET", "/crm/v3/objects/companies") == "call-refused"
    assert list(hubspot.seen) == []


async def test_a_key_has_a_policy_of_its_own(broker, hubspot):
    """P25, U5: both must allow a call."""
    await broker.connects("u1")
    reading = (PolicyRule(("GET",), "/crm/v3/objects/*"),)
    key = await broker.makes_key("proxy", policy=reading)
    token = (
        await broker.asks(
            "POST",
            "/oauth/token",
            key="",
            json={
                "grant_type": "client_credentials",
                "client_id": await client_id_of(broker, key),
                "client_secret": key,
            },
        )
    ).json()["access_token"]
    contacts = "/crm/objects/2026-03/contacts"

    for credential in (key, token):
        assert (await broker.proxies(contacts, key=credential)).status == 200
        search = await broker.proxies(f"{contacts}/search", method="POST", json={}, key=credential)
        assert search.status == 200
        refused = await broker.proxies(contacts, method="POST", json={}, key=credential)
        assert (refused.status, refused.code) == (403, "call-refused")
    rules = [{"methods": ["GET"], "path": "/crm/v3/objects/deals*"}]
    await broker.asks("PATCH", "/api/apps/hbdev", json={"policy": rules})
    assert (await broker.proxies(contacts, key=key)).code == "call-refused"


async def client_id_of(broker, secret):
    keys = await broker.parts.keys.of_workspace(UUID(broker.workspace))
    return keys[-1].client_id


async def test_a_reading_key_may_search_and_not_write(broker):
    await broker.connects("u1")
    key = await broker.makes_key("proxy:read")

    search = "/crm/v3/objects/contacts/search"
    assert (await broker.proxies(key=key)).status == 200
    assert (await broker.proxies(search, method="POST", json={}, key=key)).status == 200
    refused = await broker.proxies(method="POST", json={"properties": {}}, key=key)
    assert (refused.status, refused.code) == (403, "not-allowed")
    assert "proxy" in refused.json()["detail"]


async def test_an_unknown_user_and_an_unknown_app_look_alike_in_kind(broker):
    unknown_user = await broker.proxies(user="nobody")
    unknown_app = await broker.asks("GET", f"/proxy/nope/{quote('u1')}/crm/v3/x")

    assert (unknown_user.status, unknown_user.code) == (404, "connection-not-found")
    assert (unknown_app.status, unknown_app.code) == (404, "app-not-found")

"""Whatever comes in, a clear answer goes out."""

import asyncio
import contextlib
import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

OPERATIONS = [
    ("POST", "/api/apps"),
    ("PATCH", "/api/apps/hbdev"),
    ("POST", "/api/apps/hbdev/connections/u1/import"),
    ("POST", "/api/connections/confirm"),
    ("POST", "/api/hubspot/claims/x"),
    ("POST", "/api/raw/hbdev"),
    ("POST", "/oauth/token"),
    ("DELETE", "/api/saas-org-user/delete-user/hbdev"),
]

BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"1e9999",
    b'{"a":NaN}',
    b'{"slug":"a","slug":"b"}',
    b"[" * 20_000,
    b'{"userForeignIdentifier":"\\ud800"}',
    b'{"userForeignIdentifier":"a\\u0000b"}',
    b'{"confirm":"\\u0000","userForeignIdentifier":"u1"}',
    b"\xff\xfe",
    b'{"userForeignIdentifier":' + b"9" * 5000 + b"}",
    json.dumps({"method": "GET", "url": "\ud800", "userForeignIdentifier": "u1"}).encode(),
    json.dumps(
        {"method": "GET", "url": "/x", "userForeignIdentifier": "u1", "headers": {"a": "\ud800"}}
    ).encode(),
    b"x" * 1_200_000,
]

KINDS = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "text/plain",
    "",
]


def is_a_clear_answer(answer):
    assert answer.status < 500, (answer.status, answer.body[:300])
    if answer.status >= 400 and answer.content_type != "application/json":
        assert answer.content_type == "application/problem+json"
        assert answer.json()["requestId"] == answer.headers["X-Request-Id"]
        assert answer.json()["code"] == answer.headers["Broker-Error"]


async def test_no_body_breaks_an_operation(broker):
    """W11, O4."""
    for method, path in OPERATIONS:
        for kind in KINDS:
            for body in BODIES:
                headers = {"Content-Type": kind} if kind else {}
                is_a_clear_answer(
                    await broker.asks(method, path, data=iter_of(body), headers=headers)
                )


def iter_of(body):
    async def parts():
        yield body

    return parts() if len(body) > 1_000_000 else body


async def test_a_compressed_body_is_not_guessed_at(broker):
    answer = await broker.asks(
        "POST",
        "/api/apps",
        data=gzip.compress(b"{}"),
        headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
    )

    assert (answer.status, answer.code) == (400, "invalid-request")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
FIELDS = [
    "slug",
    "clientId",
    "clientSecret",
    "appId",
    "scopes",
    "returnUrls",
    "policy",
    "confirm",
    "userForeignIdentifier",
    "refreshToken",
    "method",
    "url",
    "body",
    "headers",
    "grant_type",
    "client_id",
]


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    operation=st.sampled_from(OPERATIONS),
    body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
    query=st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=20), max_size=2),
)
async def test_no_fields_break_an_operation(broker, operation, body, query):
    method, path = operation

    is_a_clear_answer(await broker.asks(method, path, json=body, params=query))


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/apps/%00",
        "/api/apps/a%2Fb",
        "/api/apps/" + "x" * 5000,
        "/api/apps/%FF",
        "/api/apps/hbdev/connections/%00",
        "/api/apps/hbdev/connections/%FF",
        "/api/apps/hbdev/connections/" + "x" * 300,
        "/proxy",
        "/proxy/hbdev",
        "/proxy/hbdev/u1",
        "/proxy/hbdev//crm",
        "/proxy/%00/u1/crm",
        "/proxy/hbdev/%00/crm",
        "/proxy/hbdev/%FF/crm",
        "/hubspot/x/callback",
        "/hubspot/hbdev-00000000-0000-0000-0000-000000000000/callback?state=%00&code=%00",
        "/hubspot/hbdev-ffffffff-zzzz-0000-0000-000000000000/callback",
        "/oauth/token",
    ],
)
async def test_no_path_breaks_the_broker(broker, path):
    is_page = "callback" in path
    answer = await broker.asks("GET", str(URL(broker.url + path, encoded=True)))

    assert 400 <= answer.status < 500
    if not is_page:
        is_a_clear_answer(answer)
    assert answer.headers["X-Request-Id"]


async def test_a_request_line_too_long_is_refused(broker):
    answer = await broker.asks("GET", "/api/apps?x=" + "y" * 30_000)

    assert answer.status == 414
    assert answer.json()["code"] == "uri-too-long"


async def test_whatever_target_hubspot_reads_has_room_behind_any_user(broker, hubspot):
    """U4: HubSpot's own limit is near 16,384 bytes; our part of the path comes before it."""
    user = "😀" * 80
    await broker.connects(user)
    target = "/_echo/" + "x" * (16_384 - len("/_echo/"))

    answer = await broker.proxies(target, user=user)

    assert (answer.status, answer.json()["target"]) == (200, target)


async def test_no_answer_names_the_software_that_made_it(broker):
    for path in ("/healthz", "/api/apps", "/nowhere", "/connect.js", f"/x?{'a' * 30_000}"):
        answer = await broker.asks("GET", path)

        assert answer.headers["Server"] == "broker", path


async def test_bytes_that_are_no_headers_reach_nobody(broker, hubspot):
    """P10: one request in is at most one request out."""
    await broker.connects("u1")
    port = int(broker.url.rsplit(":", 1)[1])
    auth = f"Authorization: Bearer {broker.key}\r\nHost: x\r\n"
    line = "POST /proxy/hbdev/u1/_echo/x HTTP/1.1\r\n"
    smuggled = "0\r\n\r\nGET /proxy/hbdev/u1/_echo/smuggled HTTP/1.1\r\n" + auth + "\r\n"
    attempts = [
        line + auth + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled,
        line + auth + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        line + auth + "Content-Length: +4\r\n\r\nabcd",
        line + auth + "Content-Length : 4\r\n\r\nabcd",
        line + auth + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled,
        line + auth + "Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        line + auth + " folded: 1\r\n\r\n",
        "POST /proxy/hbdev/u1/_echo/x HTTP/1.1\n" + auth.replace("\r", "") + "\n",
        "POST  /proxy/hbdev/u1/_echo/x HTTP/1.1\r\n" + auth + "\r\n",
        line + auth + "X: a\x00b\r\n\r\n",
    ]

    for attempt in attempts:
        hubspot.seen.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(attempt.encode("latin-1"))
        await writer.drain()
        with contextlib.suppress(asyncio.TimeoutError, ConnectionError):
            await asyncio.wait_for(reader.read(), 0.3)
        writer.close()
        assert len(hubspot.seen) <= 1, attempt
        assert not any("smuggled" in seen.raw_path for seen in hubspot.seen), attempt
    assert (await broker.proxies("/_echo/x")).status == 200


async def test_what_is_no_request_is_refused_in_our_words_and_repeats_no_secret(
    broker, no_secret_in_the_logs
):
    """The proxy's callers must see who speaks, and a key with a stray byte must stay a secret."""
    key = broker.key
    for wrong, detail in (
        (f"GET /proxy/hbdev/u1/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\r\n", "HTTP"),
        (
            f"GET /proxy/hbdev/u1/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\x01\r\n",
            "HTTP",
        ),
        (f"GET /x?code={key}\x01 HTTP/1.1\r\nHost: x\r\n", "HTTP"),
        (f"GET /x HTTP/1.1\r\nHost: x\r\nX: {'a' * 20_000}\r\n", "header is too long"),
        (f"{key}\r\n", "HTTP"),
    ):
        reader, writer = await asyncio.open_connection("localhost", int(broker.url.split(":")[2]))
        writer.write(f"{wrong}\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        writer.close()

        assert b" 400 " in head.split(b"\r\n")[0]
        assert b"\r\nBroker-Error: invalid-request\r\n" in head
        assert b"\r\nX-Request-Id: " in head
        assert detail in json.loads(body)["detail"]
        assert json.loads(body)["requestId"] in no_secret_in_the_logs.getvalue()
        assert key.encode() not in body
    assert "Traceback" not in no_secret_in_the_logs.getvalue()


async def test_a_body_that_breaks_off_half_way_is_refused_at_once(broker, no_secret_in_the_logs):
    """L4: nobody waits for the rest of what cannot be read."""
    await broker.connects("u1")
    fine = "3\r\nabc\r\n"
    for path in ("/proxy/hbdev/u1/_echo/x", "/api/raw/hbdev", "/api/apps"):
        reader, writer = await asyncio.open_connection("localhost", int(broker.url.split(":")[2]))
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {broker.key}\r\n"
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n{fine}".encode())
        await asyncio.sleep(0.1)
        writer.write(b"zz\r\n")
        received = await asyncio.wait_for(reader.read(), 5)
        writer.close()

        assert received.startswith(b"HTTP/1.1 400 "), path
        assert received.count(b"Broker-Error: invalid-request") == received.count(b"HTTP/1.") == 1
    assert broker.parts.providers.in_flight == 0
    assert "Traceback" not in no_secret_in_the_logs.getvalue()


SECRET_BODY = '{"slug":"x","clientId":"c","clientSecret":"MYSECRETVALUE","scopes":["oauth"]}'


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/apps"), ("PATCH", "/api/apps/hbdev"), ("PUT", "/api/apps/hbdev/recipes/kyb"), ("POST", "/api/raw/hbdev")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json"])
async def test_what_a_refusal_tells_is_no_name_that_may_be_a_secret(broker, method, path, kind):
    """U4: JSON that goes as a form, as curl sends it, is one long name; and names can be anything."""
    await broker.registers()
    body = SECRET_BODY if "form" in kind else f'{{"MYSECRETVALUE of mine": 1, "bs_{7:032x}": 1}}'
    answer = await broker.asks(method, path, data=body, headers={"Content-Type": kind})

    assert (answer.status, answer.code) == (400, "invalid-request")
    assert b"MYSECRETVALUE" not in answer.body
    assert b"bs_0000" not in answer.body
    assert ("Content-Type: application/json" in answer.json()["detail"]) == ("form" in kind)


async def test_a_refusal_stands_in_the_log_by_its_code(broker, caplog):
    """O4: what a request id leads to says what went wrong, and for which app."""
    await broker.registers()
    await broker.asks("GET", "/api/apps/hbdev/connections/nobody")

    line = next(each for each in reversed(caplog.records) if each.msg == "answered")
    assert (line.status, line.error, line.app) == (404, "connection-not-found", "hbdev")


@pytest.mark.parametrize("path", ["/proxy/hbdev/u1/_echo/x", "/api/raw/hbdev", "/healthz", "/x"])
async def test_an_expectation_of_odd_bytes_is_refused_and_not_repeated(broker, path):
    """2.14."""
    reader, writer = await asyncio.open_connection("localhost", URL(broker.url).port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nExpect: \xff\r\n\r\n".encode("latin-1"))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()

    assert head.split()[1] == b"400"
    assert b"Broker-Error: invalid-request" in head


async def test_a_version_of_http_that_is_not_spoken_here_is_refused(broker):
    """2.17: a proxy in front that reads such a request differently would be deceived."""
    port = URL(broker.url).port
    for line in ("GET /healthz", "GET /healthz HTTP/0.9", "GET /healthz HTTP/2.0"):
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(f"{line}\r\nHost: x\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        writer.close()

        assert head.split()[1] == b"400", line
        assert b"Broker-Error: invalid-request" in head
    assert (await broker.asks("GET", "/healthz")).status == 200


async def test_what_cannot_be_a_token_is_refused_before_it_is_sent(broker, hubspot):
    """2.14: neither a form nor a header can carry it."""
    for token in ("a\ud800", "a\0", "a\r\nX-Evil: 1", "a b", "caf\xe9", "\u4e2d"):
        for field in ("refreshToken", "accessToken"):
            body = {field: token}
            answer = await broker.asks("POST", "/api/apps/hbdev/connections/u9/import", json=body)

            assert (answer.status, answer.code) == (400, "invalid-request")
            assert answer.json()["errors"][0]["field"] == field
    assert not hubspot.seen


async def test_a_body_that_waits_to_be_asked_for_is_asked_for(broker):
    await broker.connects("u1")
    answer = await broker.proxies("/_echo/x", method="POST", data=b"{}", expect100=True)

    assert (answer.status, answer.json()["bodyLength"]) == (200, 2)

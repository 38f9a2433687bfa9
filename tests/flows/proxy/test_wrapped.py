"""StackGo's wrapped calls."""

import asyncio
import hashlib
import io
import json
import time
import tracemalloc
import zlib
from urllib.parse import urlencode

import pytest
from yarl import URL

from broker.errors import DestinationRefused
from broker.providers.calls.answers import Answer
from broker.providers.calls.destination import target_of
from broker.providers.transport.headers import Headers
from broker.sandbox.core.faults import Fault
from broker.services.proxy.idempotency import BufferedBody
from broker.web.proxy.large_calls import LargeCallReader
from broker.web.proxy.wrapped import DataEnvelope


async def wraps(broker, path="/api/raw/hbdev", **call):
    body = {"method": "GET", "url": "/_echo/x", "userForeignIdentifier": "u1", **call}
    return await broker.asks("POST", path, json=body)


@pytest.mark.parametrize("path", ["/api/raw/hbDev", "/api/hubspot/proxy/hbdev"])
async def test_a_call_is_made_as_described_and_its_answer_wrapped(broker, path):
    await broker.connects("u1")

    answer = await wraps(
        broker,
        path,
        method="POST",
        url="https://api.hubapi.com/_echo/x?a=1",
        body={"a": [1, "ü"]},
        headers={"X-Mine": "1"},
    )

    assert answer.status == 200
    assert answer.content_type == "application/json"
    echo = answer.json()["data"]
    assert (echo["method"], echo["target"]) == ("POST", "/_echo/x?a=1")
    assert echo["bodyLength"] == len('{"a":[1,"ü"]}'.encode())
    sent = {name.lower(): value for name, value in echo["headers"]}
    assert sent["x-mine"] == "1"
    assert sent["content-type"] == "application/json"


async def test_a_form_is_as_good_as_json(broker):
    await broker.connects("u1")

    answer = await broker.asks(
        "POST",
        "/api/raw/hbdev",
        data={
            "method": "patch",
            "url": "https://api.hubapi.com/_echo/x",
            "userForeignIdentifier": "u1",
            "body": '{"b":1}',
            "headers": '{"X-Mine":"1"}',
        },
    )

    assert answer.json()["data"]["method"] == "PATCH"
    assert answer.json()["data"]["bodyLength"] == 7


@pytest.mark.parametrize(
    ("body", "kind", "data"),
    [
        ('{"a":1}', "application/json", {"a": 1}),
        ('plain "text"\nü', "text/plain", 'plain "text"\nü'),
        ("", "text/plain", ""),
    ],
)
async def test_json_is_spliced_in_and_anything_else_becomes_a_string(
    broker, hubspot, body, kind, data
):
    await broker.connects("u1")
    hubspot.faults.add(Fault("/_echo/*", "status", status=418, body=body))

    answer = await wraps(broker)

    assert answer.status == 418
    assert answer.json() == {"data": data}
    assert "Broker-Error" not in answer.headers


async def test_an_answer_without_a_body_stays_without(broker):
    await broker.connects("u1")

    answer = await wraps(broker, url="/_status/204")

    assert (answer.status, answer.body) == (204, b"")


async def test_a_compressed_answer_is_unwrapped_first(broker, hubspot):
    await broker.connects("u1")
    hubspot.faults.add(Fault("/crm/*", "gzip"))

    answer = await wraps(broker, url="/crm/v3/objects/contacts")

    assert answer.json() == {"data": {"results": []}}


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://evil.test/x", 403),
        ("https://api.hubapi.com.evil.test/x", 403),
        ("https://api.hubapi.com@evil.test/x", 403),
        ("https://api.hubapi.com:8443/x", 403),
        ("https://api.hubapi.com./x", 403),
        ("http://api.hubapi.com/x", 403),
        ("https:api.hubapi.com/x", 403),
        ("https:///x", 403),
        ("https://api.hubapi.com\\@evil.test/x", 403),
        ("ftp://api.hubapi.com/x", 403),
        ("//evil.test/x", 403),
        ("https://api.hubapi.com//evil.test/x", 403),
        ("evil.test/x", 400),
        ("https://api.hubapi.com/a/../b", 400),
        ("/a\r\nHost: evil.test", 400),
        ("/a\x00", 400),
        ("/a#b", 400),
        ("", 400),
    ],
)
async def test_no_url_leads_away_from_hubspot(broker, hubspot, url, status):
    """P2."""
    await broker.connects("u1")
    hubspot.seen.clear()

    answer = await wraps(broker, url=url)

    assert answer.status == status
    assert answer.json()["requestId"]
    assert list(hubspot.seen) == []


@pytest.mark.parametrize(
    "host", ["api.hubapi.com", "API.HUBAPI.COM", "api-eu1.hubapi.com", "api.hubspot.com"]
)
async def test_every_api_host_of_hubspots_is_one(broker, host):
    await broker.connects("u1")

    answer = await wraps(broker, url=f"https://{host}/_echo/a%2Fb?x=a b")

    assert answer.json()["data"]["target"] == "/_echo/a%2Fb?x=a%20b"


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nHost: evil"},
        {"X": "a\x00"},
        {"X\r\nY": "a"},
        {"X: y": "a"},
        {"": "a"},
        {"X": "\ud83d\ude00"},
        {"X": 1},
        [],
        "not json",
    ],
)
async def test_headers_that_are_none_are_refused(broker, hubspot, headers):
    """P11."""
    await broker.connects("u1")
    hubspot.seen.clear()

    answer = await wraps(broker, headers=headers)

    assert (answer.status, answer.code) == (400, "invalid-request")
    assert list(hubspot.seen) == []


async def test_a_call_cannot_choose_who_asks(broker, hubspot):
    """P7."""
    await broker.connects("u1")

    await wraps(broker, headers={"authorization": "Bearer x", "Host": "evil", "cookie": "a"})

    sent = hubspot.seen[-1].headers
    token = list(hubspot.grants.access_tokens)[-1]
    assert sent.getall("Authorization") == [f"Bearer {token}"]
    assert "evil" not in sent["Host"]
    assert "Cookie" not in sent


async def test_two_names_for_the_user_must_be_one(broker):
    """U3."""
    await broker.connects("u1")

    answer = await broker.asks(
        "POST",
        "/api/raw/hbdev?userForeignIdentifier=u2",
        data=json.dumps({"method": "GET", "url": "/_echo/x", "userForeignIdentifier": "u1"}),
        headers={"Content-Type": "application/json"},
    )

    assert answer.status == 400


async def test_every_wrong_field_is_named(broker):
    answer = await wraps(broker, method="TRACE", userForeignIdentifier="", extra=1)

    assert answer.status == 400
    assert {error["field"] for error in answer.json()["errors"]} == {
        "method",
        "userForeignIdentifier",
        "extra",
    }


def test_an_api_url_with_a_path_is_named_once():
    api_url = "http://front.example:8000/hubspot"
    for url, target in (
        (f"{api_url}/crm/v3/objects?a", "/crm/v3/objects?a"),
        (f"{api_url}spotless/x", "/hubspotspotless/x"),
        ("http://front.example:8000/x", "/x"),
        ("https://api.hubapi.com/hubspot/x", "/hubspot/x"),
    ):
        assert target_of(url, (api_url,), lambda host: host == "api.hubapi.com") == target
    with pytest.raises(DestinationRefused):
        target_of(f"{api_url}//evil.test/x", (api_url,))


JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


async def sends(broker, text, kind=JSON):
    """A wrapped call whose body is this text."""
    body, headers = io.BytesIO(text.encode()), {"Content-Type": kind}
    return await broker.asks("POST", "/api/raw/hbdev", data=body, headers=headers)


def large_body(size=1_000_000):
    """A JSON value with everything in it that could be mistaken for the end of it."""
    words = ['"', "\\", "{", "]", "é", "\u2028", 'a"]}', "\\\\", "x" * 100]
    return {"inputs": [{"properties": {"note": word * 7}} for word in words * (size // 1000)]}


@pytest.mark.parametrize("form", [False, True])
async def test_a_large_body_goes_on_as_it_stands(broker, hubspot, form):
    """2.13: byte for byte, so that nothing has to be parsed."""
    await broker.connects("u1")
    text = json.dumps(large_body(), indent=1, ensure_ascii=False)
    call = {"method": "POST", "url": "/_echo/x", "userForeignIdentifier": "u1", "headers": "{}"}
    if form:
        answer = await sends(broker, urlencode({**call, "body": text}), FORM)
    else:
        answer = await sends(broker, json.dumps(call)[:-1] + ' , "b\\u006fdy" : ' + text + " }\n")

    assert answer.status == 200, answer.body
    assert answer.json()["data"]["bodySha256"] == hashlib.sha256(text.encode()).hexdigest()


async def test_a_large_string_is_sent_as_what_it_holds(broker):
    await broker.connects("u1")
    text = 'é"\\\n' * 200_000

    answer = await sends(broker, AROUND % json.dumps(text))

    assert answer.json()["data"]["bodySha256"] == hashlib.sha256(text.encode()).hexdigest()


AROUND = '{"method":"POST","url":"/_echo/x","userForeignIdentifier":"u1","body":%s}'


@pytest.mark.parametrize(
    "text",
    [
        AROUND % ("[" * 300_000),
        AROUND % ('"' + '\\"' * 200_000),
        AROUND % ('"' + "x" * 300_000 + "\\"),
        AROUND % ("[" + "1," * 200_000 + '1]],"body":null'),
        AROUND % ("9" * 300_000),
        AROUND % ('"\\ud800' + "x" * 300_000 + '"'),
        AROUND % ("[" + "1," * 200_000 + "1]") + "{}",
        AROUND % ("[" + "1," * 200_000 + '1],"body":[]'),
        AROUND % ("[" + "1," * 200_000 + '1],"extra":1'),
        AROUND % ("[" + "1," * 200_000 + "1],"),
        AROUND % ("[" + "1," * 200_000 + '1],"url":NaN'),
        "[" + "1," * 200_000 + "1]",
        "{" + ",".join(f'"a{number}":1' for number in range(60_000)) + "}",
        "{" + " " * 300_000,
        '"' + "x" * 300_000 + '"',
    ],
    ids=range(15),
)
async def test_a_large_call_is_read_as_strictly_as_a_small_one(broker, hubspot, text):
    await broker.connects("u1")
    hubspot.seen.clear()

    answer = await sends(broker, text)

    assert (answer.status, answer.code) == (400, "invalid-request"), answer.body
    assert list(hubspot.seen) == []


@pytest.mark.parametrize("field", ["url", "headers"])
@pytest.mark.parametrize("form", [False, True])
async def test_only_the_body_of_a_call_may_be_large(broker, field, form):
    call = {"method": "GET", "url": "/x", "userForeignIdentifier": "u1", field: "x" * 300_000}

    text, kind = (urlencode(call), FORM) if form else (json.dumps(call), JSON)
    answer = await sends(broker, text, kind)

    assert (answer.status, answer.code) == (413, "body-too-large")


async def test_a_wrapped_call_has_at_most_ten_megabytes(broker):
    call = {"method": "GET", "url": "/x", "userForeignIdentifier": "u1", "body": "x" * 10_485_760}

    answer = await sends(broker, json.dumps(call))

    assert (answer.status, answer.code) == (413, "body-too-large")


async def longest_silence(work):
    """What comes of some work, and the most CPU time that it took between two turns of the loop."""
    task = asyncio.ensure_future(work)
    longest, last = 0.0, time.thread_time()
    while not task.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, last = max(longest, now - last), now
    return await task, longest


@pytest.mark.parametrize("unit", ["[],", '"",', '{"a":1},', "1,", '"' + "\\n" * 5000 + '",'])
async def test_others_are_served_while_a_large_call_is_read(unit):
    """2.13: CPU time of this thread, which other programs on the machine do not spend."""
    text = AROUND % ("[" + unit * (4_000_000 // len(unit)) + "0]")

    (_, body), longest = await longest_silence(LargeCallReader().read(text.encode(), form=False))

    assert body is not None
    assert longest < 0.1


async def test_others_are_served_while_a_large_form_is_read():
    form = b"method=GET&url=/x&userForeignIdentifier=u1&body=" + b"%41" * 1_300_000

    (_, body), longest = await longest_silence(LargeCallReader().read(form, form=True))

    assert body == b"A" * 1_300_000
    assert longest < 0.1


@pytest.mark.parametrize("path", ["/api/raw/hbdev", "/proxy/hbdev/u1/_echo/x"])
async def test_a_key_that_may_not_call_is_refused_before_its_body_is_read(broker, path):
    """2.13: the head alone is enough for an answer."""
    await broker.connects("u1")
    key = await broker.makes_key("apps", "audit", "console")
    reader, writer = await asyncio.open_connection("localhost", URL(broker.url).port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
    writer.write(f"{head}Idempotency-Key: k\r\nContent-Length: 100000\r\n\r\n".encode())

    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"Broker-Error: not-allowed" in answer


async def test_a_body_that_inflates_without_end_is_inflated_a_piece_at_a_time():
    """2.16: 100 kB that hold 100 MB."""
    bomb = zlib.compress(b"\0" * 100_000_000, wbits=31)
    headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")]
    answer = Answer(
        200, "OK", Headers.of(headers), BufferedBody(bomb), False, None, None, lambda: None
    )
    longest = total = 0
    tracemalloc.start()
    try:
        async for piece in DataEnvelope().chunks(answer):
            longest, total = max(longest, len(piece)), total + len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert total == 100_000_000 + len(b'{"data":}')
    assert longest <= 65_536
    assert peak < 2_000_000

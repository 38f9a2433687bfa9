"""StackGo's wrapped calls."""

import json

import pytest

from broker.errors import DestinationRefused
from broker.providers.hubspot.destination import target_of
from broker.sandbox.core.faults import Fault


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
    told = answer.json()["data"]
    assert (told["method"], told["target"]) == ("POST", "/_echo/x?a=1")
    assert told["bodyLength"] == len('{"a":[1,"ü"]}'.encode())
    sent = {name.lower(): value for name, value in told["headers"]}
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
        assert target_of(url, api_url) == target
    with pytest.raises(DestinationRefused):
        target_of(f"{api_url}//evil.test/x", api_url)

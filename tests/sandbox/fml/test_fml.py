"""The sandbox First Mile Labs does what its public pages and its levers specify."""

import asyncio
import hashlib
import hmac
import json

import aiohttp
import pytest

from tests.until import until

CLIENT, SECRET = "pk_live_tests", "sk_live_canary_of_fml"
CASE = {
    "customerEmail": "jane@acme.example",
    "customerName": "Jane Doe",
    "companyName": "Acme Ltd",
    "country": "United Kingdom",
    "crmRecordId": "12345",
    "crmSource": "HubSpot",
    "sendInvite": True,
}


@pytest.fixture
async def api(fml):
    """Send a request as a client; status, headers, body."""
    async with aiohttp.ClientSession() as session:

        async def send(method, path, body=None, token=None, **headers):
            if token:
                headers["Authorization"] = f"Bearer {token}"
            async with session.request(method, fml.url + path, json=body, headers=headers) as got:
                return got.status, got.headers, await got.json(content_type=None)

        yield send


@pytest.fixture
async def token(api):
    credentials = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
    return (await api("POST", "/v1/oauth/token", credentials))[2]["access_token"]


async def test_tokens_are_issued_for_json_only_by_default(api, fml):
    good = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
    async with aiohttp.ClientSession() as session:
        forms = []
        for accepted in (False, True):
            fml.fml.levers.accepts_forms = accepted
            async with session.post(fml.url + "/v1/oauth/token", data=good) as got:
                forms.append(got.status)

    answers = [
        (await api("POST", "/v1/oauth/token", {**good, **change}))[:3:2]
        for change in ({}, {"client_secret": "x"}, {"grant_type": "password"}, {"client_id": None})
    ]

    assert forms == [400, 200]
    assert [status for status, _ in answers] == [200, 401, 400, 400]
    assert answers[0][1]["expires_in"] == 3600
    assert answers[1][1] == {"error": "invalid_client"}
    assert answers[2][1] == {"error": "unsupported_grant_type"}


async def test_a_case_is_made_once_by_key_and_once_by_record(api, fml, token):
    first = await api("POST", "/v1/cases", CASE, token, **{"Idempotency-Key": "hubspot-12345"})
    again = await api("POST", "/v1/cases", CASE, token, **{"Idempotency-Key": "hubspot-12345"})
    other = await api("POST", "/v1/cases", CASE, token, **{"Idempotency-Key": "another"})
    parallel = await asyncio.gather(
        *(
            api(
                "POST", "/v1/cases", {**CASE, "crmRecordId": "9"}, token, **{"Idempotency-Key": "k"}
            )
            for _ in range(20)
        )
    )

    assert [each[0] for each in (first, again, other)] == [201, 201, 200]
    assert [each[1].get("Idempotent-Replay") for each in (first, again, other)] == [
        None,
        "true",
        "crm-record-id",
    ]
    assert first[2] == again[2] == other[2]
    assert first[2]["crmSource"] == "hubspot"
    assert first[2]["inviteSentAt"]
    assert len({each[2]["caseId"] for each in parallel}) == 1
    assert len(fml.fml.cases) == 2


async def test_refusals_are_those_of_the_public_pages(api, fml, token):
    bad = {**CASE, "customerEmail": "nobody"}
    fml.fml.add_client("reader", "s", ["read:cases"])
    credentials = {"grant_type": "client_credentials", "client_id": "reader", "client_secret": "s"}
    reader = (await api("POST", "/v1/oauth/token", credentials))[2]["access_token"]
    await api("POST", "/v1/echo", {}, token, **{"Idempotency-Key": "elsewhere"})

    wrong = await api("POST", "/v1/cases", bad, token)
    fml.fml.levers.error_list = ""
    bare = await api("POST", "/v1/cases", bad, token)
    scope = await api("POST", "/v1/cases", CASE, reader)
    conflict = await api("POST", "/v1/cases", CASE, token, **{"Idempotency-Key": "elsewhere"})
    fml.fml.revoke_tokens()
    dead = await api("POST", "/v1/cases", CASE, token)

    assert (wrong[0], wrong[2]["error"]) == (400, "validation_error")
    assert wrong[2]["details"][0]["field"] == "customerEmail"
    assert bare[2] == {"error": "validation_error"}
    assert (scope[0], scope[2]["error"]) == (403, "insufficient_scope")
    assert (conflict[0], conflict[2]["error"]) == (409, "idempotency_key_conflict")
    assert dead[0] == 401
    assert fml.fml.cases == {}


async def test_limits_are_counted_by_client(api, fml, token):
    fml.fml.levers.call_limit = 2

    statuses = [(await api("GET", "/v1/cases", None, token))[:2] for _ in range(3)]
    fml.fml.ahead += 61
    after = await api("GET", "/v1/cases", None, token)

    assert [each[0] for each in statuses] == [200, 200, 429]
    assert int(statuses[2][1]["Retry-After"]) >= 1
    assert after[0] == 200


async def test_webhooks_are_signed_over_their_bytes_and_sent_again(api, fml, token, receiver):
    await api(
        "POST", "/_sandbox/webhooks", {"url": f"{receiver.url}/hook", "secret": "test-secret-0001"}
    )
    case = (await api("POST", "/v1/cases", CASE, token))[2]["caseId"]
    fml.sender.ways.first_wait = 0.01
    receiver.answers = [lambda: aiohttp.web.Response(status=500)]
    await api("POST", f"/_sandbox/cases/{case}", {"status": "approved"})
    await until(lambda: len(receiver.requests) >= 2)
    event = json.loads(receiver.requests[0][3])
    await api("POST", f"/_sandbox/events/{event['eventId']}/redeliver", {})
    await until(lambda: len(receiver.requests) >= 3)

    assert len({body for _, _, _, body in receiver.requests}) == 1
    _, _, headers, body = receiver.requests[0]
    digest = hmac.new(b"test-secret-0001", body, hashlib.sha256).hexdigest()
    assert headers["X-FML-Signature"] == f"sha256={digest}"
    assert (event["event"], event["status"]) == ("case.status.changed", "approved")
    assert event["previousStatus"] == "in-progress"
    assert event["crmRecordId"] == "12345"


async def test_a_person_moves_a_case_on_with_a_button(api, fml, token):
    case = (await api("POST", "/v1/cases", CASE, token))[2]["caseId"]
    async with aiohttp.ClientSession() as session:
        async with session.get(fml.url + "/") as got:
            page = await got.text()
        async with session.post(
            f"{fml.url}/cases/{case}", data={"decision": "approved", "status": "approved"}
        ) as got:
            after = await got.text()
        async with session.post(
            f"{fml.url}/cases/{case}", data={"status": "x"}, headers={"Origin": "http://evil.test"}
        ) as got:
            refused = got.status

    assert case in page
    assert "approved" in after
    assert fml.fml.cases[case].stage == "decision_made"
    assert refused == 403
    assert fml.fml.cases[case].status == "approved"


async def test_the_page_shows_a_case_of_which_only_the_needed_fields_are_known(api, fml, token):
    """As a Zap makes it: without a company's name."""
    bare = {"customerEmail": "jane@acme.example", "crmRecordId": "rec1", "crmSource": "airtable"}
    case = (await api("POST", "/v1/cases", bare, token))[2]["caseId"]
    async with aiohttp.ClientSession() as session, session.get(fml.url + "/") as got:
        page = await got.text()

    assert got.status == 200
    assert case in page
    assert "(no company name)" in page

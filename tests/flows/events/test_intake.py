"""HubSpot's webhooks: taken when HubSpot signed them, and only then."""

import asyncio
import base64
import hashlib
import hmac
import time
from uuid import uuid4

import pytest
from yarl import URL

EVENT = {
    "eventId": 1,
    "subscriptionId": 12345,
    "portalId": 101,
    "appId": 1234567,
    "occurredAt": 1564113600000,
    "subscriptionType": "contact.creation",
    "attemptNumber": 0,
    "objectId": 123,
}


async def kept(database):
    return [row["body"] for row in await database.fetch("SELECT body FROM webhook_inbox")]


async def test_what_hubspot_signed_is_stored_as_it_came(broker, database):
    """W1."""
    bodies = [
        b'[ {"portalId" :101, "subscriptionType":"contact.creation" } ]\n',
        '[{"portalId":101,"propertyValue":"é\\u00e9\\u0000","a":1,"a":2}]'.encode(),
        b'[{"portalId":101,"objectId":123456789012345678901234567890}]',
        b"[]",
    ]

    answers = [await broker.receives_webhook(body) for body in bodies]

    assert [answer.status for answer in answers] == [200] * 4
    assert {answer.body for answer in answers} == {b""}
    assert sorted(await kept(database)) == sorted(bodies)


async def test_what_hubspot_did_not_sign_leaves_no_trace(broker, database):
    """W1, W4: 401 without side effects."""
    path = f"/hubspot/hbdev-{broker.workspace}/webhooks"
    now = int(time.time() * 1000)
    attempts = [
        await broker.receives_webhook([EVENT], secret="wrong"),
        await broker.receives_webhook([EVENT], ago_ms=360_000),
        await broker.receives_webhook([EVENT], ago_ms=-360_000),
        await broker.receives_webhook([EVENT], **{"X-HubSpot-Request-Timestamp": str(now // 1000)}),
        await broker.receives_webhook([EVENT], **{"X-HubSpot-Request-Timestamp": f"-{now}"}),
        await broker.receives_webhook([EVENT], **{"X-HubSpot-Signature-v3": "AAAA"}),
        await broker.receives_webhook([EVENT], slug="nothere"),
        await broker.receives_webhook(b"not json", secret="wrong"),
        await broker.asks("POST", path, key="", data=b"[]"),
        await broker.asks("POST", path, data=b"[]"),
        await broker.asks("POST", f"/hubspot/hbdev-{uuid4()}/webhooks", key="", data=b"[]"),
        await broker.asks("POST", f"/hubspot/hbdev-{'-' * 36}/webhooks", key="", data=b"[]"),
    ]

    assert [answer.status for answer in attempts] == [401] * len(attempts)
    assert {answer.code for answer in attempts} == {"not-authenticated"}
    assert await kept(database) == []


async def test_the_host_that_a_request_names_changes_nothing(broker, database):
    """W2."""
    forged = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"}
    path = f"/hubspot/hbdev-{broker.workspace}/webhooks"
    sent_at = str(int(time.time() * 1000))
    over = f"POSThttps://evil.test{path}[]{sent_at}".encode()
    digest = hmac.new(b"canary-client-secret", over, hashlib.sha256).digest()

    good = await broker.receives_webhook([EVENT], **forged)
    bad = await broker.receives_webhook(
        [],
        **forged,
        **{
            "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
            "X-HubSpot-Request-Timestamp": sent_at,
        },
    )

    assert (good.status, bad.status) == (200, 401)
    assert len(await kept(database)) == 1


async def test_older_signatures_count_only_where_the_app_says_so(broker, database):
    """W3."""
    digest = hashlib.sha256(b"canary-client-secret" + b"[]").hexdigest()
    headers = {"X-HubSpot-Signature": digest, "X-HubSpot-Signature-Version": "v1"}
    path = f"/hubspot/hbdev-{broker.workspace}/webhooks"

    before = await broker.asks("POST", path, key="", data=b"[]", headers=headers)
    changed = await broker.asks("PATCH", "/api/apps/hbdev", json={"legacySignatures": True})
    after = await broker.asks("POST", path, key="", data=b"[]", headers=headers)

    assert (before.status, after.status) == (401, 200)
    assert changed.json()["legacySignatures"] is True


async def test_a_former_client_secret_signs_for_a_day(broker, database):
    """W10."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"clientSecret": "canary-newer-secret"})
    both = [
        (await broker.receives_webhook([], secret=secret)).status
        for secret in ("canary-newer-secret", "canary-client-secret", "canary-other")
    ]
    await database.execute("UPDATE app SET previous_secret_until = now() - interval '1 second'")
    broker.parts.invalidate_caches()
    later = [
        (await broker.receives_webhook([], secret=secret)).status
        for secret in ("canary-newer-secret", "canary-client-secret")
    ]

    assert both == [200, 200, 401]
    assert later == [200, 401]


async def test_what_is_signed_and_not_a_batch_is_refused(broker, database):
    """W11."""
    refused = {
        b"": 400,
        b"{}": 400,
        b"null": 400,
        b"[NaN]": 400,
        b"[Infinity]": 400,
        b"[1e9999]": 400,
        b"[" * 10_000 + b"]" * 10_000: 400,
        b"[" + b"9" * 5000 + b"]": 400,
        b"\xff\xfe[\x00]\x00": 400,
        b"[] []": 400,
        b" " * (10 * 1_048_576 + 1): 413,
    }

    answers = {body: (await broker.receives_webhook(body)).status for body in refused}

    assert answers == refused
    assert await kept(database) == []


async def test_without_the_database_hubspot_is_asked_to_come_again(broker, database):
    """W9: never a 200 without a durable row."""
    assert (await broker.receives_webhook([EVENT])).status == 200  # the app is remembered now
    await database.execute("BEGIN")
    await database.execute("LOCK TABLE webhook_inbox IN ACCESS EXCLUSIVE MODE")

    frozen = await asyncio.gather(*(broker.receives_webhook([EVENT]) for _ in range(3)))
    await database.execute("ROLLBACK")

    assert [answer.status for answer in frozen] == [503] * 3
    assert "Retry-After" in frozen[0].headers
    assert (await broker.receives_webhook([EVENT])).status == 200
    assert len(await kept(database)) == 2


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/hubspot/nosuch-00000000-0000-0000-0000-000000000000/webhooks", {}),
        ("/hubspot/nosuch-{workspace}/webhooks", {}),
        ("/hubspot/hbdev-{workspace}/webhooks", {"X-HubSpot-Signature-v3": "nonsense"}),
        ("/hubspot/hbdev-{workspace}/webhooks", {"X-HubSpot-Request-Timestamp": "1600000000000"}),
        ("/hubspot/hbdev-{workspace}/webhooks", {"X-HubSpot-Signature-v3": ""}),
    ],
)
async def test_of_what_cannot_be_hubspots_no_body_is_read(broker, path, changes):
    """2.5: the head is enough for an answer, and no byte of the body is waited for or kept."""
    headers = {
        "Host": "x",
        "Content-Length": "10485760",
        "X-HubSpot-Signature-v3": base64.b64encode(bytes(32)).decode(),
        "X-HubSpot-Request-Timestamp": str(int(time.time() * 1000)),
        **changes,
    }
    reader, writer = await asyncio.open_connection("localhost", URL(broker.url).port)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    line = f"POST {path.format(workspace=broker.workspace)} HTTP/1.1"
    writer.write("\r\n".join([line, *lines, "", ""]).encode())

    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()

    assert head.startswith(b"HTTP/1.1 401 ")

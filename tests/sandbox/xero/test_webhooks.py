"""Webhooks of the sandbox Xero."""

import base64
import hashlib
import hmac
import json

import aiohttp
import pytest

from tests.sandbox.xero.client import NZ
from tests.until import until


def honest(key):
    """A receiver that checks signatures as Xero demands."""

    async def receive(request):
        body = await request.read()
        expected = base64.b64encode(hmac.digest(key, body, hashlib.sha256)).decode()
        received.append((request.headers["x-xero-signature"] == expected, json.loads(body)))
        return aiohttp.web.Response(status=200 if received[-1][0] else 401)

    received = []
    return receive, received


@pytest.fixture
async def hook(books):
    """A receiver at an address that the app names; its answers can be changed."""
    receive, received = honest(b"webhook-key")
    server = aiohttp.web.Application()
    server.router.add_post("/hook", receive)
    runner = aiohttp.web.AppRunner(server)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    books.app.webhook_url = f"http://localhost:{runner.addresses[0][1]}/hook"
    books.app.webhook_key = "webhook-key"
    yield received
    await runner.cleanup()


async def test_nothing_is_sent_before_the_intent_to_receive_is_passed(books, hook):
    await books.contact("Before")
    books.app.webhook_key = "another key"
    _, failed = await books.control("POST", "apps/xero-client/webhook-check")
    books.app.webhook_key = "webhook-key"
    _, passed = await books.control("POST", "apps/xero-client/webhook-check")
    hook.clear()
    contact = await books.contact("After")
    made = await books.invoice(contact)
    await until(lambda: sum(len(body["events"]) for _, body in hook) >= 2, within=10)

    assert failed["status"] == "pending"
    assert passed["status"] == "ok"
    assert [each["status"] for each in passed["checks"]] == [200, 401, 200, 401]
    assert all(good for good, _ in hook)
    events = [event for _, body in hook for event in body["events"]]
    assert [(each["eventCategory"], each["eventType"]) for each in events] == [
        ("CONTACT", "CREATE"),
        ("INVOICE", "CREATE"),
    ]
    assert events[1]["resourceId"] == made["InvoiceID"]
    assert events[1]["tenantId"] == NZ
    assert events[1]["eventDateUtc"] == "2026-11-28T12:00:00.500"
    assert hook[0][1]["firstEventSequence"] == 1
    assert hook[-1][1]["lastEventSequence"] == 2


async def test_a_webhook_that_is_never_acknowledged_is_disabled(books, receiver):
    books.app.webhook_url, books.app.webhook_key = f"{receiver.url}/hook", "k"
    books.levers.itr = False
    books.world.webhooks.ways.waits = [0.0]
    receiver.answers = [
        lambda: aiohttp.web.Response(status=200, text="ok"),
        lambda: aiohttp.web.Response(status=500),
    ]
    await books.contact()
    await until(lambda: books.app.webhook_status == "disabled", within=10)
    assert len({body for _, _, _, body in receiver.requests}) == 1
    assert len(receiver.requests) == 2

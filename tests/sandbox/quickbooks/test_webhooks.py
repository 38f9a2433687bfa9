"""Webhooks of the sandbox QuickBooks Online."""

import base64
import hashlib
import hmac
import json

import aiohttp

from tests.sandbox.quickbooks.client import UK, US, invoice
from tests.until import until


async def test_webhooks_are_cloudevents_signed_with_the_verifier_token_one_company_each(
    books, receiver
):
    books.world.grants.apps["qbo-client"].webhook_url = f"{receiver.url}/hook"
    books.connect(UK)
    customer = await books.customer()
    await books.customer(realm=UK)
    await books.ok("POST", "invoice", invoice(customer))
    key = {"Id": "1", "SyncToken": "0"}
    await books.ok("POST", "invoice", key, operation="void")
    await until(lambda: len(receiver.events) >= 4, within=10)

    for _, _, headers, body in receiver.requests:
        digest = hmac.digest(b"verifier-token-1", body, hashlib.sha256)
        assert headers["intuit-signature"] == base64.b64encode(digest).decode()
        assert len({each["intuitaccountid"] for each in json.loads(body)}) == 1
    types = [each["type"] for each in receiver.events if each["intuitaccountid"] == US]
    assert types == ["qbo.customer.created.v1", "qbo.invoice.created.v1", "qbo.invoice.void.v1"]
    assert len({each["id"] for each in receiver.events}) == 4
    assert receiver.events[0]["specversion"] == "1.0"


async def test_the_older_webhook_form_retries_replays_and_bad_signatures_are_levers(
    books, receiver
):
    books.world.grants.apps["qbo-client"].webhook_url = f"{receiver.url}/hook"
    levers = {"webhook_form": "legacy", "waits": [0.0], "hold_until_ack": True}
    assert (await books.control("POST", "levers", levers))[0] == 204
    receiver.answers = [lambda: aiohttp.web.Response(status=415)]
    await books.customer()

    await until(lambda: len(receiver.requests) == 2)
    _, sent = await books.control("GET", "deliveries")
    await books.control("POST", "levers", {"signing": "wrong-secret"})
    await books.control("POST", f"deliveries/{sent['deliveries'][0]['delivery_id']}/replay")
    await until(lambda: len(receiver.requests) == 3)

    bodies = [body for _, _, _, body in receiver.requests]
    assert len(set(bodies)) == 1
    notification = json.loads(bodies[0])["eventNotifications"][0]
    assert notification["realmId"] == US
    entity = notification["dataChangeEvent"]["entities"][0]
    assert (entity["name"], entity["operation"]) == ("Customer", "Create")
    signatures = [headers["intuit-signature"] for _, _, headers, _ in receiver.requests]
    assert signatures[0] == signatures[1] != signatures[2]

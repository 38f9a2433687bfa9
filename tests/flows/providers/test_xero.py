"""Xero as a provider: organisations to choose from, rotation at every renewal, limits, the way out."""

import asyncio
import json
import re

import pytest

from broker.sandbox.core.deliveries import signature
from broker.sandbox.core.faults import Fault
from tests.fixtures.broker_client import RETURN_URL
from tests.flows.providers.conftest import Books, sends_events_to
from tests.until import until

NZ, UK = "fe79f7dd-b6d4-4a92-ba7b-538af6289c58", "c2cc9b6e-9458-4c7d-93cc-f02b81b0594f"
SCOPES = ["accounting.contacts", "accounting.invoices", "accounting.settings"]
CONTACTS = "/api.xro/2.0/Contacts"
ACCOUNT = "/api/apps/books/connections/u1/account"


@pytest.fixture
async def books(start_broker, xero_sandbox):
    broker = await start_broker(xero_url=xero_sandbox.url)
    await broker.makes_workspace()
    books = Books("xero", xero_sandbox, broker)
    assert (await books.registers(SCOPES)).status == 201
    return books


def fields_of(page: bytes) -> tuple[str, str]:
    """Where the page of accounts posts to, and its code."""
    text = page.decode()
    action, code = (
        re.search(r'action="([^"]+)"', text),
        re.search(r'name="code" value="([^"]+)"', text),
    )
    assert action is not None
    assert code is not None
    return action[1], code[1]


async def chooses(books, page, account_id, code=None, **headers):
    action, own = fields_of(page.body)
    return await books.broker.asks(
        "POST", action, key="", data={"code": code or own, "accountId": account_id}, headers=headers
    )


async def test_what_xero_sends_back_is_refused_unless_it_fits_the_link(books):
    back = await books.consents(await books.links(), [NZ])
    asks = books.broker.asks

    forged = await asks("GET", re.sub(r"state=[^&]+", "state=forged", back), key="")
    denied = await asks("GET", re.sub(r"code=[^&]+", "error=access_denied", back), key="")
    wrong = await asks("GET", re.sub(r"code=[^&]+", "code=another", back), key="")
    again = await asks("GET", back, key="")
    link = await books.links()

    assert forged.status in {400, 404}
    assert denied.headers["Broker-Error"] == "consent-denied"
    assert wrong.headers["Broker-Error"] == "exchange-failed"
    assert again.headers["Broker-Error"] == "link-used"
    assert "code_challenge_method=S256" in link
    assert "offline_access" in link


async def test_one_organisation_is_connected_at_once_and_named_in_every_call(books, database):
    answer = await books.connects([NZ], returnUrl=RETURN_URL)
    connection = await books.shows()
    call = await books.proxies(CONTACTS, headers={"Xero-Tenant-Id": UK})
    absolute = await books.broker.asks(
        "POST",
        "/api/xero/proxy/books",
        json={
            "userForeignIdentifier": "u1",
            "method": "GET",
            "url": "https://api.xero.com/api.xro/2.0/Organisation",
            "headers": {"Accept": "application/json"},
        },
    )
    refused = await books.broker.asks(
        "POST",
        "/api/raw/books",
        json={
            "userForeignIdentifier": "u1",
            "method": "GET",
            "url": "https://identity.xero.com/connect/token",
        },
    )
    stored = await database.fetchrow("SELECT access_token, refresh_token FROM connection_grant")

    assert answer.location[1]["status"] == "connected"
    assert connection["accountId"] == NZ
    assert connection["accountName"]
    assert connection["accounts"] is None
    assert connection["missingScopes"] == []
    assert call.status == 200, call.body
    named = [seen.headers for seen in books.world.seen if seen.target == CONTACTS]
    assert [each["Xero-Tenant-Id"] for each in named] == [NZ]
    assert absolute.status == 200, absolute.body
    assert refused.code == "destination-refused"
    assert b"eyJ" not in stored["access_token"]
    assert stored["refresh_token"] is not None


async def test_the_user_chooses_one_of_several_organisations_on_our_page(books):
    page = await books.connects([NZ, UK], returnUrl=RETURN_URL)
    waiting = await books.shows()
    call = await books.proxies(CONTACTS)
    _, code = fields_of(page.body)
    confirmed = await books.broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": code, "userForeignIdentifier": "u1"},
    )
    elsewhere = await chooses(books, page, UK, **{"Sec-Fetch-Site": "cross-site"})
    unknown = await chooses(books, page, "another-tenant")
    wrong = await chooses(books, page, UK, code="x" * 43)
    chosen = await chooses(books, page, UK)
    again = await chooses(books, page, NZ)
    connection = await books.shows()

    assert page.status == 200
    assert "no-store" in page.headers["Cache-Control"]
    assert waiting["status"] == "PENDING"
    assert {each["accountId"] for each in waiting["accounts"]} == {NZ, UK}
    assert call.code == "connection-pending"
    assert confirmed.status == 400
    assert elsewhere.headers["Broker-Error"] == "origin-refused"
    assert unknown.headers["Broker-Error"] == "invalid-request"
    assert wrong.headers["Broker-Error"] == "not-found"
    assert chosen.location[0] == RETURN_URL.partition("?")[0]
    assert chosen.location[1]["status"] == "connected"
    assert again.headers["Broker-Error"] == "link-used"
    assert (connection["status"], connection["accountId"]) == ("ACTIVE", UK)
    assert connection["accounts"] is None
    assert (await books.proxies(CONTACTS)).status == 200
    assert books.world.seen[-1].headers["Xero-Tenant-Id"] == UK


async def test_the_product_chooses_instead_and_the_same_organisation_is_kept_on_reconnect(books):
    asks = books.broker.asks
    await books.connects([NZ, UK])
    reader = await books.broker.makes_key("proxy")

    forbidden = await asks("POST", ACCOUNT, key=reader, json={"accountId": NZ})
    unknown = await asks("POST", ACCOUNT, json={"accountId": "another"})
    chosen = await asks("POST", ACCOUNT, json={"accountId": NZ})
    nothing = await asks("POST", ACCOUNT, json={"accountId": NZ})
    reconnected = await books.connects([NZ, UK])  # nothing to choose: one of them is connected

    assert forbidden.status == 403
    assert unknown.status == 400
    assert (chosen.json()["status"], chosen.json()["accountId"]) == ("ACTIVE", NZ)
    assert nothing.status == 404
    assert reconnected.status == 200
    assert (await books.shows())["accountId"] == NZ


async def test_a_chosen_account_still_waits_for_the_products_confirmation(books):
    await books.broker.asks("PATCH", "/api/apps/books", json={"confirm": "required"})
    page = await books.connects([NZ, UK], returnUrl=RETURN_URL)

    by_product = await books.broker.asks("POST", ACCOUNT, json={"accountId": UK})
    chosen = await chooses(books, page, NZ)  # the product was first; the user only goes on
    code = chosen.location[2]["confirm"]
    confirmed = await books.broker.asks(
        "POST", "/api/connections/confirm", json={"confirm": code, "userForeignIdentifier": "u1"}
    )

    assert by_product.json()["status"] == "PENDING"
    assert chosen.location[1]["status"] == "pending"
    assert (confirmed.json()["status"], confirmed.json()["accountId"]) == ("ACTIVE", UK)


async def test_another_organisation_on_reconnect_needs_the_products_word(books):
    await books.connects([NZ])
    books.world.grants.disconnect(NZ)

    answer = await books.connects([UK])

    assert answer.status == 409
    assert (await books.shows())["accountId"] == NZ


async def test_each_renewal_rotates_once_for_all_calls_and_a_lost_answer_is_saved_by_the_grace(
    books, database
):
    await books.connects([NZ])

    for _ in range(3):
        await books.broker.makes_stale(database)
        books.world.grants.expire_access()
        answers = await asyncio.gather(*(books.proxies(CONTACTS) for _ in range(4)))
        assert {answer.status for answer in answers} == {200}
    renewed = books.world.counters["refreshes"]
    books.world.faults.add(Fault("/connect/token", "lose-answer", times=1))
    await books.broker.makes_stale(database)
    books.world.grants.expire_access()
    saved = await books.proxies(CONTACTS)

    assert renewed == 3
    assert saved.status == 200
    assert (await books.shows())["status"] == "ACTIVE"


async def test_sixty_days_without_a_renewal_end_the_grant(books, database):
    await books.connects([NZ])
    ends = await database.fetchval("SELECT refresh_expires_at - now() FROM connection_grant")
    books.world.jump(61 * 86_400)
    await books.broker.makes_stale(database)

    answer = await books.proxies(CONTACTS)

    assert 59 <= ends.days <= 60
    assert answer.code == "reauth-required"
    assert (await books.shows())["lastError"] == "invalid_grant"


async def test_the_minute_is_kept_and_the_day_is_refused_until_it_ends(books):
    await books.connects([NZ])
    books.world.levers.minute_limit = 1

    first = await books.proxies(CONTACTS)
    throttled = await books.proxies(CONTACTS)
    later = await books.proxies(CONTACTS, headers={"Prefer": "wait=0"})

    assert first.status == 200
    assert throttled.status == 429
    assert later.code == "quota-exhausted"
    assert 30 < int(later.headers["Retry-After"]) <= 60


async def test_a_day_that_is_used_up_refuses_with_the_moment_it_ends(books):
    await books.connects([NZ])
    books.world.levers.day_limit = 1

    last = await books.proxies(CONTACTS)
    refused = await books.proxies(CONTACTS)

    assert last.headers["X-DayLimit-Remaining"] == "0"
    assert (refused.status, refused.code) == (429, "quota-exhausted")
    assert refused.json()["limit"] == "daily"


async def test_deleting_one_connection_leaves_the_persons_other_organisation_connected(books):
    await books.connects([NZ])
    await books.connects([UK], user="u2")

    first = await books.broker.asks("DELETE", "/api/apps/books/connections/u1")
    kept = await books.proxies(CONTACTS, user="u2")
    second = await books.broker.asks("DELETE", "/api/apps/books/connections/u2")

    assert first.json()["revocation"] == second.json()["revocation"] == "revoked"
    assert kept.status == 200
    assert books.world.grants.connections == {}
    assert books.world.counters["revocations"] == 1


async def test_the_call_log_names_no_record(books):
    await books.connects([NZ])
    await books.proxies(f"/api.xro/2.0/Invoices/{UK}/History")
    await books.broker.parts.call_log.flush()

    log = await books.broker.asks("GET", "/api/apps/books/calls")

    assert "/api.xro/2.0/Invoices/{id}/History" in json.dumps(log.json())


KEY = "canary-webhook-key"


async def test_the_intent_to_receive_is_passed_and_changes_reach_the_product_once(
    start_broker, xero_sandbox, receiver
):
    broker = await start_broker(xero_url=xero_sandbox.url, allow_private_endpoints=True)
    await broker.makes_workspace()
    books = Books("xero", xero_sandbox, broker)
    await books.registers(SCOPES)
    await sends_events_to(books, receiver, KEY)
    await books.connects([NZ])
    await books.connects([UK], user="u2")
    world, app = books.world, books.world.grants.apps["xero-client"]
    app.webhook_url, app.webhook_key = books.app["webhookUrl"], KEY

    checks = await broker.asks(
        "POST", f"{books.running.url}/_sandbox/apps/xero-client/webhook-check", key="", json={}
    )
    made = await books.proxies(
        CONTACTS, method="PUT", json={"Contacts": [{"Name": "Ada Lovelace"}]}
    )
    assert checks.json()["status"] == "ok", checks.body
    assert made.status == 200, made.body
    sent = await until(lambda: [each for each in world.webhooks.deliveries.sent if each.status])
    again = await broker.asks(
        "POST",
        app.webhook_url,
        key="",
        data=sent[0].body,
        headers={"x-xero-signature": signature(KEY, sent[0].body.encode())},
    )
    forged = await broker.asks(
        "POST", app.webhook_url, key="", data=sent[0].body, headers={"x-xero-signature": "forged"}
    )
    await broker.run_background_work()

    assert [each.status for each in sent] == [200]
    assert again.status == 200
    assert (forged.status, forged.body) == (401, b"")
    (event,) = [each.json() for each in receiver.at("/events")]
    assert event["type"] == "xero.contact.create"
    assert event["data"]["userForeignIdentifier"] == "u1"
    assert event["data"]["payload"]["tenantId"] == NZ


async def test_an_organisation_that_another_user_has_too_is_disconnected_by_the_last(books):
    await books.connects([NZ])
    await books.connects([NZ], user="u2")

    first = await books.broker.asks("DELETE", "/api/apps/books/connections/u1")
    kept = await books.proxies(CONTACTS, user="u2")
    last = await books.broker.asks("DELETE", "/api/apps/books/connections/u2")

    assert first.json()["revocation"] == "shared-grant"
    assert kept.status == 200
    assert last.json()["revocation"] == "revoked"


async def test_a_choice_that_was_never_made_ends_no_other_connection_of_the_person(books, database):
    await books.connects([NZ], user="u2")
    await books.connects([NZ, UK])
    await database.execute("UPDATE pending_grant SET code_expires_at = now() - interval '1 minute'")

    late = await books.broker.asks("POST", ACCOUNT, json={"accountId": UK})
    await books.broker.parts.pending_grants.expire_unclaimed()
    await books.broker.parts.revoker.revoke_due(10)

    assert late.status == 404
    assert (await books.broker.asks("GET", "/api/apps/books/connections/u1")).status == 404
    assert (await books.proxies(CONTACTS, user="u2")).status == 200


async def test_a_custom_connection_needs_no_user_and_renews_itself(books, database):
    refused = await books.broker.asks("POST", "/api/apps/books/connections/own/import", json={})
    app = books.world.register_app("xero-client", "canary-xero-secret", [], NZ)
    books.world.grants.connect(app.client_id, [NZ])

    imported = await books.broker.asks("POST", "/api/apps/books/connections/own/import", json={})
    await books.broker.makes_stale(database)
    books.world.grants.expire_access()
    call = await books.proxies(CONTACTS, user="own")
    deleted = await books.broker.asks("DELETE", "/api/apps/books/connections/own")

    assert refused.status == 400
    assert imported.json()["accountId"] == NZ
    assert imported.json()["missingScopes"] == []
    assert call.status == 200, call.body
    assert books.world.counters["client credentials"] == 2
    assert deleted.json()["revocation"] == "nothing-to-revoke"

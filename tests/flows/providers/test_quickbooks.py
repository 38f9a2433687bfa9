"""QuickBooks Online as a provider: install, company, renewal by its rules, limits, the way out."""

import asyncio
import json
import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import encode_basic_auth

from broker.sandbox.core.deliveries import signature
from broker.sandbox.core.faults import Fault
from tests.flows.providers.conftest import Books, sends_events_to
from tests.until import until

US, UK = "9341453172058071", "9341453172058072"
ACCOUNTING = "com.intuit.quickbooks.accounting"
CUSTOMERS = f"/v3/company/{US}/query?query=select%20*%20from%20Customer&minorversion=75"
DAY = 86_400


@pytest.fixture
async def books(start_broker, quickbooks_sandbox):
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    assert (await books.registers([ACCOUNTING])).status == 201
    return books


async def test_what_intuit_sends_back_is_refused_unless_it_fits_the_link(books):
    link = await books.links()
    back = await books.consents(link, US)
    asks = books.broker.asks

    forged = await asks("GET", re.sub(r"state=[^&]+", "state=forged", back), key="")
    companyless = await asks("GET", re.sub(r"&?realmId=\d+", "", back), key="")
    strange = await asks("GET", re.sub(r"realmId=\d+", "realmId=1%2F..%2F2", back), key="")
    elsewhere = await asks("GET", back.replace("/quickbooks/", "/hubspot/"), key="")
    denied = await asks("GET", re.sub(r"code=[^&]+", "error=access_denied", back), key="")
    good = await asks("GET", back, key="")
    again = await asks("GET", back, key="")

    assert forged.status in {400, 404}
    assert companyless.status == strange.status == 400
    assert elsewhere.status == 404
    assert denied.headers["Broker-Error"] == "consent-denied"
    assert good.status == 200, good.body
    assert again.headers["Broker-Error"] == "link-used"


async def test_a_company_that_the_tokens_are_not_for_is_not_believed(books):
    back = await books.consents(await books.links(), US)

    answer = await books.broker.asks("GET", back.replace(US, UK), key="")

    assert answer.headers["Broker-Error"] == "exchange-failed"
    assert not books.world.grants.connected("quickbooks-client", US)  # revoked at once
    assert (await books.broker.asks("GET", "/api/apps/books/connections/u1")).status == 404


async def grant_from_elsewhere(books):
    """The tokens of a consent that another system redeemed."""
    code = parse_qs(urlsplit(await books.consents(await books.links("x"), US)).query)["code"][0]
    answer = await books.broker.asks(
        "POST",
        f"{books.running.url}/oauth2/v1/tokens/bearer",
        key="",
        headers={
            "Authorization": encode_basic_auth("quickbooks-client", "canary-quickbooks-secret")
        },
        data={
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": books.app["redirectUrl"],
        },
    )
    assert answer.status == 200, answer.body
    return answer.json()["refresh_token"]


async def test_a_grant_from_elsewhere_is_taken_over_with_its_company(books):
    path = "/api/apps/books/connections/u1/import"
    token = await grant_from_elsewhere(books)

    async def imports(**body):
        return await books.broker.asks("POST", path, json=body)

    companyless = await imports(refreshToken=token)
    strange = await imports(refreshToken=token, realmId="1/../2")
    unknown = await imports(refreshToken=token, realmId=US, shop="acme.myshopify.com")
    another = await imports(refreshToken=token, realmId=UK)
    taken = await imports(refreshToken=token, realmId=US)
    called = await books.proxies(CUSTOMERS)
    books.world.grants.expire_access()
    again = await books.proxies(CUSTOMERS)

    assert [each.status for each in (companyless, strange, unknown, another)] == [400] * 4
    assert all("realmId" in each.json()["detail"] for each in (companyless, strange))
    assert "shop" in unknown.json()["detail"]
    assert (taken.status, taken.json()["accountId"]) == (200, US)
    assert (called.status, again.status) == (200, 200)


async def test_a_grant_that_is_replaced_while_a_wrong_company_is_tried_is_revoked(books):
    token = await grant_from_elsewhere(books)
    books.world.levers.rotate_after = 0.0

    answer = await books.broker.asks(
        "POST",
        "/api/apps/books/connections/u1/import",
        json={"refreshToken": token, "realmId": UK},
    )

    assert answer.status == 400
    assert "let the user connect again" in answer.json()["detail"]
    assert not books.world.grants.connected("quickbooks-client", US)


async def test_a_user_connects_a_company_and_calls_its_api(books, database):
    answer = await books.connects(US, returnUrl=books.app["returnUrls"][0])
    connection = await books.shows()
    transparent = await books.proxies(CUSTOMERS)
    absolute = await books.broker.asks(
        "POST",
        "/api/quickbooks/proxy/books",
        json={
            "userForeignIdentifier": "u1",
            "method": "GET",
            "url": f"https://quickbooks.api.intuit.com/v3/company/{US}/companyinfo/{US}",
            "headers": {"Accept": "application/json"},
        },
    )
    stored = await database.fetchrow(
        "SELECT *, extract(epoch FROM grant_ends_at - now()) AS ends_in FROM connection JOIN connection_grant USING (workspace_id) WHERE connection_id = id"
    )

    assert answer.location[1]["status"] == "connected"
    assert (connection["accountId"], connection["accountName"]) == (US, "Acme Inc")
    assert connection["hubId"] is None
    assert (connection["scopes"], connection["missingScopes"]) == ([ACCOUNTING], [])
    assert transparent.status == 200
    assert "QueryResponse" in transparent.json()
    assert absolute.status == 200, absolute.body
    assert b"Acme Inc" in absolute.body
    assert b"eyJ" not in stored["access_token"]
    assert b"RT1" not in stored["refresh_token"]
    assert 4.9 * 365 * DAY < stored["ends_in"] < 5.1 * 365 * DAY
    tokens = {token.encode() for token in books.world.grants.access_tokens}
    assert not any(token in answer.body + transparent.body for token in tokens)
    exchange = next(seen for seen in books.world.seen if seen.target.startswith("/oauth2"))
    assert exchange.headers["x-include-refresh-token-hard-expires-in"] == "true"
    assert "canary" not in exchange.body


async def test_calls_go_to_the_api_of_the_connection_and_nowhere_else(books):
    await books.connects(US)
    wrapped = {"userForeignIdentifier": "u1", "method": "GET"}
    refused = [
        await books.broker.asks("POST", "/api/raw/books", json={**wrapped, "url": url})
        for url in (
            "https://evil.example/v3/company/1/query",
            "https://quickbooks.api.intuit.com.evil.example/v3/",
            "https://quickbooks.api.intuit.com@evil.example/v3/",
            "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
            "http://quickbooks.api.intuit.com/v3/",
            "https://api.hubapi.com/crm/v3/objects/contacts",
        )
    ]
    other = await books.broker.asks(
        "POST", "/api/hubspot/proxy/books", json={**wrapped, "url": "/"}
    )

    assert [answer.status for answer in refused] == [403] * 6, [each.body for each in refused]
    assert {answer.code for answer in refused} == {"destination-refused"}
    assert other.status == 404


async def test_a_posted_query_reads_and_a_posted_deletion_deletes(books):
    await books.connects(US)
    reader = await books.broker.makes_key("proxy:read")

    query = await books.proxies(
        f"/v3/company/{US}/query?minorversion=75",
        method="POST",
        key=reader,
        data=b"select count(*) from Customer",
        headers={"Content-Type": "application/text"},
    )
    creation = await books.proxies(
        f"/v3/company/{US}/customer", method="POST", key=reader, json={"DisplayName": "Ada"}
    )

    assert query.status == 200, query.body
    assert creation.status == 403


async def test_a_token_that_ended_early_is_renewed_and_the_call_repeated(books):
    await books.connects(US)
    books.world.grants.expire_access()

    answer = await books.proxies(CUSTOMERS)
    wrong_company = await books.proxies(CUSTOMERS.replace(US, UK))

    assert answer.status == 200
    assert wrong_company.status == 403
    assert books.world.counters["refreshes"] == 1  # a company that is not theirs costs none


async def test_a_rotated_token_survives_a_lost_answer_only_while_it_is_still_the_present_one(
    books, database
):
    await books.connects(US)
    grant = books.world.grants.grants[0]
    first = grant.refresh_token

    async def loses_an_answer():
        books.world.faults.add(Fault("/oauth2/*", "lose-answer", times=1))
        await books.broker.makes_stale(database)
        books.world.grants.expire_access()
        return await books.proxies(CUSTOMERS)

    kept = await loses_an_answer()  # within a day the value stays: asking again brings the same
    books.world.jump(DAY + 1)
    lost = await loses_an_answer()  # the answer that was lost held the only value that works
    connection = await books.shows()

    assert kept.status == 200
    assert lost.status == 409, lost.body
    assert lost.code == "reauth-required"
    assert connection["status"] == "REAUTH_REQUIRED"
    assert connection["lastError"] == "rotation-lost"
    assert grant.refresh_token != first
    assert (await books.connects(US)).status == 200
    assert (await books.proxies(CUSTOMERS)).status == 200


async def test_limits_are_waited_for_and_a_refusal_keeps_later_calls_back(books):
    await books.connects(US)

    answers = await asyncio.gather(*(books.proxies(CUSTOMERS) for _ in range(24)))
    throttled = books.world.counters.get("throttled", 0)
    books.world.levers.requests_per_minute = 1
    refused = await books.proxies(CUSTOMERS)
    later = await books.proxies(CUSTOMERS, headers={"Prefer": "wait=0"})

    assert {answer.status for answer in answers} == {200}
    assert throttled == 0
    assert refused.status == 429
    assert b"ThrottleExceeded" in refused.body
    assert later.status == 429
    assert later.code == "quota-exhausted"
    assert 30 < int(later.headers["Retry-After"]) <= 60


async def test_another_company_needs_the_products_word(books):
    await books.connects(US)

    answer = await books.connects(UK)
    kept = await books.shows()

    assert answer.status == 409
    assert kept["accountId"] == US
    code = re.search(rb"[\w-]{43}", answer.body)[0].decode()
    confirmed = await books.broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": code, "userForeignIdentifier": "u1"},
    )
    assert confirmed.json()["accountName"] == "Globex Ltd"


async def test_deletion_disconnects_the_company_and_ends_calls(books):
    await books.connects(US)

    deleted = await books.broker.asks("DELETE", "/api/apps/books/connections/u1")
    answer = await books.proxies(CUSTOMERS)

    assert deleted.json() == {"deleted": True, "revocation": "revoked"}
    assert not books.world.grants.connected("quickbooks-client", US)
    assert answer.status == 404
    revocation = [seen for seen in books.world.seen if seen.target.startswith("/v2/oauth2")]
    assert len(revocation) == 1
    assert "json" in revocation[0].headers["Content-Type"]


async def test_credentials_that_intuit_refuses_are_named(books):
    books.world.grants.apps["quickbooks-client"].client_secret = "changed"

    answer = await books.connects(US)
    app = await books.broker.asks("GET", "/api/apps/books")

    assert answer.headers["Broker-Error"] == "credentials-refused"
    assert app.json()["credentialsRefusedAt"] is not None


async def test_the_call_log_names_no_company_and_no_record(books):
    await books.connects(US)
    await books.proxies(f"/v3/company/{US}/invoice/4711?minorversion=75")
    await books.broker.parts.call_log.flush()

    log = await books.broker.asks("GET", "/api/apps/books/calls")

    assert "/v3/company/{id}/invoice/{id}" in json.dumps(log.json())
    assert "4711" not in log.body.decode()


VERIFIER = "canary-verifier-token"


@pytest.mark.parametrize("form", ["cloudevents", "legacy"])
async def test_changes_reach_the_product_once_in_either_form(
    start_broker, quickbooks_sandbox, receiver, form
):
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url, allow_private_endpoints=True)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    await books.registers([ACCOUNTING])
    await sends_events_to(books, receiver, VERIFIER)
    await books.connects(US)
    await books.connects(UK, user="u2")
    world, app = books.world, books.world.grants.apps["quickbooks-client"]
    world.levers.webhook_form, world.levers.webhook_content_type = (
        form,
        "application/cloudevents+json",
    )
    app.webhook_url, app.verifier_token = books.app["webhookUrl"], VERIFIER

    made = await books.proxies(
        f"/v3/company/{US}/customer?minorversion=75", method="POST", json={"DisplayName": "Ada"}
    )
    assert made.status == 200, made.body
    sent = await until(lambda: [each for each in world.webhooks.deliveries.sent if each.status])
    again = await broker.asks(
        "POST",
        app.webhook_url,
        key="",
        data=sent[0].body,
        headers={"intuit-signature": signature(VERIFIER, sent[0].body.encode())},
    )
    forged = await broker.asks(
        "POST", app.webhook_url, key="", data=b"[]", headers={"intuit-signature": "A" * 43 + "="}
    )
    unsigned = await broker.asks("POST", app.webhook_url, key="", data=sent[0].body)
    await broker.run_background_work()

    assert [each.status for each in sent] == [200]
    assert again.status == 200
    assert forged.status == unsigned.status == 401
    (event,) = [each.json() for each in receiver.at("/events")]
    assert event["type"] == "quickbooks.qbo.customer.created.v1"
    assert event["data"]["userForeignIdentifier"] == "u1"
    assert event["data"]["accountId"] == US
    assert event["data"]["payload"]["intuitentityid"] == made.json()["Customer"]["Id"]


async def test_the_end_of_a_grant_is_told_thirty_seven_and_one_days_ahead_once_each(
    start_broker, quickbooks_sandbox, receiver, database
):
    broker = await start_broker(quickbooks_url=quickbooks_sandbox.url, allow_private_endpoints=True)
    await broker.makes_workspace()
    books = Books("quickbooks", quickbooks_sandbox, broker)
    await books.registers([ACCOUNTING])
    await broker.sends_to(f"{receiver.url}/events", "connection.expires_soon", slug="books")
    await books.connects(US)
    notices = broker.parts.connections.publish_end_notices

    def earlier(column):
        return f"({column} AT TIME ZONE 'UTC' - $1::interval) AT TIME ZONE 'UTC'"

    async def passes(days):
        """Days pass in which the grant is renewed now and then, as QuickBooks and we count them."""
        books.world.jump(days * DAY)
        await database.execute(
            f"UPDATE connection_grant SET refresh_expires_at = {earlier('refresh_expires_at')},"
            f" grant_ends_at = {earlier('grant_ends_at')}",
            timedelta(days=days),
        )
        await database.execute(
            f"UPDATE renewal SET end_notice_at = {earlier('end_notice_at')}", timedelta(days=days)
        )
        await broker.asks("POST", "/api/apps/books/connections/u1/renew")
        await notices(100)
        due = await notices(100)
        await broker.run_background_work()
        return due, [each.json()["data"] for each in receiver.at("/events")]

    early = await passes(50)
    for _ in range(34):  # almost five years, renewed well within a hundred days each time
        early = await passes(50)
    _, thirty = await passes(1825 - 35 * 50 - 29.5)
    _, still_thirty = await passes(10)
    _, seven = await passes(13)
    _, one = await passes(6)
    _, after = await passes(0)

    assert early == (0, [])
    assert [len(each) for each in (thirty, still_thirty, seven, one, after)] == [1, 1, 2, 3, 3]
    assert {each["why"] for each in one} == {"lifetime"}
    assert {each["userForeignIdentifier"] for each in one} == {"u1"}
    assert (await books.shows())["status"] == "ACTIVE"


async def test_a_connection_that_nobody_uses_is_kept_alive(books, database):
    await books.connects(US)

    for _ in range(3):
        books.world.jump(60 * DAY)
        books.world.grants.expire_access()
        await database.execute("UPDATE renewal SET due_at = now() - interval '1 second'")
        await books.broker.parts.grants.renew_due(10)

    assert (await books.shows())["status"] == "ACTIVE"
    assert books.world.counters["refreshes"] == 3
    assert (await books.proxies(CUSTOMERS)).status == 200


async def test_a_company_that_another_user_has_too_is_disconnected_by_the_last(books):
    await books.connects(US)
    await books.connects(US, user="u2")

    first = await books.broker.asks("DELETE", "/api/apps/books/connections/u1")
    kept = await books.proxies(CUSTOMERS, user="u2")
    last = await books.broker.asks("DELETE", "/api/apps/books/connections/u2")

    assert first.json()["revocation"] == "shared-grant"
    assert kept.status == 200
    assert last.json()["revocation"] == "revoked"
    assert not books.world.grants.connected("quickbooks-client", US)


async def test_an_app_says_which_of_intuits_environments_it_is_for(start_broker, database):
    broker = await start_broker()  # with Intuit's own hosts
    await broker.makes_workspace()
    body = {
        "slug": "dev",
        "provider": "quickbooks",
        "clientId": "id",
        "clientSecret": "canary-secret",
        "scopes": [ACCOUNTING],
    }

    wrong = await broker.asks("POST", "/api/apps", json={**body, "environment": "staging"})
    made = await broker.asks("POST", "/api/apps", json={**body, "environment": "sandbox"})
    link = await broker.asks("GET", "/api/quickbooks/auth/dev?userForeignIdentifier=u1")

    assert wrong.status == 400
    assert made.json()["environment"] == "sandbox"
    assert link.json()["url"].startswith(
        "https://appcenter.intuit.com/connect/oauth2?client_id=id&"
    )
    broker.secrets.append(parse_qs(urlsplit(link.json()["url"]).query)["state"][0])

"""Salesforce as a provider: install, orgs and their hosts, sessions, rotation, limits, the way out."""

import json
import re

import pytest

from broker.sandbox.core.faults import Fault
from tests.flows.providers.orgs import ADA, BOB, DATA, LEAD, LEADS, SCOPES, SECRET, Orgs

TOKENS = "/services/oauth2/token"
DAY = 86_400


async def test_what_salesforce_sends_back_is_refused_unless_it_fits_the_link(orgs):
    back = await orgs.consents()
    asks = orgs.broker.asks

    forged = await asks("GET", re.sub(r"state=[^&]+", "state=forged", back), key="")
    elsewhere = await asks("GET", back.replace("/salesforce/", "/hubspot/"), key="")
    denied = await asks("GET", re.sub(r"code=[^&]+", "error=access_denied", back), key="")
    wrong = await asks("GET", re.sub(r"code=[^&]+", "code=aPrxwrong", back), key="")
    second = await orgs.consents("u2")
    good = await asks("GET", second, key="")
    again = await asks("GET", second, key="")

    assert forged.status in {400, 404}
    assert elsewhere.status == 404
    assert denied.headers["Broker-Error"] == "consent-denied"
    assert wrong.headers["Broker-Error"] == "exchange-failed"
    assert good.status == 200, good.body
    assert again.headers["Broker-Error"] == "link-used"


async def test_a_user_connects_an_org_and_calls_its_api_both_ways(orgs, database):
    answer = await orgs.connects(returnUrl=orgs.app["returnUrls"][0])
    connection = await orgs.shows()
    transparent = await orgs.calls()
    wrapped = await orgs.wraps(LEADS)
    absolute = await orgs.wraps(f"https://acme.my.salesforce.com{LEADS}")
    own = await orgs.wraps(f"{orgs.running.url}{LEADS}")
    row = await database.fetchrow(
        "SELECT * FROM connection JOIN connection_grant USING (workspace_id) WHERE connection_id = id"
    )

    assert answer.location[1]["status"] == "connected"
    assert (connection["accountId"], connection["accountName"]) == (orgs.org.id, "acme")
    assert connection["installedBy"] == ADA
    assert connection["hubId"] is None
    assert set(connection["scopes"]) >= set(SCOPES)
    assert connection["missingScopes"] == []
    assert transparent.status == 200
    assert "Sforce-Limit-Info" in transparent.headers
    assert wrapped.json()["data"] == absolute.json()["data"] == own.json()["data"]
    assert wrapped.json()["data"]["totalSize"] == transparent.json()["totalSize"] == 25
    assert row["api_url"] == orgs.running.url
    details = json.loads(row["details"])
    assert details.pop("session") in {"7199", "7200"}  # two hours, less a fraction
    assert details == {"login": orgs.running.login_url}
    assert not any(
        grant.refresh_token.encode() in (row["access_token"], row["refresh_token"])
        for grant in orgs.world.grants.by_refresh_token.values()
    )
    assert orgs.app["webhookUrl"] is None
    token = orgs.world.seen[-1].headers["authorization"]
    assert token.startswith("Bearer sha256:")


async def test_consent_goes_to_the_host_of_the_apps_environment_with_pkce(
    start_broker, salesforce_sandbox
):
    broker = await start_broker()
    await broker.makes_workspace()
    orgs = Orgs(salesforce_sandbox, broker)

    await orgs.registers()
    production = await orgs.links()
    await broker.asks("PATCH", "/api/apps/crm", json={"environment": "sandbox"})
    sandbox = await orgs.links()
    domain = await broker.asks("PATCH", "/api/apps/crm", json={"myDomain": "https://Acme/"})
    refused = [
        await broker.asks("PATCH", "/api/apps/crm", json={"myDomain": each})
        for each in ("acme.example", "acme.my.salesforce.com.evil.example", "a b", "127.0.0.1")
    ]

    assert production.startswith("https://login.salesforce.com/services/oauth2/authorize?")
    assert sandbox.startswith("https://test.salesforce.com/services/oauth2/authorize?")
    assert "scope=api%20refresh_token" in production
    assert "code_challenge_method=S256" in production
    assert domain.json()["myDomain"] == "acme.my.salesforce.com"
    assert [answer.status for answer in refused] == [400] * 4
    assert {answer.json()["errors"][0]["field"] for answer in refused} == {"myDomain"}


async def test_no_call_leaves_the_connected_org(orgs):
    await orgs.connects()

    refused = [
        await orgs.wraps(url)
        for url in (
            "https://evil.example/services/data",
            "https://acme.my.salesforce.com.evil.example/services/data",
            "https://acme.my.salesforce.com@evil.example/services/data",
            "http://acme.my.salesforce.com/services/data",
            "https://api.hubapi.com/crm/v3/objects/contacts",
        )
    ]
    with_token = await orgs.calls(f"{DATA}/limits?oauth_token=x")
    as_other = await orgs.calls(f"{LEAD}/00Q000000000001?_HttpMethod=PATCH", method="POST", json={})

    assert [answer.status for answer in refused] == [403] * 5, [each.body for each in refused]
    assert {answer.code for answer in refused} == {"destination-refused"}
    assert with_token.status == as_other.status == 400


async def test_requests_that_hold_others_need_the_right_to_delete(orgs):
    await orgs.connects()
    reader = await orgs.broker.makes_key("proxy:read")
    seen = len(orgs.world.seen)

    refused = [
        await orgs.calls(f"{DATA}{path}", method=method, key=reader)
        for method, path in (
            ("POST", "/composite"),
            ("POST", "/composite/batch"),
            ("POST", "/sobjects/Lead"),
            ("GET", "/tooling/executeAnonymous?anonymousBody=delete%20x%3B"),
            ("GET", "/tooling/ExecuteAnonymous/?anonymousBody=delete%20x%3B"),
        )
    ]

    assert [answer.status for answer in refused] == [403] * 5
    assert len(orgs.world.seen) == seen
    assert (await orgs.calls(key=reader)).status == 200


async def test_an_org_outside_salesforces_domains_is_not_believed(orgs, database):
    orgs.org.instance_url = "https://acme.my.salesforce.com.evil.example"
    refused = await orgs.connects()
    orgs.org.instance_url = orgs.running.url
    await orgs.connects()
    orgs.org.instance_url = "http://169.254.169.254"
    renewed = await orgs.broker.asks("POST", "/api/apps/crm/connections/u1/renew")
    kept = await database.fetchval("SELECT api_url FROM connection")
    orgs.org.instance_url = orgs.running.url

    assert refused.headers["Broker-Error"] == "exchange-failed"
    assert orgs.world.counters["revocations"] == 1  # what was granted does not stay
    assert renewed.status == 200
    assert kept == orgs.running.url
    assert (await orgs.calls()).status == 200


async def test_a_session_that_ended_is_renewed_and_the_call_repeated(orgs, database):
    await orgs.connects()
    orgs.end_sessions()

    answer = await orgs.calls()
    created = await orgs.calls(LEAD, method="POST", json={"LastName": "Byron", "Company": "Acme"})
    left = await database.fetchval(
        "SELECT extract(epoch FROM expires_at - now()) FROM connection_grant"
    )

    assert answer.status == 200
    assert created.status == 201
    assert orgs.refreshes == 1
    assert 7000 < left <= 7200  # the length that was learnt at the beginning
    orgs.end_sessions()
    head = await orgs.calls(method="HEAD")
    assert head.status != 401


async def test_a_session_of_unknown_length_lives_until_a_call_is_refused(orgs, database):
    orgs.world.faults.add(Fault("/services/oauth2/introspect", "status", status=503, times=9))
    await orgs.connects()
    left = await database.fetchval(
        "SELECT extract(epoch FROM expires_at - now()) FROM connection_grant"
    )
    due = await database.fetchval("SELECT due_at FROM renewal")
    orgs.end_sessions()

    assert left > 365 * DAY
    assert due is None
    assert (await orgs.calls()).status == 200
    assert orgs.refreshes == 1


async def test_an_org_that_moves_is_followed_with_the_next_token_answer(orgs, database):
    await orgs.connects()
    assert (await orgs.calls()).status == 200
    old = orgs.running.url

    await orgs.running.addresses.move(orgs.org)
    answer = await orgs.calls()
    again = await orgs.calls()

    assert answer.status == again.status == 200, answer.body
    assert orgs.refreshes == 1
    assert await database.fetchval("SELECT api_url FROM connection") == orgs.org.instance_url != old


@pytest.mark.parametrize("rotates", [True, False])
async def test_a_refresh_token_is_replaced_where_a_new_one_comes_and_kept_where_not(orgs, rotates):
    orgs.world.levers.rtr = rotates
    await orgs.connects()
    (grant,) = orgs.world.grants.by_user.popitem()[1]
    first = grant.refresh_token
    for _ in range(4):
        orgs.end_sessions()
        assert (await orgs.calls()).status == 200

    assert orgs.refreshes == 4
    assert (grant.refresh_token != first) == rotates
    assert orgs.world.counters.get("reuses", 0) == 0


async def test_a_lost_answer_is_asked_for_once_more_and_lost_for_good_only_under_reuse_detection(
    orgs,
):
    await orgs.connects()
    orgs.world.levers.reuse_detection = orgs.world.levers.rtr = False
    orgs.end_sessions()
    orgs.world.faults.add(Fault(TOKENS, "lose-answer", times=1))
    kept = await orgs.calls()

    orgs.world.levers.reuse_detection = orgs.world.levers.rtr = True
    orgs.end_sessions()
    orgs.world.faults.add(Fault(TOKENS, "lose-answer", times=1))
    lost = await orgs.calls()
    connection = await orgs.shows()
    presented = orgs.world.counters["reuses"]
    later = await orgs.calls()

    assert kept.status == 200
    assert (lost.status, lost.code) == (409, "reauth-required")
    assert (connection["status"], connection["lastError"]) == ("REAUTH_REQUIRED", "rotation-lost")
    assert presented == orgs.world.counters["reuses"] == 1
    assert later.status == 409
    assert (await orgs.connects()).status == 200
    assert (await orgs.calls()).status == 200


async def test_what_an_admin_can_mend_does_not_end_a_grant(orgs, database):
    await orgs.connects()
    orgs.end_sessions()
    orgs.world.levers.ip_restricted = True
    refused = await orgs.calls()
    status = (await orgs.shows())["status"]
    orgs.world.levers.ip_restricted = False
    await database.execute("UPDATE connection_grant SET failed_at = now() - interval '1 hour'")

    assert refused.status == 502, refused.body
    assert status == "ACTIVE"
    assert (await orgs.calls()).status == 200

    orgs.world.grants.revoke(
        orgs.world.grants.by_user[("salesforce-client", orgs.org.default_lead_owner)][0]
    )
    ended = await orgs.calls()
    assert (ended.status, ended.code) == (409, "reauth-required")


async def test_the_daily_limit_refuses_with_the_moment_to_come_again(orgs):
    await orgs.connects()
    orgs.org.levers.api_budget = orgs.org.used_calls() + 1

    last = await orgs.calls()  # its answer says that it was the last one
    seen = len(orgs.world.seen)
    refused = await orgs.calls()
    other = await orgs.connects("u2", BOB)

    assert last.status == 200
    assert (refused.status, refused.code) == (429, "quota-exhausted")
    assert 0 < int(refused.headers["Retry-After"]) <= 902
    assert len([each for each in list(orgs.world.seen)[seen:] if "/data/" in each.target]) == 1
    assert other.status == 200  # another org has a day of its own
    assert (await orgs.calls(user="u2")).status == 200


async def test_a_refusal_for_the_day_is_the_callers_and_later_calls_are_not_sent(orgs):
    await orgs.connects()
    orgs.org.levers.api_budget = 0

    first = await orgs.calls()
    seen = len(orgs.world.seen)
    later = await orgs.calls()

    assert first.status == 403
    assert b"REQUEST_LIMIT_EXCEEDED" in first.body
    assert (later.status, later.code) == (429, "quota-exhausted")
    assert len(orgs.world.seen) == seen


async def test_another_org_needs_the_products_word(orgs):
    await orgs.connects()

    answer = await orgs.connects(username=BOB)
    kept = await orgs.shows()
    code = re.search(rb"[\w-]{43}", answer.body)[0].decode()
    confirmed = await orgs.broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": code, "userForeignIdentifier": "u1"},
    )

    assert answer.status == 409
    assert kept["accountId"] == orgs.org.id
    assert confirmed.json()["accountName"] == "globex"


async def test_deletion_revokes_the_grant_and_wrong_credentials_are_named(orgs):
    await orgs.connects()
    deleted = await orgs.broker.asks("DELETE", "/api/apps/crm/connections/u1")
    after = await orgs.calls()
    orgs.world.apps["salesforce-client"].client_secret = "changed"
    refused = await orgs.connects()
    app = await orgs.broker.asks("GET", "/api/apps/crm")

    assert deleted.json() == {"deleted": True, "revocation": "revoked"}
    assert not any(grant.alive for grants in orgs.world.grants.by_user.values() for grant in grants)
    assert after.status == 404
    assert refused.headers["Broker-Error"] == "credentials-refused"
    assert app.json()["credentialsRefusedAt"] is not None


async def test_a_refresh_token_from_elsewhere_is_taken_with_its_org(orgs):
    await orgs.connects("elsewhere")
    (grant,) = next(iter(orgs.world.grants.by_user.values()))
    orgs.broker.secrets.append(grant.refresh_token)

    refused = await orgs.imports(refreshToken="5Aep861wrong")
    token = await orgs.imports(accessToken="00Dcanary")
    taken = await orgs.imports("u9", refreshToken=grant.refresh_token)

    assert refused.json()["errors"][0]["field"] == "refreshToken"
    assert token.status == 400
    assert taken.status == 200, taken.body
    assert taken.json()["accountName"] == "acme"
    assert (await orgs.calls(user="u9")).status == 200


async def test_the_call_log_names_no_record(orgs):
    await orgs.connects()
    await orgs.calls(f"{LEAD}/00Q000000004711")
    await orgs.calls(f"{LEAD}/Email__c/ada%40acme.example", method="PATCH", json={})
    await orgs.broker.parts.call_log.flush()

    log = (await orgs.broker.asks("GET", "/api/apps/crm/calls")).body.decode()

    assert "/services/data/v66.0/sobjects/Lead/{id}" in log
    assert "4711" not in log
    assert "ada" not in log


@pytest.fixture
async def own(start_broker, salesforce_sandbox):
    """A broker with the app `crm` at one org alone, where client credentials are accepted."""
    broker = await start_broker(salesforce_url=salesforce_sandbox.url)
    await broker.makes_workspace()
    orgs = Orgs(salesforce_sandbox, broker)
    assert (await orgs.registers(myDomain="acme.my.salesforce.com")).status == 201
    yield orgs
    orgs.add_issued_secrets()


async def test_an_app_acts_as_its_run_as_user_without_consent(own, database):
    made = await own.imports("machine")
    sessions = len(own.world.grants.sessions)
    call = await own.calls(user="machine")
    own.end_sessions()
    renewed = await own.calls(user="machine")
    row = await database.fetchrow(
        "SELECT * FROM connection JOIN connection_grant USING (workspace_id) WHERE connection_id = id"
    )
    deleted = await own.broker.asks("DELETE", "/api/apps/crm/connections/machine")

    assert made.status == 200, made.body
    assert (made.json()["accountId"], made.json()["installedBy"]) == (own.org.id, ADA)
    assert made.json()["scopes"] == ["api"]
    assert made.json()["status"] == "ACTIVE"
    assert call.status == renewed.status == 200
    assert len(own.world.grants.sessions) == sessions + 1
    assert row["refresh_token"] is None
    assert SECRET not in str(dict(row))
    assert deleted.json() == {"deleted": True, "revocation": "nothing-to-revoke"}


async def test_an_app_without_a_run_as_user_or_a_domain_is_told_what_it_lacks(own, database):
    own.world.apps["salesforce-client"].run_as = None
    unnamed = await own.imports("machine")
    own.world.apps["salesforce-client"].client_secret = "changed"
    wrong = await own.imports("machine")
    strange = await own.imports("machine", shop="acme")
    await own.broker.asks("PATCH", "/api/apps/crm", json={"myDomain": None})
    homeless = await own.imports("machine")

    assert unnamed.status == 400
    assert "run as" in unnamed.json()["detail"]
    assert (wrong.status, wrong.code) == (502, "credentials-refused")
    assert strange.status == 400
    assert homeless.json()["errors"][0]["field"] == "myDomain"
    assert await database.fetchval("SELECT count(*) FROM connection") == 0
    assert await database.fetchval("SELECT credentials_refused_at FROM app") is not None


async def test_a_run_as_user_that_goes_missing_does_not_end_the_connection(own, database):
    await own.imports("machine")
    own.end_sessions()
    own.world.apps["salesforce-client"].run_as = None
    refused = await own.calls(user="machine")
    own.world.apps["salesforce-client"].run_as = ADA
    await database.execute("UPDATE connection_grant SET failed_at = now() - interval '1 hour'")

    assert refused.status in {502, 503}
    assert (await own.calls(user="machine")).status == 200

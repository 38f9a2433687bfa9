"""From an install link to a connection."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from broker.sandbox.core.faults import Fault
from tests.until import until

JSON = {"Accept": "application/json"}
RETURN_URL = "https://product.example/settings?tab=integrations"


async def test_a_user_who_consents_is_connected(broker, hubspot):
    answer = await broker.connects("u1")

    assert answer.status == 200
    assert b"HubSpot is connected" in answer.body
    known = await broker.asks("GET", "/api/apps/hbdev/connections/u1")
    assert known.json()["status"] == "ACTIVE"
    assert known.json()["hubId"] == 101
    assert known.json()["hubDomain"] == "acme.example"
    assert known.json()["installedBy"] == "ada@acme.example"
    assert known.json()["missingScopes"] == []


async def test_the_callback_answers_json_as_stackgo_does(broker):
    back = await broker.consents(await broker.links("u1"))

    answer = await broker.asks("GET", back, key="", headers=JSON)

    assert answer.json() == {"message": "User Registered", "userForeignIdentifier": "u1"}


async def test_the_browser_goes_back_to_the_product_without_code_or_state(broker):
    """C20."""
    answer = await broker.connects("u 1&x=y", returnUrl=RETURN_URL)

    assert answer.status == 303
    where, query, fragment = answer.location
    assert where == "https://product.example/settings"
    assert query == {
        "tab": "integrations",
        "status": "connected",
        "userForeignIdentifier": "u 1&x=y",
    }
    assert fragment == {}
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_of_many_callbacks_with_one_state_one_exchanges_the_code(broker, hubspot):
    """C4."""
    back = await broker.consents(await broker.links("u1"))

    answers = await asyncio.gather(
        *(broker.asks("GET", back, key="", headers=JSON) for _ in range(50))
    )

    assert sorted(answer.status for answer in answers) == [200] + [409] * 49
    assert {answer.code for answer in answers if answer.status == 409} == {"link-used"}
    assert hubspot.exchanges == 1


@pytest.mark.parametrize("change", ["u1", "flipped", "empty"])
async def test_a_state_that_was_not_minted_connects_nobody(broker, hubspot, change):
    """C1."""
    back = await broker.consents(await broker.links("u1"))
    state = parse_qs(urlsplit(back).query)["state"][0]
    forged = {"u1": "u1", "flipped": ("A" if state[0] != "A" else "B") + state[1:], "empty": ""}

    answer = await broker.asks("GET", back.replace(state, forged[change]), key="", headers=JSON)

    assert answer.status == 400
    assert hubspot.exchanges == 0
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).status == 404


async def test_a_link_says_nothing_about_its_user(broker):
    """C1."""
    first, second = await broker.links("jane@acme.example"), await broker.links("jane@acme.example")

    states = [parse_qs(urlsplit(url).query)["state"][0] for url in (first, second)]
    assert states[0] != states[1]
    assert len(states[0]) >= 43
    assert "jane" not in first


async def test_a_link_expires_after_its_hour(broker, hubspot, database):
    """C5."""
    back = await broker.consents(await broker.links("u1"))
    await database.execute("UPDATE install_link SET expires_at = now() - interval '1 second'")

    answer = await broker.asks("GET", back, key="", headers=JSON)

    assert (answer.status, answer.code) == (410, "link-expired")
    assert hubspot.exchanges == 0


async def test_looking_at_a_callback_without_getting_it_uses_nothing_up(broker):
    """C6."""
    back = await broker.consents(await broker.links("u1"))

    looked = [await broker.asks("HEAD", back, key="") for _ in range(5)]

    assert {answer.status for answer in looked} == {405}
    assert (await broker.asks("GET", back, key="")).status == 200


async def test_another_apps_callback_does_not_take_the_state(broker, hubspot):
    """C9."""
    other = (await broker.registers("other")).json()
    back = await broker.consents(await broker.links("u1", "hbdev"))

    answer = await broker.asks("GET", back.replace("/hbdev-", "/other-"), key="", headers=JSON)

    assert other["redirectUrl"].endswith("/callback")
    assert answer.status == 400
    assert hubspot.exchanges == 0


async def test_a_code_from_another_link_is_refused_by_its_verifier(broker, hubspot):
    """C7, C10."""
    own_callback = await broker.consents(await broker.links("u1"))
    theirs = await broker.consents(await broker.links("u2"))
    code = parse_qs(urlsplit(theirs).query)["code"][0]

    answer = await broker.asks(
        "GET",
        own_callback.replace(parse_qs(urlsplit(own_callback).query)["code"][0], code),
        key="",
        headers=JSON,
    )

    assert (answer.status, answer.code) == (400, "exchange-failed")
    assert hubspot.exchanges == 1
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).status == 404


async def test_a_user_who_denies_reads_plain_words_and_may_try_again(broker):
    """C13."""
    url = await broker.links("u1")
    state = parse_qs(urlsplit(url).query)["state"][0]
    denied = f"{broker.redirect_url}?error=access_denied&error_description=<script>x</script>&state={state}"

    answer = await broker.asks("GET", denied, key="")

    assert answer.status == 403
    assert b"You did not allow" in answer.body
    assert b"<script>" not in answer.body
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert (await broker.asks("GET", await broker.consents(url), key="")).status == 200


CONSENT_ERRORS = {
    "temporarily_unavailable": (502, "hubspot-unavailable", b"could not be reached"),
    "server_error": (502, "hubspot-unavailable", b"could not be reached"),
    "unauthorized_client": (502, "credentials-refused", b"not your fault"),
    "invalid_scope": (400, "exchange-failed", b"no longer accepts this sign-in"),
    "no_such_error": (403, "consent-denied", b"You did not allow"),
}


async def test_what_hubspot_refuses_is_not_blamed_on_the_user(broker):
    """C13, and the link stays usable; whoever has a link could say so, so the app is not flagged."""
    url = await broker.links("u1")
    state = parse_qs(urlsplit(url).query)["state"][0]

    for error, (status, code, words) in CONSENT_ERRORS.items():
        back = f"{broker.redirect_url}?error={error}&state={state}"
        page = await broker.asks("GET", back, key="")
        assert (page.status, page.headers["Broker-Error"]) == (status, code), error
        assert words in page.body
        assert (b"did not allow" in page.body) == (code == "consent-denied")

    assert (await broker.asks("GET", "/api/apps/hbdev")).json().get("credentialsRefusedAt") is None
    assert (await broker.asks("GET", await broker.consents(url), key="")).status == 200


async def test_fewer_scopes_than_asked_for_make_no_connection(broker, hubspot):
    """C21."""
    back = await broker.consents(await broker.links("u1"))
    code = parse_qs(urlsplit(back).query)["code"][0]
    hubspot.grants.codes[code].scopes = ["oauth"]

    answer = await broker.asks("GET", back, key="", headers=JSON)

    assert (answer.status, answer.code) == (403, "scopes-missing")
    assert "crm.objects.contacts.read" in answer.json()["detail"]
    assert len(hubspot.revocations) == 1
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).status == 404


async def test_a_link_works_again_when_hubspot_could_not_be_asked(broker, hubspot):
    url = await broker.links("u1")
    hubspot.faults.add(Fault("/oauth/*/token", "html", status=502, times=1))

    first = await broker.asks("GET", await broker.consents(url), key="", headers=JSON)
    second = await broker.asks("GET", await broker.consents(url), key="", headers=JSON)

    assert (first.status, first.code) == (502, "hubspot-unavailable")
    assert second.status == 200


async def test_a_caller_who_leaves_during_the_exchange_is_connected_all_the_same(broker, hubspot):
    back = await broker.consents(await broker.links("u1"))
    hubspot.faults.add(Fault("/oauth/*/token", "delay", seconds=0.3))

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(broker.asks("GET", back, key=""), 0.1)

    async def known():
        answer = await broker.asks("GET", "/api/apps/hbdev/connections/u1")
        return answer if answer.status == 200 else None

    assert (await until(known)).json()["status"] == "ACTIVE"


async def test_connecting_again_replaces_the_grant_of_the_same_connection(broker, hubspot):
    await broker.connects("u1")
    first = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()

    await broker.connects("u1")

    second = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    assert second["id"] == first["id"]
    assert (await broker.proxies()).status == 200
    used = hubspot.grants.access_tokens[list(hubspot.grants.access_tokens)[-1]]
    assert used.calls == 1


async def test_another_portal_waits_until_it_is_confirmed(broker, hubspot):
    """C14."""
    await broker.connects("u1", portal=101)

    answer = await broker.connects("u1", portal=102, returnUrl=RETURN_URL)

    _, query, fragment = answer.location
    assert query["status"] == "error"
    assert query["code"] == "portal-mismatch"
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()["hubId"] == 101
    assert (await broker.proxies()).status == 200
    confirmed = await broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": fragment["confirm"], "userForeignIdentifier": "u1"},
    )
    assert confirmed.json()["hubId"] == 102
    assert (await broker.proxies()).status == 200


async def test_an_unconfirmed_connection_cannot_be_called(broker, hubspot):
    """C2, C3."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"confirm": "required"})

    answer = await broker.connects("u1", returnUrl=RETURN_URL)

    _, query, fragment = answer.location
    assert query["status"] == "pending"
    assert (await broker.proxies()).code == "connection-pending"
    body = {"confirm": fragment["confirm"], "userForeignIdentifier": "u1"}
    assert (await broker.asks("POST", "/api/connections/confirm", json=body)).status == 200
    assert (await broker.proxies()).status == 200
    assert (await broker.asks("POST", "/api/connections/confirm", json=body)).code == "link-used"


async def test_a_connection_confirmed_for_somebody_else_is_undone(broker, hubspot):
    """C2."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"confirm": "required"})
    _, _, fragment = (await broker.connects("attacker", returnUrl=RETURN_URL)).location

    answer = await broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": fragment["confirm"], "userForeignIdentifier": "victim"},
    )

    assert answer.status == 403
    assert (await broker.proxies(user="attacker")).status == 404
    await broker.parts.revoker.revoke_due(10)
    assert len(hubspot.revocations) == 1


async def test_a_confirmation_that_comes_too_late_gives_the_grant_back(broker, hubspot, database):
    """C3."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"confirm": "required"})
    _, _, fragment = (await broker.connects("u1", returnUrl=RETURN_URL)).location
    await database.execute("UPDATE pending_grant SET code_expires_at = now() - interval '1 second'")

    answer = await broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": fragment["confirm"], "userForeignIdentifier": "u1"},
    )

    assert (answer.status, answer.code) == (410, "link-expired")
    await broker.parts.revoker.revoke_due(10)
    assert len(hubspot.revocations) == 1
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).status == 404


async def marketplace_callback(broker, hubspot, return_url):
    """The callback as HubSpot's Marketplace makes it: a code and no state."""
    hubspot.auto_consent = 101
    authorize = (await broker.links("x")).partition("&state=")[0]
    back = await broker.asks("GET", authorize, key="")
    code = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
    return await broker.asks(
        "GET", broker.redirect_url, params={"code": code, "returnUrl": return_url}, key=""
    )


async def test_a_marketplace_install_waits_to_be_claimed(broker, hubspot):
    """C12."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False, "marketplace": True})
    page = "https://app.hubspot.com/installed/101"

    answer = await marketplace_callback(broker, hubspot, page)

    where, query, fragment = answer.location
    assert where == "https://product.example/settings"
    assert query["returnUrl"] == page
    listed = await broker.asks("GET", "/api/apps/hbdev/connections?status=UNCLAIMED")
    assert [each["status"] for each in listed.json()["connections"]] == ["UNCLAIMED"]
    claimed = await broker.asks(
        "POST",
        f"/api/hubspot/claims/{fragment['claim']}",
        json={"userForeignIdentifier": "u7"},
    )
    assert claimed.status == 200
    assert claimed.json()["status"] == "ACTIVE"
    assert claimed.json()["returnUrl"] == page
    assert (await broker.proxies(user="u7")).status == 200
    again = await broker.asks(
        "POST",
        f"/api/hubspot/claims/{fragment['claim']}",
        json={"userForeignIdentifier": "u8"},
    )
    assert again.code == "link-used"


@pytest.mark.parametrize(
    "page",
    [
        "https://evil.example/",
        "//evil.example",
        "https://app.hubspot.com.evil.example/",
        "https://app.hubspot.com@evil.example/",
        "http://app.hubspot.com/",
        "javascript:alert(1)",
        "https://app.hubspot.com\\@evil.example/",
        "https://app.hubspot.com:8443/",
    ],
)
async def test_a_marketplace_install_never_redirects_elsewhere(broker, hubspot, page):
    """C11, C12."""
    answer = await marketplace_callback(broker, hubspot, page)

    assert answer.status == 400
    assert "Location" not in answer.headers
    assert hubspot.exchanges == 0


@pytest.mark.parametrize(
    "url",
    [
        "https://product.example/settings?tab=integrations&x=1",
        "https://product.example/settings",
        "https://product.example.evil.test/settings?tab=integrations",
        "//product.example/settings?tab=integrations",
        "https://product.example/settings?tab=integrations#x",
        "https://product.example\\@evil.test/",
        " https://product.example/settings?tab=integrations",
        "javascript:alert(1)",
        "HTTPS://product.example/settings?tab=integrations",
    ],
)
async def test_only_the_apps_own_return_urls_are_taken(broker, url):
    """C11."""
    answer = await broker.asks(
        "GET",
        "/api/hubspot/auth/hbdev",
        params={"userForeignIdentifier": "u1", "returnUrl": url},
    )

    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == "returnUrl"


async def test_a_portal_is_known_though_introspection_fails(broker, hubspot):
    hubspot.faults.add(Fault("/oauth/*/introspect", "status", status=500))

    answer = await broker.connects("u1")

    assert answer.status == 200
    known = (await broker.asks("GET", "/api/apps/hbdev/connections/u1")).json()
    assert (known["hubId"], known["missingScopes"]) == (101, [])


@pytest.mark.parametrize(
    ("returns", "kept"),
    [
        ("https://product.example/?tab=crm%20sync", "/?tab=crm%20sync&"),
        ("https://product.example/?status=open&tab=crm%20sync", "/?tab=crm%20sync&"),
        ("https://product.example/a?q=%2B+%C3%A4&empty=&flag", "/a?q=%2B+%C3%A4&empty=&flag&"),
        ("https://product.example", "?"),
    ],
)
async def test_a_return_url_keeps_what_it_holds(broker, returns, kept):
    """F15: ours stand once each, and nothing else is changed or encoded again."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"returnUrls": [returns]})

    answer = await broker.connects("u1", returnUrl=returns)

    ours = "status=connected&userForeignIdentifier=u1"
    assert answer.headers["Location"] == f"https://product.example{kept}{ours}"

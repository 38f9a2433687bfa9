"""Installs that begin at HubSpot: partner sign-in, and claims that are looked at first."""

import asyncio
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from broker.services.installs.marketplace import UNPROVED_PER_SECOND

PAGE = "https://app.hubspot.com/installing/101?step=2&x=a%20b"
SIGN_IN = "https://product.example/hubspot/sign-in?from=hubspot"


async def code_of(broker, hubspot):
    """A code as HubSpot's Marketplace gets one, without PKCE."""
    authorize = (await broker.links("x")).partition("&state=")[0]
    back = await broker.asks("GET", authorize, key="")
    return parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]


async def marketplace_install(broker, hubspot, page="https://app.hubspot.com/done"):
    code = await code_of(broker, hubspot)
    return await broker.asks(
        "GET", broker.redirect_url, params={"code": code, "returnUrl": page}, key=""
    )


async def test_a_partner_sign_in_leads_over_the_product_and_ends_at_hubspot(broker, hubspot):
    """F14: authorize, sign in to the product, back to HubSpot with our state, finalize."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"installUrl": SIGN_IN})

    first = await broker.asks(
        "GET", broker.redirect_url, params={"step": "authorize", "returnUrl": PAGE}, key=""
    )
    link = await broker.links("u1", continueUrl=PAGE)
    state = parse_qs(urlsplit(link).query)["state"][0]
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False})
    code = await code_of(broker, hubspot)
    last = await broker.asks(
        "GET",
        broker.redirect_url,
        params={"step": "finalize", "code": code, "state": state, "returnUrl": PAGE},
        key="",
    )

    assert first.status == 303
    assert first.headers["Location"] == f"{SIGN_IN}&returnUrl={quote(PAGE, safe='')}"
    assert link == f"{PAGE}&state={state}"
    assert (last.status, last.headers["Location"]) == (303, PAGE)
    assert (await broker.proxies("/_echo/x")).status == 200


async def test_a_sign_in_without_an_install_url_is_refused_in_plain_words(broker):
    answer = await broker.asks(
        "GET", broker.redirect_url, params={"step": "authorize", "returnUrl": PAGE}, key=""
    )

    assert answer.status == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize("page", ["https://evil.example/", "https://app.hubspot.com.evil.example/"])
async def test_a_sign_in_leads_to_no_other_page_than_hubspots(broker, page):
    await broker.asks("PATCH", "/api/apps/hbdev", json={"installUrl": SIGN_IN})

    sign_in = await broker.asks(
        "GET", broker.redirect_url, params={"step": "authorize", "returnUrl": page}, key=""
    )
    link = await broker.asks(
        "GET",
        "/api/hubspot/auth/hbdev",
        params={"userForeignIdentifier": "u1", "continueUrl": page},
    )

    assert (sign_in.status, link.status) == (400, 400)
    assert link.json()["errors"][0]["field"] == "continueUrl"


async def test_installs_without_a_state_are_off_until_the_app_allows_them(broker, hubspot):
    """2.11."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False})

    off = await marketplace_install(broker, hubspot)
    await broker.asks("PATCH", "/api/apps/hbdev", json={"marketplace": True})
    on = await marketplace_install(broker, hubspot)

    assert (off.status, off.headers["Broker-Error"]) == (400, "invalid-request")
    assert on.status == 303
    assert hubspot.exchanges == 1


async def test_exchanges_that_strangers_cause_are_paced(broker, hubspot):
    """2.11: whoever knows the address can open it with any code."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"marketplace": True})
    query = "returnUrl=https://app.hubspot.com/x"

    answers = await asyncio.gather(
        *(
            broker.asks("GET", f"{broker.redirect_url}?code=bad{n}&{query}", key="")
            for n in range(60)
        )
    )

    assert hubspot.exchanges <= 3 * UNPROVED_PER_SECOND
    assert {answer.headers["Broker-Error"] for answer in answers} == {"exchange-failed", "busy"}


async def test_a_claim_says_whose_account_it_is_before_it_is_taken(broker, hubspot):
    """2.11: a code can come from anyone."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"pkce": False, "marketplace": True})
    claim = (await marketplace_install(broker, hubspot)).location[2]["claim"]
    broker.secrets.append(claim)
    elsewhere = await broker.makes_key("connect", apps=("other",))

    seen = await broker.asks("GET", f"/api/hubspot/claims/{claim}")
    hidden = await broker.asks("GET", f"/api/hubspot/claims/{claim}", key=elsewhere)
    taken = await broker.asks(
        "POST", f"/api/hubspot/claims/{claim}", json={"userForeignIdentifier": "u1"}
    )
    after = await broker.asks("GET", f"/api/hubspot/claims/{claim}")

    assert seen.status == 200
    assert seen.json()["accountId"] == "101"
    assert seen.json()["hubDomain"] == "acme.example"
    assert seen.json()["installedBy"] == "ada@acme.example"
    assert hidden.status == 404
    assert (taken.status, taken.json()["accountId"]) == (200, "101")
    assert after.code == "link-used"

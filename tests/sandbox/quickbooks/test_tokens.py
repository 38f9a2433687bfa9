"""Codes, tokens and the consent page of the sandbox QuickBooks Online."""

import base64
import json
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.sandbox.quickbooks.client import BACK, BASIC, UK, US


async def test_a_code_is_refused_to_others_late_and_twice(books):
    app = books.world.grants.apps["qbo-client"]
    books.world.register_app("other", "other-secret", [BACK])

    def form():
        code = books.world.grants.issue_code(app, US, [], BACK)
        return {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK}

    other = "Basic " + base64.b64encode(b"other:other-secret").decode()
    wrong_secret = "Basic " + base64.b64encode(b"qbo-client:x").decode()
    late = form()
    books.world.jump(601)
    good = form()

    assert await books.token(late) == (
        400,
        {"error": "invalid_grant", "error_description": "Invalid authorization code"},
    )
    assert (await books.token(form(), other))[0] == 400
    assert await books.token(form(), wrong_secret) == (401, {"error": "invalid_client"})
    assert (await books.token(form(), None))[0] == 401
    assert (await books.token({**form(), "redirect_uri": "http://localhost:9/x"}))[0] == 400
    assert (await books.token({**form(), "grant_type": "password"}))[1] == {
        "error": "unsupported_grant_type"
    }
    status, answer = await books.token(good)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "bearer", 3600)
    assert answer["x_refresh_token_expires_in"] == 8_726_400
    assert (await books.token(good))[0] == 400


async def test_a_refresh_token_changes_after_a_day_and_its_old_value_dies_at_once(books):
    first = books.connect().refresh_token

    same = await books.refresh(first)
    books.world.jump(86_401)
    changed = (await books.refresh(first))[1]["refresh_token"]
    old = await books.refresh(first)

    assert same[1]["refresh_token"] == first
    assert changed != first
    assert old == (
        400,
        {"error": "invalid_grant", "error_description": "Incorrect or invalid refresh token"},
    )
    assert (await books.refresh(changed))[0] == 200
    books.levers.describes_errors = False
    assert await books.refresh(first) == (400, {"error": "invalid_grant"})


async def test_a_refresh_token_dies_unused_after_101_days_and_used_after_five_years(books):
    unused = books.connect().refresh_token
    books.world.jump(101 * 86_400)
    assert (await books.refresh(unused))[0] == 400

    token = books.connect().refresh_token
    for _ in range(18):
        books.world.jump(100 * 86_400)
        status, answer = await books.refresh(
            token, **{"x-include-refresh-token-hard-expires-in": "true"}
        )
        assert status == 200
        token = answer["refresh_token"]
    left = answer["x_refresh_token_hard_expires_in"]
    assert left == 25 * 86_400
    assert answer["x_refresh_token_expires_in"] == left
    assert "x_refresh_token_hard_expires_in" not in (await books.refresh(token))[1]
    books.world.jump(left + 1)
    assert (await books.refresh(token))[0] == 400


async def test_revoking_either_token_ends_both(books):
    for which in ("refresh", "access"):
        grant = books.connect()
        token = grant.refresh_token if which == "refresh" else books.tokens[US]
        url = f"{books.url}/v2/oauth2/tokens/revoke"
        body, headers = json.dumps({"token": token}), {"Content-Type": "application/json"}
        async with books.session.post(url, data=body, headers=headers) as got:
            assert got.status == 401
        headers["Authorization"] = BASIC
        async with books.session.post(url, data=body, headers=headers) as got:
            assert (got.status, await got.read()) == (200, b"")
        assert (await books.refresh(grant.refresh_token))[0] == 400
        status, answer = await books.call("GET", "companyinfo/1")
        assert status == 401
        assert answer["fault"]["error"][0]["code"] == "3200"


async def test_a_person_connects_one_company_or_cancels(books):
    query = {
        "client_id": "qbo-client",
        "response_type": "code",
        "scope": "com.intuit.quickbooks.accounting",
        "redirect_uri": BACK,
        "state": "st&1",
    }

    async def page(**changed):
        parameters = {name: value for name, value in {**query, **changed}.items() if value}
        async with books.session.get(f"{books.url}/connect/oauth2?{urlencode(parameters)}") as got:
            return got.status, await got.text()

    async def decide(**form):
        url = f"{books.url}/connect/decision"
        headers = form.pop("headers", {})
        async with books.session.post(
            url, data={**query, **form}, headers=headers, allow_redirects=False
        ) as got:
            return got.status, parse_qs(urlsplit(got.headers.get("Location", "")).query)

    for wrong in (
        {"client_id": "x"},
        {"redirect_uri": "http://localhost:9/other"},
        {"scope": "all"},
        {"state": ""},
        {"response_type": "token"},
    ):
        assert (await page(**wrong))[0] == 400
    status, shown = await page()
    assert status == 200
    assert "Acme Inc" in shown
    assert "Globex Ltd" in shown
    assert (await decide(decision="connect", realmId=UK, headers={"Origin": "http://x.test"}))[
        0
    ] == 403
    assert await decide(decision="cancel", realmId=UK) == (
        302,
        {"error": ["access_denied"], "state": ["st&1"]},
    )
    _, callback = await decide(decision="connect", realmId=UK)
    assert (callback["realmId"], callback["state"]) == ([UK], ["st&1"])
    form = {
        "grant_type": "authorization_code",
        "code": callback["code"][0],
        "redirect_uri": BACK,
    }
    books.tokens[UK] = (await books.token(form))[1]["access_token"]
    info = await books.ok("GET", f"companyinfo/{UK}", realm=UK)
    assert info["CompanyInfo"]["CompanyName"] == "Globex Ltd"

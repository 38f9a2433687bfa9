"""Codes, tokens and connections of the sandbox Xero."""

import base64
import hashlib
import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.sandbox.xero.client import BACK, BASIC, NZ, SCOPES, UK


async def test_a_person_chooses_organisations_and_the_code_works_once(books):
    query = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": SCOPES,
        "redirect_uri": BACK,
        "state": "st 1",
    }

    async def page(**changed):
        parameters = urlencode({**query, **changed})
        async with books.session.get(f"{books.url}/identity/connect/authorize?{parameters}") as got:
            return got.status, await got.text()

    async def decide(tenants=(), **form):
        data = [*{**query, **form}.items(), *(("tenantId", each) for each in tenants)]
        async with books.session.post(
            f"{books.url}/identity/connect/decision", data=data, allow_redirects=False
        ) as got:
            return parse_qs(urlsplit(got.headers.get("Location", "")).query)

    for wrong, word in (
        ({"client_id": "x"}, "unauthorized_client"),
        ({"redirect_uri": "http://x.test"}, "unauthorized_client"),
        ({"scope": "accounting.everything"}, "invalid_scope"),
        ({"scope": "accounting.transactions"}, "invalid_scope"),
    ):
        status, text = await page(**wrong)
        assert (status, word in text) == (400, True), wrong
    status, text = await page()
    assert (status, "Acme NZ" in text, "Globex UK" in text) == (200, True, True)
    assert await decide([UK], decision="cancel") == {"error": ["access_denied"], "state": ["st 1"]}
    callback = await decide([NZ, UK], decision="connect")
    assert callback["state"] == ["st 1"]
    form = {"grant_type": "authorization_code", "code": callback["code"][0], "redirect_uri": BACK}

    assert await books.token(form, None) == (400, {"error": "invalid_client"})
    assert (await books.token({**form, "redirect_uri": "http://x.test"}))[1] == {
        "error": "invalid_grant"
    }
    status, issued = await books.token(form)
    assert (status, issued["expires_in"], issued["token_type"]) == (200, 1800, "Bearer")
    assert {"refresh_token", "id_token", "scope"} < set(issued)
    assert (await books.token(form))[1] == {"error": "invalid_grant"}
    claims = json.loads(base64.urlsafe_b64decode(issued["access_token"].split(".")[1] + "=="))
    assert claims["exp"] - claims["nbf"] == 1800
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    event = {"authEventId": claims["authentication_event_id"]}
    async with books.session.get(f"{books.url}/connections", headers=headers, params=event) as got:
        connections = await got.json()
        assert "X-AppMinLimit-Remaining" in got.headers
        assert "X-MinLimit-Remaining" not in got.headers
    assert [each["tenantId"] for each in connections] == [NZ, UK]
    assert connections[1]["tenantName"] == "Globex UK"
    assert connections[1]["tenantType"] == "ORGANISATION"
    assert re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{7}", connections[1]["createdDateUtc"])


async def test_older_apps_may_still_request_broad_scopes(books):
    books.levers.granular_scopes = False
    books.levers.auto_consent = [NZ]
    query = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": "accounting.transactions offline_access",
        "redirect_uri": BACK,
    }
    url = f"{books.url}/identity/connect/authorize?{urlencode(query)}"
    async with books.session.get(url, allow_redirects=False) as got:
        assert got.status == 302
    books.connect(NZ, scopes=["accounting.transactions"])
    await books.ok("GET", "Invoices")


async def test_an_app_is_connected_to_no_more_organisations_than_its_plan_has(books):
    books.levers.connection_limit, books.levers.auto_consent = 1, [UK]
    query = {
        "client_id": "xero-client",
        "response_type": "code",
        "scope": SCOPES,
        "redirect_uri": BACK,
    }
    url = f"{books.url}/identity/connect/authorize?{urlencode(query)}"
    async with books.session.get(url, allow_redirects=False) as got:
        assert got.status == 403
    books.levers.auto_consent = [NZ]
    async with books.session.get(url, allow_redirects=False) as got:
        assert got.status == 302


async def test_a_code_with_a_challenge_needs_its_verifier(books):
    verifier = "v" * 50
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    for code_verifier, status in (("", 400), ("w" * 50, 400), (verifier, 200)):
        code = books.grants.issue_code(books.app, ["openid"], BACK, challenge, "event")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": code_verifier,
        }
        assert (await books.token(form))[0] == status


async def test_every_refresh_rotates_and_the_old_token_works_for_half_an_hour(books):
    first = books.connect(NZ)["refresh_token"]
    second = (await books.refresh(first))[1]["refresh_token"]
    books.world.jump(1800)
    retried = await books.refresh(first)
    books.world.jump(1)
    late = await books.refresh(first)
    books.levers.grace = 0
    third = (await books.refresh(second))[1]["refresh_token"]
    books.world.jump(1)

    assert len({first, second, third, retried[1]["refresh_token"]}) == 4
    assert late == (400, {"error": "invalid_grant"})
    assert (await books.refresh(second))[0] == 400
    books.world.jump(60 * 86_400)
    assert (await books.refresh(third))[0] == 400


async def test_without_offline_access_there_is_no_refresh_token(books):
    assert "refresh_token" not in books.connect(NZ, scopes=["accounting.contacts"])


async def test_a_custom_connection_gets_tokens_by_client_credentials_and_names_no_tenant(books):
    form = {"grant_type": "client_credentials", "scope": "accounting.contacts"}
    assert (await books.token(form))[1] == {"error": "unauthorized_client"}
    books.world.register_app("custom", "custom-secret", [], UK)
    own = {**form, "client_id": "custom", "client_secret": "custom-secret"}
    assert (await books.token({**own, "scope": "x"}, None))[1] == {"error": "invalid_scope"}
    status, issued = await books.token(own, None)
    assert (status, "refresh_token" in issued) == (200, False)
    books.token_value = issued["access_token"]
    assert (await books.call("GET", "Contacts", tenant=None))[0] == 200
    assert (await books.call("GET", "Contacts", tenant=NZ))[0] == 403


async def test_revoking_ends_the_app_and_disconnecting_one_organisation(books):
    issued = books.connect(NZ, UK)
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    connection = books.grants.connection("xero-client", UK)
    url = f"{books.url}/connections/{connection.connection_id}"
    async with books.session.delete(url, headers=headers) as got:
        assert got.status == 204
    async with books.session.delete(url, headers=headers) as got:
        assert got.status == 404
    assert (await books.call("GET", "Contacts", tenant=UK))[0] == 403
    assert (await books.call("GET", "Contacts"))[0] == 200
    form = {"token": issued["refresh_token"]}
    auth = {"Authorization": BASIC}
    async with books.session.post(
        f"{books.url}/connect/revocation", data=form, headers=auth
    ) as got:
        assert (got.status, await got.read()) == (200, b"")
    assert (await books.refresh(issued["refresh_token"]))[0] == 400
    assert (await books.call("GET", "Contacts"))[0] == 401


async def test_calls_are_refused_without_token_tenant_or_scope(books):
    books.connect(NZ, scopes=["accounting.contacts.read"])
    no_tenant = await books.call("GET", "Contacts", tenant=None)
    other_tenant = await books.call("GET", "Contacts", tenant=UK)
    no_scope = await books.call("GET", "Invoices")
    read_only = await books.call("PUT", "Contacts", {"Contacts": [{"Name": "A"}]})
    read = await books.call("GET", "Contacts")
    books.world.jump(1801)
    expired = await books.call("GET", "Contacts")
    books.token_value = "x"
    unknown = await books.call("GET", "Contacts")

    assert (no_tenant[0], no_tenant[1]["Detail"]) == (403, "AuthenticationUnsuccessful")
    assert other_tenant[0] == 403
    assert no_scope[0] == read_only[0] == 401
    assert no_scope[1]["Detail"] == "AuthorizationUnsuccessful"
    assert read[0] == 200
    assert expired[0] == unknown[0] == 401
    assert set(expired[1]) == {"Type", "Title", "Status", "Detail", "Instance", "Extensions"}
    assert expired[1]["Detail"].startswith("TokenExpired: token expired at 11/28/2026")

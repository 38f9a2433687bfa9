"""Consent and tokens: every rule of HubSpot's token endpoint, in its words."""

import base64
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

BACK = "http://localhost:9/back"


@pytest.fixture
async def oauth(app):
    app.hubspot.register_app("c", "s", 9, ["oauth", "tickets"], [BACK], ["e-commerce"])
    app.hubspot.add_portal(
        103, "initech.example", ["bill@initech.example", "peter@initech.example"]
    )
    return Dance(app)


class Dance:
    """The requests of an OAuth flow."""

    def __init__(self, app):
        self.app, self.hubspot = app, app.hubspot

    async def request(self, path="/oauth/authorize", **changed):
        query = {"client_id": "c", "redirect_uri": BACK, "scope": "oauth tickets", "state": "st"}
        query = {name: value for name, value in {**query, **changed}.items() if value is not None}
        url = f"{self.hubspot.url}{path}?{urlencode(query)}"
        async with self.app.session.get(url, allow_redirects=False) as got:
            return got.status, got.headers.get("Location", ""), await got.text()

    async def code(self, **changed):
        _, location, _ = await self.request(**changed)
        return parse_qs(urlsplit(location).query)["code"][0]

    async def token(self, version="2026-03", **form):
        url = f"{self.hubspot.url}/oauth/{version}/token"
        client = {"client_id": "c", "client_secret": "s"}
        async with self.app.session.post(url, data={**client, **form}) as got:
            return got.status, await got.json()

    async def exchange(self, code, **more):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, **more}
        return await self.token(**form)


async def test_a_person_chooses_the_account_and_the_user_and_sees_the_scopes(oauth):
    oauth.hubspot.auto_consent = None
    status, _, page = await oauth.request(optional_scope="e-commerce unknown")
    assert status == 200
    for shown in ("103/peter@initech.example", "101/ada@acme.example", "tickets", "e-commerce"):
        assert shown in page
    assert "unknown</code>" not in page
    _, _, one = await oauth.request("/oauth/103/authorize")
    assert "101/ada@acme.example" not in one

    decided = {
        "client_id": "c",
        "redirect_uri": BACK,
        "scope": "oauth tickets",
        "state": "st",
        "portal": "103/peter@initech.example",
        "decision": "allow",
    }
    url = f"{oauth.hubspot.url}/oauth/decision"
    async with oauth.app.session.post(url, data=decided, allow_redirects=False) as got:
        back = parse_qs(urlsplit(got.headers["Location"]).query)
    assert back["state"] == ["st"]
    _, tokens = await oauth.exchange(back["code"][0])
    assert tokens["hub_id"] == 103
    introspect = f"{oauth.hubspot.url}/oauth/2026-03/token/introspect"
    form = {"client_id": "c", "client_secret": "s", "token": tokens["access_token"]}
    async with oauth.app.session.post(introspect, data=form) as got:
        described = await got.json()
    assert (described["user"], described["user_id"]) == ("peter@initech.example", 1001)
    assert described["hub_domain"] == "initech.example"

    refused = {**decided, "decision": "deny"}
    async with oauth.app.session.post(url, data=refused, allow_redirects=False) as got:
        back = parse_qs(urlsplit(got.headers["Location"]).query)
    assert (back["error"], back["state"]) == (["access_denied"], ["st"])


async def test_an_invalid_authorization_request_never_returns_to_the_app(oauth):
    for changed in (
        {"client_id": "nobody"},
        {"redirect_uri": f"{BACK}/"},
        {"redirect_uri": None},
        {"scope": "oauth"},
        {"scope": "oauth tickets crm.objects.contacts.read"},
        {"code_challenge": "x", "code_challenge_method": "plain"},
    ):
        status, location, page = await oauth.request(**changed)
        assert (status, location) == (400, ""), changed
        assert "complete the connection" in page


async def test_a_code_works_once_for_its_redirect_its_client_and_a_minute(oauth):
    oauth.hubspot.register_app("other", "s", 10, ["oauth"], [BACK])
    code = await oauth.code()
    assert (await oauth.exchange(code))[0] == 200
    status, body = await oauth.exchange(code)
    assert (status, body["status"], body["error"]) == (400, "BAD_AUTH_CODE", "invalid_grant")
    assert body["message"] == body["error_description"]
    wrong = await oauth.exchange(await oauth.code(), redirect_uri=f"{BACK}?x")
    assert wrong[1]["status"] == "BAD_REDIRECT_URI"
    theirs = await oauth.exchange(await oauth.code(), client_id="other")
    assert theirs[1]["status"] == "BAD_AUTH_CODE"
    late = await oauth.code()
    oauth.hubspot.jump(61)
    assert (await oauth.exchange(late))[1]["status"] == "BAD_AUTH_CODE"


async def test_a_challenge_needs_its_verifier(oauth):
    digest = hashlib.sha256(b"verifier").digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    query = {"code_challenge": challenge, "code_challenge_method": "S256"}
    for verifier in ({}, {"code_verifier": "other"}):
        _, body = await oauth.exchange(await oauth.code(**query), **verifier)
        assert body["status"] == "BAD_CODE_VERIFIER"
    assert (await oauth.exchange(await oauth.code(**query), code_verifier="verifier"))[0] == 200


async def test_every_version_renews_and_only_by_form(oauth):
    _, tokens = await oauth.exchange(await oauth.code())
    renew = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for version in ("v1", "v3", "2026-03", "2026-09"):
        status, renewed = await oauth.token(version, **renew)
        assert (status, renewed["refresh_token"]) == (200, tokens["refresh_token"])
        assert renewed["access_token"] != tokens["access_token"]
        url = f"{oauth.hubspot.url}/oauth/{version}/token"
        async with oauth.app.session.post(url, json={**renew, "client_id": "c"}) as got:
            assert got.status == 415
    oauth.hubspot.rotates_refresh_tokens = True
    _, rotated = await oauth.token(**renew)
    assert rotated["refresh_token"] != tokens["refresh_token"]
    status, body = await oauth.token(**renew)
    assert (status, body["status"], body["error"]) == (400, "BAD_REFRESH_TOKEN", "invalid_grant")
    assert body["message"] == "refresh token is invalid, expired or revoked"


async def test_a_wrong_client_a_wrong_grant_and_a_lost_account_have_different_errors(oauth):
    _, tokens = await oauth.exchange(await oauth.code())
    renew = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    _, body = await oauth.token(**{**renew, "client_secret": "no"})
    assert (body["error"], body["status"]) == ("invalid_client", "BAD_CLIENT_SECRET")
    _, body = await oauth.token(**{**renew, "client_id": "no"})
    assert (body["error"], body["status"]) == ("invalid_client", "BAD_CLIENT_ID")
    assert (await oauth.token(grant_type="password"))[1]["status"] == "BAD_GRANT_TYPE"
    levers = {"removePortal": 101}
    assert (await oauth.app.request("POST", "/_sandbox/levers", levers)).status == 204
    _, body = await oauth.token(**renew)
    assert (body["error"], body["status"]) == ("access_denied", "BAD_HUB")


async def test_a_revoked_refresh_token_leaves_access_tokens_and_an_uninstall_does_not(oauth):
    tokens = [(await oauth.exchange(await oauth.code()))[1] for _ in range(2)]
    client = {"client_id": "c", "client_secret": "s"}
    url = f"{oauth.hubspot.url}/oauth/2026-09/token/revoke"
    form = {**client, "token": tokens[0]["refresh_token"]}
    async with oauth.app.session.post(url, data=form) as got:
        assert got.status == 200
    oauth.app.token = tokens[0]["access_token"]
    assert (await oauth.app.request("GET", "/account-info/v3/details")).status == 200
    assert (await oauth.app.request("DELETE", "/appinstalls/v3/external-install")).status == 204
    for each in tokens:
        oauth.app.token = each["access_token"]
        assert (await oauth.app.request("GET", "/account-info/v3/details")).status == 401
    renew = {"grant_type": "refresh_token", "refresh_token": tokens[1]["refresh_token"]}
    assert (await oauth.token(**renew))[1]["status"] == "BAD_REFRESH_TOKEN"
    introspect = url.replace("revoke", "introspect")
    form = {**client, "token": tokens[1]["access_token"]}
    async with oauth.app.session.post(introspect, data=form) as got:
        assert (got.status, await got.json()) == (200, {"active": False})

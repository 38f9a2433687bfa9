"""The sandbox Salesforce gives, renews and refuses tokens as Salesforce does."""

import asyncio
import json
import re

import pytest

from tests.sandbox.salesforce.client import ADA, CALLBACK, VERIFIER

DAY_S = 86_400


async def test_a_consent_page_has_allow_and_deny_and_only_the_page_may_decide(salesforce):
    page = await salesforce.send(
        "GET",
        salesforce.running.login_url + "/services/oauth2/authorize",
        params={
            "client_id": "app",
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "state": "s1",
            "code_challenge": "x" * 43,
        },
    )
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.body))
    url = salesforce.running.login_url + "/_sandbox/consent"
    denied = await salesforce.send("POST", url, data={**fields, "decision": "deny"})
    allowed = await salesforce.send(
        "POST", url, data={**fields, "decision": "allow", "username": ADA}
    )
    foreign = await salesforce.send(
        "POST",
        url,
        data={**fields, "decision": "allow", "username": ADA},
        headers={"Origin": "https://evil.example"},
    )

    assert [name in page.body for name in (">Allow<", ">Deny<", ADA)] == [True] * 3
    assert denied.headers["Location"] == (
        f"{CALLBACK}?error=access_denied&error_description=end-user%20denied%20authorization&state=s1"
    )
    assert "code=aPrx" in allowed.headers["Location"]
    assert "%3D%3D&state=s1" in allowed.headers["Location"]
    assert foreign.status == 403


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "api everything"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
)
async def test_a_wrong_authorize_request_comes_back_with_its_error(salesforce, changes, error):
    back = await salesforce.authorize(**changes)

    assert back["error"] == error
    assert back["state"] == "s1"
    assert "code" not in back


@pytest.mark.parametrize(
    "changes", [{"client_id": "nobody"}, {"redirect_uri": "https://evil.example"}]
)
async def test_an_unknown_app_or_callback_never_sends_the_browser_anywhere(salesforce, changes):
    assert await salesforce.authorize(**changes) is None


async def test_a_token_answer_names_the_instance_and_no_lifetime(salesforce):
    tokens = await salesforce.connect()

    assert tokens["instance_url"] == salesforce.running.url
    assert tokens["id"].startswith(f"{salesforce.running.login_url}/id/00D")
    assert tokens["token_type"] == "Bearer"
    assert tokens["issued_at"].isdigit()
    assert tokens["scope"] == "api refresh_token"
    assert "expires_in" not in tokens


@pytest.mark.parametrize(
    ("form", "error", "description"),
    [
        ({"code": "aPrxnothing=="}, "invalid_grant", "expired authorization code"),
        ({"code_verifier": "another"}, "invalid_grant", "invalid code verifier"),
        (
            {"redirect_uri": "https://else.example"},
            "redirect_uri_mismatch",
            "redirect_uri must match configuration",
        ),
        ({"client_secret": "wrong"}, "invalid_client", "invalid client credentials"),
        ({"client_id": "nobody"}, "invalid_client_id", "client identifier invalid"),
        ({"grant_type": "password"}, "unsupported_grant_type", "grant type not supported"),
    ],
)
async def test_a_refused_exchange_says_why(salesforce, form, error, description):
    code = (await salesforce.authorize())["code"]

    got = await salesforce.exchange(**{"code": code, **form})

    assert (got.status, got.body) == (400, {"error": error, "error_description": description})


async def test_a_code_serves_once_and_for_fifteen_minutes(salesforce):
    first = (await salesforce.authorize())["code"]
    used = [(await salesforce.exchange(first)).status for _ in range(2)]
    late = (await salesforce.authorize())["code"]
    salesforce.world.ahead += 15 * 60

    assert used == [200, 400]
    assert (await salesforce.exchange(late)).body[
        "error_description"
    ] == "expired authorization code"


async def test_sandbox_users_log_in_at_the_test_host_only(salesforce):
    """3.11.13."""
    made = await salesforce.control(
        "/orgs", {"name": "trial", "sandbox": True, "admin": "ada@acme.example.trial"}
    )
    login, test = salesforce.running.login_url, salesforce.running.test_url

    refused = await salesforce.authorize(login, "ada@acme.example.trial")
    tokens = await salesforce.connect("ada@acme.example.trial", test)
    elsewhere = await salesforce.refresh(tokens["refresh_token"], login)
    home = await salesforce.refresh(tokens["refresh_token"], test)

    assert refused is None
    assert await salesforce.authorize(test, ADA) is None
    assert tokens["instance_url"] == made["instanceUrl"] != salesforce.running.url
    assert tokens["id"].startswith(test)
    assert (elsewhere.status, home.status) == (400, 200)


async def test_a_refresh_rotates_and_a_spent_token_ends_the_connection(salesforce):
    """3.11.2, 3.11.3."""
    first = await salesforce.connect()
    second = (await salesforce.refresh(first["refresh_token"])).body
    alive = await salesforce.call("GET", "/limits", token=second["access_token"])
    reused = await salesforce.refresh(first["refresh_token"])
    after = await salesforce.refresh(second["refresh_token"])
    dead = await salesforce.call("GET", "/limits", token=second["access_token"])

    assert second["refresh_token"] != first["refresh_token"]
    assert alive.status == 200
    assert [each.body["error_description"] for each in (reused, after)] == [
        "expired access/refresh token"
    ] * 2
    assert (dead.status, dead.code) == (401, "INVALID_SESSION_ID")


async def test_without_reuse_detection_a_spent_token_harms_nothing(salesforce):
    salesforce.world.levers.reuse_detection = False
    first = await salesforce.connect()
    second = (await salesforce.refresh(first["refresh_token"])).body

    assert (await salesforce.refresh(first["refresh_token"])).status == 400
    assert (await salesforce.refresh(second["refresh_token"])).status == 200


async def test_without_rotation_one_refresh_token_serves_and_is_not_repeated(salesforce):
    salesforce.world.levers.rtr = False
    first = await salesforce.connect()

    answers = [await salesforce.refresh(first["refresh_token"]) for _ in range(2)]

    assert [each.status for each in answers] == [200, 200]
    assert not any("refresh_token" in each.body for each in answers)


async def test_a_concurrent_refresh_is_refused_without_harm(salesforce):
    """3.11.4."""
    tokens = await salesforce.connect()
    salesforce.world.levers.refresh_seconds = 0.2

    answers = await asyncio.gather(*(salesforce.refresh(tokens["refresh_token"]) for _ in range(3)))

    assert sorted(each.status for each in answers) == [200, 400, 400]
    renewed = next(each for each in answers if each.status == 200)
    refused = next(each for each in answers if each.status == 400)
    assert refused.body == {
        "error": "invalid_request",
        "error_description": "Token request is already being processed.",
    }
    assert (await salesforce.refresh(renewed.body["refresh_token"])).status == 200


async def test_concurrent_refreshes_end_the_connection_where_only_reuse_is_watched(salesforce):
    """3.11.3: what two workers do to each other."""
    tokens = await salesforce.connect()
    await salesforce.control(
        "/levers", {"concurrent_refresh_refused": False, "refresh_seconds": 0.1}
    )

    answers = await asyncio.gather(*(salesforce.refresh(tokens["refresh_token"]) for _ in range(2)))

    renewed = next(each for each in answers if each.status == 200)
    assert sorted(each.status for each in answers) == [200, 400]
    assert (await salesforce.refresh(renewed.body["refresh_token"])).status == 400


async def test_a_lost_answer_to_a_refresh_has_rotated_all_the_same(salesforce):
    tokens = await salesforce.connect()
    await salesforce.control(
        "/faults", {"path": "/services/oauth2/token", "kind": "lose-answer", "times": 1}
    )

    with pytest.raises(Exception, match="disconnected"):
        await salesforce.refresh(tokens["refresh_token"])

    assert (await salesforce.refresh(tokens["refresh_token"])).status == 400
    assert salesforce.world.counters["reuses"] == 1


async def test_thirty_idle_days_end_a_refresh_token_and_a_use_starts_them_again(salesforce):
    tokens = await salesforce.connect()
    salesforce.world.ahead += 29 * DAY_S
    renewed = (await salesforce.refresh(tokens["refresh_token"])).body
    salesforce.world.ahead += 29 * DAY_S
    again = (await salesforce.refresh(renewed["refresh_token"])).body
    salesforce.world.ahead += 31 * DAY_S

    assert (await salesforce.refresh(again["refresh_token"])).status == 400


async def test_a_session_lives_while_it_is_used(salesforce):
    await salesforce.connect()
    statuses = []
    for minutes in (70, 70, 130):
        salesforce.world.ahead += minutes * 60
        statuses.append((await salesforce.call("GET", "/limits")).status)

    assert statuses == [200, 200, 401]


async def test_the_sixth_approval_ends_the_oldest(salesforce):
    grants = [await salesforce.connect() for _ in range(6)]

    statuses = [(await salesforce.refresh(each["refresh_token"])).status for each in grants]

    assert statuses == [400, 200, 200, 200, 200, 200]


async def test_client_credentials_work_on_my_domain_only_and_act_as_the_run_as_user(salesforce):
    sent = {"grant_type": "client_credentials"}
    elsewhere = await salesforce.request_token(**sent)
    home = await salesforce.request_token(salesforce.running.url, **sent)
    salesforce.world.apps["app"].run_as = None
    without_user = await salesforce.request_token(salesforce.running.url, **sent)

    assert elsewhere.body["error_description"] == "request not supported on this domain"
    assert without_user.body["error_description"] == "no client credentials user enabled"
    assert "refresh_token" not in home.body
    assert home.body["api_instance_url"] == salesforce.running.url
    assert (await salesforce.call("GET", "/limits", token=home.body["access_token"])).status == 200


@pytest.mark.parametrize(
    ("lever", "description"),
    [
        ("inactive", "inactive user"),
        ("ip_restricted", "ip restricted"),
        ("logins", "login rate exceeded"),
    ],
)
async def test_an_admin_can_stop_refreshes(salesforce, lever, description):
    tokens = await salesforce.connect()
    if lever == "inactive":
        await salesforce.control("/users", {"username": ADA, "active": False})
    else:
        await salesforce.control(
            "/levers", {"ip_restricted": lever == "ip_restricted", "logins_per_hour": 1}
        )

    got = await salesforce.refresh(tokens["refresh_token"])

    assert got.body["error_description"] == description


async def test_an_app_that_is_not_installed_is_for_admins_only(salesforce):
    await salesforce.control("/users", {"username": "grace@acme.example"})
    app = salesforce.world.apps["app"]
    app.installed = False
    blocked = await salesforce.authorize(username="grace@acme.example")
    app.installed, app.self_authorize = True, False
    unapproved = await salesforce.authorize(username="grace@acme.example")
    app.approved.add("grace@acme.example")

    assert blocked is None
    assert unapproved is None
    assert "code" in await salesforce.authorize(username="grace@acme.example")


async def test_introspection_shows_the_state_of_a_token(salesforce):
    tokens = await salesforce.connect()
    url = salesforce.running.url + "/services/oauth2/introspect"
    credentials = {"client_id": "app", "client_secret": "app-secret"}

    async def introspect(token):
        return (await salesforce.send("POST", url, data={**credentials, "token": token})).body

    access, refresh = (
        await introspect(tokens["access_token"]),
        await introspect(tokens["refresh_token"]),
    )
    nothing = await introspect("00D!none")
    stranger = await salesforce.send(
        "POST", url, data={"token": tokens["access_token"], "client_id": "app"}
    )

    assert (access["active"], access["username"], access["token_type"]) == (
        True,
        ADA,
        "access_token",
    )
    assert access["exp"] - access["iat"] == 7200
    assert (refresh["active"], refresh["token_type"]) == (True, "refresh_token")
    assert nothing == {"active": False}
    assert stranger.body["error"] == "invalid_client"


async def test_revoking_a_refresh_token_ends_its_sessions_and_revoking_a_session_only_itself(
    salesforce,
):
    first, second = await salesforce.connect(), await salesforce.connect()
    url = salesforce.running.login_url + "/services/oauth2/revoke"

    session = await salesforce.send("POST", url, data={"token": first["access_token"]})
    renewed = await salesforce.refresh(first["refresh_token"])
    grant = await salesforce.send("POST", url, data={"token": second["refresh_token"]})

    assert (session.status, session.body) == (200, "")
    assert (await salesforce.call("GET", "/limits", token=first["access_token"])).status == 401
    assert renewed.status == 200
    assert grant.status == 200
    assert (await salesforce.call("GET", "/limits", token=second["access_token"])).status == 401
    assert (
        await salesforce.send("POST", url, data={"token": second["refresh_token"]})
    ).status == 400


async def test_identity_and_userinfo_name_the_user_who_connected(salesforce):
    tokens = await salesforce.connect()
    sent = {"Authorization": f"Bearer {tokens['access_token']}"}

    identity = (await salesforce.send("GET", tokens["id"], headers=sent)).body
    info = (
        await salesforce.send(
            "GET", salesforce.running.url + "/services/oauth2/userinfo", headers=sent
        )
    ).body
    stranger = await salesforce.send("GET", tokens["id"], headers={"Authorization": "Bearer x"})

    assert (identity["username"], identity["organization_id"]) == (ADA, salesforce.org.id)
    assert info["sub"] == tokens["id"] == identity["id"]
    assert (stranger.status, stranger.body) == (403, "Bad_OAuth_Token")


async def test_without_the_scope_api_a_session_reads_nothing(salesforce):
    await salesforce.connect(scope="openid refresh_token")

    got = await salesforce.call("GET", "/limits")

    assert (got.status, got.body[0]["message"]) == (
        401,
        "This session is not valid for use with the REST API",
    )


async def test_an_org_that_moves_answers_at_its_new_address_only(salesforce):
    tokens = await salesforce.connect()
    moved = (await salesforce.control("/orgs/acme/move"))["instanceUrl"]

    old = await salesforce.call("GET", "/limits")
    new = await salesforce.call("GET", "/limits", url=moved)
    renewed = await salesforce.refresh(tokens["refresh_token"])

    assert (old.status, old.code) == (404, "URL_NOT_RESET")
    assert new.status == 200
    assert renewed.body["instance_url"] == moved


async def test_a_form_in_chunks_is_read_and_json_is_not(salesforce):
    code = (await salesforce.authorize())["code"]
    form = f"grant_type=authorization_code&client_id=app&client_secret=app-secret&code={code.replace('=', '%3D')}&redirect_uri={CALLBACK}&code_verifier={VERIFIER}"

    async def chunks():
        for begin in range(0, len(form), 10):
            yield form[begin : begin + 10].encode()

    url = salesforce.running.login_url + "/services/oauth2/token"
    as_json = await salesforce.send("POST", url, json={"grant_type": "authorization_code"})
    chunked = await salesforce.send(
        "POST", url, data=chunks(), headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert (as_json.status, as_json.body["error"]) == (400, "invalid_request")
    assert chunked.status == 200


async def test_requests_are_shown_without_their_secrets(salesforce):
    tokens = await salesforce.connect()
    await salesforce.call("GET", "/limits")
    await salesforce.refresh(tokens["refresh_token"])

    shown = json.dumps(await salesforce.control("/requests", method="GET"))
    page = (await salesforce.send("GET", salesforce.running.url + "/")).body

    for secret in ("app-secret", tokens["access_token"], tokens["refresh_token"], VERIFIER):
        assert secret not in shown
        assert secret not in page
    assert "sha256:" in shown

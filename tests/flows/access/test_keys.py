"""Who may call."""

import asyncio
import base64
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from broker.domain.model import PolicyRule
from broker.errors import NotAllowed
from tests.until import until


def basic(client_id, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def token(broker, **form):
    token_form = {
        "grant_type": "client_credentials",
        "client_id": broker.client_id,
        "client_secret": broker.key,
        "audience": "https://stackgo.prod.api",
        **form,
    }
    answer = await broker.asks("POST", "/oauth/token", key="", data=token_form)
    if answer.status == 200:
        broker.secrets.append(answer.json()["access_token"])
    return answer


async def test_a_key_proves_itself_in_three_ways(broker):
    issued = (await token(broker)).json()

    answers = [
        await broker.asks("GET", "/api/apps"),
        await broker.asks("GET", "/api/apps", key="", headers=basic(broker.client_id, broker.key)),
        await broker.asks("GET", "/api/apps", key=issued["access_token"]),
    ]

    assert [answer.status for answer in answers] == [200, 200, 200]
    assert issued["token_type"] == "Bearer"
    assert issued["expires_in"] == 86400
    assert "proxy" in issued["scope"].split()


async def test_a_token_can_be_asked_for_as_json_and_with_basic(broker):
    as_json = await broker.asks(
        "POST",
        "/oauth/token",
        key="",
        json={
            "grant_type": "client_credentials",
            "client_id": broker.client_id,
            "client_secret": broker.key,
        },
    )
    with_basic = await broker.asks(
        "POST",
        "/oauth/token",
        key="",
        data={"grant_type": "client_credentials", "scope": "proxy"},
        headers=basic(broker.client_id, broker.key),
    )

    assert as_json.status == 200
    assert with_basic.json()["scope"] == "proxy"
    assert as_json.headers["Cache-Control"] == "no-store"
    broker.secrets += [as_json.json()["access_token"], with_basic.json()["access_token"]]


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "bc_" + "0" * 32 + "x"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "everything"}, 400, "invalid_scope"),
    ],
)
async def test_a_token_is_refused_as_oauth_says(broker, form, status, error):
    answer = await token(broker, **form)

    assert (answer.status, answer.json()["error"]) == (status, error)


async def test_a_scope_that_the_key_lacks_is_not_issued_away(broker):
    issued = await broker.parts.keys.create(UUID(broker.workspace), "x", ("proxy",), None)
    broker.secrets.append(issued.client_secret.reveal())

    answer = await token(
        broker,
        client_id=issued.key.client_id,
        client_secret=issued.client_secret.reveal(),
        scope="apps",
    )

    assert answer.json()["error"] == "invalid_scope"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer bs_" + "0" * 32 + "x" * 43,
        "Bearer pat-na1-something",
        "Basic !!!",
        "Basic " + base64.b64encode(b"a:b").decode(),
        "Digest x",
        "Bearer " + "x" * 5000,
    ],
)
async def test_no_key_or_a_bad_one_is_refused(broker, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}

    answer = await broker.asks("GET", "/api/apps", key="", headers=headers)

    assert (answer.status, answer.code) == (401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_client_id_must_belong_to_its_secret(broker):
    other = await broker.makes_key("apps")

    answer = await broker.asks("GET", "/api/apps", key="", headers=basic(broker.client_id, other))

    assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/apps", "apps"),
        ("GET", "/api/hubspot/auth/hbdev?userForeignIdentifier=u1", "connect"),
        ("GET", "/api/saas-org-user/get-users/hbdev", "connect"),
        ("GET", "/api/apps/hbdev/connections", "connect"),
        ("GET", "/proxy/hbdev/u1/crm/v3/objects/contacts", "proxy"),
        ("POST", "/proxy/hbdev/u1/crm/v3/objects/contacts", "proxy"),
    ],
)
async def test_a_key_without_the_scope_learns_which_one_it_lacks(broker, method, path, scope):
    key = await broker.makes_key("audit")

    answer = await broker.asks(method, path, key=key)

    assert (answer.status, answer.code) == (403, "not-allowed")
    assert scope in answer.json()["detail"]


async def test_a_key_for_some_apps_knows_no_others(broker):
    await broker.registers("other")
    key = await broker.makes_key("apps", "connect", "proxy", apps=("hbdev",))

    for path in ["/api/apps/{}", "/api/apps/{}/connections", "/proxy/{}/u1/crm/v3/x"]:
        limited = await broker.asks("GET", path.format("other"), key=key)
        unknown = await broker.asks("GET", path.format("nope"), key=key)
        assert (limited.status, limited.code) == (404, "app-not-found")
        assert {**limited.json(), "requestId": 0} == {**unknown.json(), "requestId": 0}
    listed = await broker.asks("GET", "/api/apps", key=key)
    assert [app["slug"] for app in listed.json()["apps"]] == ["hbdev"]


@pytest.mark.parametrize("listener", ["is connected", "is cut"])
async def test_a_revoked_key_stops_everywhere_within_five_seconds(
    broker, second_broker, database, clock, listener
):
    """U9."""
    issued = await broker.parts.keys.create(UUID(broker.workspace), "x", ("apps",), None)
    key = issued.client_secret.reveal()
    broker.secrets.append(key)
    assert (await second_broker.asks("GET", "/api/apps", key=key)).status == 200
    if listener == "is connected":
        await broker.parts.keys.revoke(issued.key.id)
    else:
        await database.execute("UPDATE api_key SET revoked_at = now() WHERE id = $1", issued.key.id)
        assert (await second_broker.asks("GET", "/api/apps", key=key)).status == 200
        clock.at += 5.0

    async def refuses():
        return (await second_broker.asks("GET", "/api/apps", key=key)).status == 401

    # Where the listener is connected the clock stands still: only its notification can do it.
    await until(refuses)


async def test_only_hashes_of_keys_are_stored(broker, database):
    """U7."""
    stored = str(await database.fetch("SELECT api_key::text FROM api_key"))

    assert broker.key not in stored
    assert broker.key.encode().hex() not in stored


async def key_named(broker, name):
    keys = await broker.parts.keys.of_workspace(UUID(broker.workspace))
    return next(key for key in keys if key.name == name)


async def changes(broker, key, **what):
    """Change a key behind the API, as the console and the command line do."""
    limits = {
        "name": key.name,
        "scopes": key.scopes,
        "app_slugs": key.app_slugs,
        "policy": key.policy,
    }
    async with broker.parts.keys.lock(key.id) as locked:
        changed = await locked.change("operator", **{**limits, **what})
    broker.parts.invalidate_caches()
    return changed


async def test_a_changed_key_gains_and_loses_scopes_with_the_same_secret(broker):
    secret = await broker.makes_key("apps")
    key = await key_named(broker, "another")

    assert (await broker.asks("GET", "/api/apps/hbdev/calls", key=secret)).status == 403
    await changes(broker, key, scopes=("calls",))

    assert (await broker.asks("GET", "/api/apps/hbdev/calls", key=secret)).status == 200
    assert (await broker.asks("GET", "/api/apps", key=secret)).status == 403


async def test_an_access_token_loses_what_its_key_loses(broker):
    workspace = UUID(broker.workspace)
    issued = await broker.parts.keys.create(workspace, "x", ("apps", "calls"), None)
    pair = {
        "client_id": issued.key.client_id,
        "client_secret": issued.client_secret.reveal(),
        "grant_type": "client_credentials",
    }
    broker.secrets.append(pair["client_secret"])
    token = (await broker.asks("POST", "/oauth/token", key="", json=pair)).json()["access_token"]
    broker.secrets.append(token)

    await changes(broker, issued.key, scopes=("calls", "audit"))

    assert (await broker.asks("GET", "/api/apps", key=token)).status == 403
    assert (await broker.asks("GET", "/api/audit", key=token)).status == 403
    assert (await broker.asks("GET", "/api/apps/hbdev/calls", key=token)).status == 200


async def test_the_last_key_that_manages_keys_can_be_neither_revoked_nor_narrowed(broker):
    first = await key_named(broker, "first")
    await broker.makes_key("apps", "console", apps=("hbdev",))

    with pytest.raises(NotAllowed, match="last key that can manage keys"):
        await broker.parts.keys.revoke(first.id)
    for narrower in (
        {"scopes": ("apps", "proxy")},
        {"app_slugs": ("hbdev",)},
        {"policy": (PolicyRule(("GET",), "/*"),)},
    ):
        with pytest.raises(NotAllowed):
            await changes(broker, first, **narrower)
    assert (await changes(broker, first, scopes=("apps", "console"))).scopes == ("apps", "console")
    await broker.makes_key("apps", "console")
    await broker.parts.keys.revoke(first.id)

    broker.parts.invalidate_caches()
    assert (await broker.asks("GET", "/api/apps")).status == 401


async def test_of_two_last_keys_revoked_at_once_one_stays(broker):
    first = await key_named(broker, "first")
    await broker.makes_key("apps", "console")
    second = await key_named(broker, "another")

    outcomes = await asyncio.gather(
        broker.parts.keys.revoke(first.id),
        broker.parts.keys.revoke(second.id),
        return_exceptions=True,
    )

    assert sorted(type(each).__name__ for each in outcomes) == ["NoneType", "NotAllowed"]


async def test_a_workspace_never_stands_without_its_first_key(broker, database):
    """A crash between the two would leave a workspace that nobody can enter."""
    await database.execute(
        "ALTER TABLE api_key ADD CONSTRAINT nothing_new CHECK (name <> 'first') NOT VALID"
    )

    with pytest.raises(asyncpg.CheckViolationError):
        await broker.parts.keys.create_workspace("half")
    await database.execute("ALTER TABLE api_key DROP CONSTRAINT nothing_new")

    assert await database.fetchval("SELECT count(*) FROM workspace WHERE name = 'half'") == 0


@pytest.mark.parametrize(
    "path", ["/api/apps", "/oauth/token", "/proxy/hbdev/u1/crm/v3/x", "/api/raw/hbdev"]
)
@pytest.mark.parametrize(
    "authorization",
    [
        b"Basic \xff",
        b"Basic " + base64.b64encode(b"\xff:\xff"),
        b"Basic",
        b"\xff",
        b"Bearer \xff",
        b"Basic " + base64.b64encode(b"a"),
    ],
)
async def test_bytes_that_are_no_credential_are_refused_and_no_fault_of_the_broker(
    broker, caplog, path, authorization
):
    """2.14."""
    method = "GET" if path in {"/api/apps", "/proxy/hbdev/u1/crm/v3/x"} else "POST"
    form = "grant_type=client_credentials"
    status, head = await speaks(
        broker,
        method,
        path,
        b"Authorization: " + authorization,
        b"Content-Type: application/x-www-form-urlencoded",
        body=form.encode(),
    )

    assert status == 401, head
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"grant_type": "client_credentials", "client_id": "x", "client_secret": "\\ud800"}',
        b'{"grant_type": "client_credentials", "client_id": "\\ud800", "client_secret": "x"}',
    ],
)
async def test_a_client_of_half_characters_is_refused(broker, body):
    """2.14."""
    answer = await broker.asks(
        "POST", "/oauth/token", key="", data=body, headers={"Content-Type": "application/json"}
    )
    known = body.replace(b'"x"', f'"{broker.client_id}"'.encode(), 1)
    again = await broker.asks(
        "POST", "/oauth/token", key="", data=known, headers={"Content-Type": "application/json"}
    )

    assert [answer.status, again.status] == [401, 401]


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_browser_does_not_act_for_another_site_with_a_remembered_password(broker, site):
    """2.12: a form of any page, with the Basic credentials that a browser keeps."""
    await broker.connects("u1")
    form = {"method": "GET", "url": "/crm/v3/objects/contacts", "userForeignIdentifier": "u1"}
    headers = {**basic(broker.client_id, broker.key), "Origin": "https://evil.example"}
    for method, path in [
        ("POST", "/api/raw/hbdev"),
        ("GET", "/api/apps"),
        ("GET", "/proxy/hbdev/u1/crm/v3/objects/contacts"),
        ("POST", "/oauth/token"),
    ]:
        crossing = {**headers, "Sec-Fetch-Site": site}
        data = form if method == "POST" else None
        answer = await broker.asks(method, path, key="", headers=crossing, data=data)
        assert (answer.status, answer.code) == (403, "origin-refused"), path

    own = {**basic(broker.client_id, broker.key), "Sec-Fetch-Site": "same-origin"}
    assert (await broker.asks("GET", "/api/apps", key="", headers=own)).status == 200
    assert (
        await broker.asks(
            "POST", "/api/raw/hbdev", key="", headers={**own, "Sec-Fetch-Site": "none"}, data=form
        )
    ).status == 200


async def test_browsers_are_not_asked_for_a_password(broker):
    """2.12: who types an id and a secret into a browser arms every page against themselves."""
    for path in ("/api/apps", "/proxy/hbdev/u1/crm/v3/x", "/api/raw/hbdev"):
        answer = await broker.asks("POST" if "raw" in path else "GET", path, key="")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="broker"'


async def speaks(broker, method, path, *headers, body=b""):
    """One request over a bare socket: its status and what came back."""
    host, port = urlsplit(broker.url).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = [f"{method} {path} HTTP/1.1".encode(), b"Host: x", b"Connection: close", *headers]
    if method == "POST":
        head.append(f"Content-Length: {len(body)}".encode())
    writer.write(b"\r\n".join(head) + b"\r\n\r\n" + (body if method == "POST" else b""))
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return int(answer.split(b" ")[1]), answer


async def test_a_key_shows_when_it_was_used_last_by_itself_or_by_a_token_made_from_it(broker):
    secret, unused = await broker.makes_key("apps"), await broker.makes_key("proxy")
    form = {"grant_type": "client_credentials"}

    await broker.asks("GET", "/api/apps", key=secret)
    await broker.asks("GET", "/api/apps", key=unused[:-1])  # a wrong guess is no use of it
    await broker.parts.keys.flush_last_used()
    shown = await broker.parts.keys.of_workspace(UUID(broker.workspace))
    client = basic(shown[2].client_id, unused)
    minted = await broker.asks("POST", "/oauth/token", key="", data=form, headers=client)
    await broker.parts.keys.flush_last_used()
    later = await broker.parts.keys.of_workspace(UUID(broker.workspace))

    assert minted.status == 200
    assert [key.last_used_at is not None for key in shown] == [True, True, False]
    assert all(key.last_used_at is not None for key in later)
    assert later[1].last_used_at == shown[1].last_used_at

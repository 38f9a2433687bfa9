"""The console over HTTP: who is let in, what they may, and what other sites cannot make them do."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from broker.domain.model import PolicyRule
from broker.domain.uuid7 import uuid7
from broker.errors import code_titles
from broker.recipes import panels
from broker.recipes.catalog import RECIPES
from broker.web.console.routes import TABLE

HTML = "<img src=x onerror=alert(1)>"


async def signs_in(broker, key=None, **form):
    """The cookie of a fresh sign-in."""
    key = key or broker.key
    answer = await broker.asks(
        "POST",
        "/console/sign-in",
        key="",
        data={"key": key, **form},
        headers={"Origin": broker.url},
    )
    assert answer.status == 303, answer.body
    cookie = answer.headers["Set-Cookie"].partition(";")[0]
    broker.secrets.append(cookie.partition("=")[2])
    return cookie


async def sees(broker, path, cookie, method="GET", **rest):
    headers = {"Cookie": cookie, "Origin": broker.url, **rest.pop("headers", {})}
    return await broker.asks(method, f"/console{path}", key="", headers=headers, **rest)


async def test_nobody_sees_anything_unsigned(broker):
    pages = [path.format(slug="hbdev") for method, path, _ in TABLE if method == "GET"]
    for path in set(pages) - {"/sign-in"}:
        answer = await broker.asks("GET", f"/console{path}", key="")
        assert answer.status == 303
        assert urlsplit(answer.headers["Location"]).path == "/console/sign-in"
    part = await broker.asks("GET", "/console/apps", key="", headers={"HX-Request": "true"})
    assert part.headers["HX-Redirect"].startswith("/console/sign-in")


async def test_a_key_signs_in_when_it_may(broker):
    without = await broker.makes_key("apps", "connect")
    token = (
        await broker.asks(
            "POST",
            "/oauth/token",
            key="",
            data={
                "grant_type": "client_credentials",
                "client_id": broker.client_id,
                "client_secret": broker.key,
                "scope": "console",
            },
        )
    ).json()["access_token"]
    broker.secrets.append(token)

    for key, status in [("", 401), ("bs_nothing", 401), (token, 401), (without, 403)]:
        answer = await broker.asks(
            "POST", "/console/sign-in", key="", data={"key": key}, headers={"Origin": broker.url}
        )
        assert answer.status == status
        assert "Set-Cookie" not in answer.headers
        assert not key or key.encode() not in answer.body
    assert (await sees(broker, "/apps", await signs_in(broker))).status == 200
    first, second = await broker.parts.keys.of_workspace(UUID(broker.workspace))

    async def sign_ins():
        query = {"action": "console.*", "limit": 100}
        found = await broker.asks("GET", "/api/audit", params=query)
        return [(each["action"], each["actor"], each["detail"]) for each in found.json()["entries"]]

    assert (await sign_ins())[0] == ("console.signed_in", str(first.id), None)
    await broker.parts.keys.revoke(second.id)
    wrong = f"bs_{first.workspace_id.hex}"
    for key in [without, f"bs_{UUID(int=7).hex}x", *[wrong] * 30]:
        await broker.asks(
            "POST", "/console/sign-in", key="", data={"key": key}, headers={"Origin": broker.url}
        )
    refused = [each for each in await sign_ins() if each[0] == "console.sign_in_refused"]
    assert refused[-1] == (
        "console.sign_in_refused",
        str(second.id),
        "the key lacks the scope console",
    )
    assert refused[-2] == ("console.sign_in_refused", str(second.id), "the key was revoked")
    assert refused[1] == ("console.sign_in_refused", "unknown", "no key has this secret")
    assert refused[0][2] == "no key has this secret; more of this hour are not recorded"
    assert len(refused) == 20, "who tries secrets does not fill the log"
    assert (await broker.parts.audit.verify(first.workspace_id)).broken is None


async def test_every_sign_in_is_new_and_ends(broker, database):
    """U15: no fixation; only hashes are stored."""
    first = await signs_in(broker)
    second = await signs_in(broker)

    assert first != second
    stored = await database.fetchval(
        "SELECT string_agg(operator_session::text, ' ') FROM operator_session"
    )
    assert first.partition("=")[2] not in stored
    await sees(broker, "/sign-out", first, "POST")
    assert (await sees(broker, "/apps", first)).status == 303
    assert (await sees(broker, "/apps", second)).status == 200
    await database.execute("UPDATE operator_session SET expires_at = now() - interval '1 second'")
    assert (await sees(broker, "/apps", second)).status == 303
    await broker.parts.operators.purge()
    assert await database.fetchval("SELECT count(*) FROM operator_session") == 0


async def test_a_revoked_key_is_out_at_once(broker):
    key = await broker.makes_key("console", "apps")
    cookie = await signs_in(broker, key)
    known = [
        each
        for each in await broker.parts.keys.of_workspace(UUID(broker.workspace))
        if each.name == "another"
    ]

    await broker.parts.keys.revoke(known[0].id)

    assert (await sees(broker, "/apps", cookie)).status == 303


async def test_the_cookie_is_ours_alone(start_broker):
    """U15."""
    broker = await start_broker(public_url="https://broker.example")
    await broker.makes_workspace()

    answer = await broker.asks(
        "POST",
        "/console/sign-in",
        key="",
        data={"key": broker.key},
        headers={"Origin": "https://broker.example"},
    )

    set_cookie = answer.headers["Set-Cookie"]
    broker.secrets.append(set_cookie.partition("=")[2].partition(";")[0])
    assert set_cookie.startswith("__Host-broker-console=co_")
    assert all(
        flag in set_cookie.lower() for flag in ["secure", "httponly", "path=/", "samesite=lax"]
    )


async def test_no_other_site_posts_for_an_operator(broker):
    """U15."""
    cookie = await signs_in(broker)
    rows = [*TABLE, *panels.table(RECIPES)]
    posts = [path.format(slug="hbdev") for method, path, *_ in rows if method == "POST"]
    assert "/kyb/settings" in posts

    for path in posts:
        for headers in [
            {},
            {"Origin": "null"},
            {"Origin": "https://evil.example"},
            {"Origin": broker.url, "Sec-Fetch-Site": "cross-site"},
            {"Origin": broker.url, "Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
        ]:
            answer = await broker.asks(
                "POST",
                f"/console{path}",
                key="",
                data={"key": broker.key, "slug": "hbdev"},
                headers={"Cookie": cookie, **headers},
            )
            assert answer.status == 403, (path, headers)
            assert answer.headers["Broker-Error"] == "origin-refused"
    assert (await broker.asks("GET", "/api/apps/hbdev")).status == 200
    assert (await sees(broker, "/apps", cookie)).status == 200


async def test_what_an_operator_may_is_what_the_key_may(broker):
    cookie = await signs_in(broker, await broker.makes_key("console", "connect"))

    home = await sees(broker, "", cookie)
    apps = await sees(broker, "/apps", cookie)

    assert b"Needs attention" in home.body
    assert b"Register an app" not in home.body + apps.body
    for method, path, form in [
        ("GET", "/register", None),
        ("POST", "/apps", {"slug": "x"}),
        ("POST", "/apps/hbdev", {"clientId": "x"}),
        ("POST", "/apps/hbdev/remove", {"slug": "hbdev"}),
        ("GET", "/keys", None),
        ("POST", "/keys", {"name": "x", "scopes": "apps"}),
        ("GET", "/playground", None),
        (
            "POST",
            "/playground",
            {"app": "hbdev", "user": "u1", "method": "GET", "path": "/crm/v3/objects/contacts"},
        ),
    ]:
        answer = await sees(broker, path, cookie, method, data=form)
        assert (answer.status, answer.headers["Broker-Error"]) == (403, "not-allowed"), path
    alone = await signs_in(broker, await broker.makes_key("console"))
    assert b"Your key can sign in and nothing else" in (await sees(broker, "", alone)).body


async def test_an_operator_of_one_app_does_not_see_another(broker):
    """U16: the same as what never existed."""
    await broker.connects("u1")
    await broker.registers("other")
    made = await broker.asks(
        "POST", "/api/apps/hbdev/endpoints", json={"url": "https://product.example/events"}
    )
    broker.secrets.append(made.json()["secret"])
    endpoint = made.json()["id"]
    cookie = await signs_in(
        broker,
        await broker.makes_key(
            "console", "apps", "connect", "proxy", "webhooks", "calls", "audit", apps=("other",)
        ),
    )

    assert b"hbdev" not in (await sees(broker, "/apps", cookie)).body
    assert b"hbdev" not in (await sees(broker, "/keys", cookie)).body
    for method, path, form in [
        ("GET", "/apps/{}", None),
        ("POST", "/apps/{}", {"clientId": "x"}),
        ("POST", "/apps/{}/check", {}),
        ("POST", "/apps/{}/remove", {"slug": "hbdev"}),
        ("GET", "/connections?app={}", None),
        ("GET", "/connection?app={}&user=u1", None),
        ("POST", "/connection/link", {"app": "{}", "user": "u1"}),
        ("POST", "/connection/renew", {"app": "{}", "user": "u1"}),
        ("POST", "/connection/delete", {"app": "{}", "user": "u1"}),
        ("POST", "/playground", {"app": "{}", "user": "u1", "method": "GET", "path": "/crm/v3/x"}),
        ("GET", "/calls?app={}", None),
        ("GET", "/calls/log?app={}", None),
        ("GET", "/events?app={}", None),
        ("GET", f"/event?app={{}}&id={endpoint}", None),
        ("GET", "/playground/users?app={}", None),
        ("GET", "/endpoints?app={}", None),
        ("POST", "/endpoints", {"app": "{}", "url": "https://product.example/"}),
        ("GET", f"/endpoint?app={{}}&id={endpoint}", None),
        ("POST", "/endpoint/test", {"app": "{}", "id": endpoint}),
        ("POST", "/endpoint/remove", {"app": "{}", "id": endpoint}),
        ("POST", "/endpoint/replay", {"app": "{}", "id": endpoint, "delivery": endpoint}),
    ]:

        async def answer(slug, method=method, path=path, form=form):
            filled = {name: value.format(slug) for name, value in (form or {}).items()}
            shown = await sees(broker, path.format(slug), cookie, method, data=filled or None)
            return shown.status, re.sub(rb"[0-9a-f]{32}", b"", shown.body)

        theirs, nobodys = await answer("hbdev"), await answer("nope")
        assert theirs == nobodys, path
        assert theirs[0] == 404, path
    assert (await broker.proxies()).status == 200


async def test_what_callers_wrote_is_never_markup(broker):
    """U15."""
    await broker.parts.keys.create(UUID(broker.workspace), HTML, ("console",), None)
    await broker.connects(HTML)
    cookie = await signs_in(broker)

    for path in [
        "/apps", "/apps/hbdev", "/keys", "/connections", f"/connections?app=hbdev&q={HTML}&status={HTML}",
        f"/connection?app=hbdev&user={HTML}", f"/connection?app=hbdev&user={HTML}{HTML}", f"/playground?app={HTML}&user={HTML}",
        f"/sign-in?next={HTML}", f"/connection?app={HTML}&user=x", f"/events?q={HTML}", "/events", f"/calls?user={HTML}&status={HTML}", f"/calls/log?app=hbdev&user={HTML}", f"/events?app={HTML}", "/endpoints", f"/endpoint?app=hbdev&id={HTML}",
    ]:  # fmt: skip
        answer = await sees(broker, path, cookie)
        assert b"<img" not in answer.body, path
        assert b"unsafe" not in answer.headers["Content-Security-Policy"].encode()
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    for form in [{"slug": HTML, "clientId": HTML, "returnUrls": HTML, "otherScopes": HTML}, {}]:
        answer = await sees(broker, "/apps", cookie, "POST", data=form)
        assert answer.status == 400
        assert b"<img" not in answer.body


async def test_after_signing_in_one_ends_in_the_console(broker):
    for back, where in [
        ("/console/apps/hbdev?x=1", "/console/apps/hbdev?x=1"),
        ("", "/console"),
        ("https://evil.example/", "/console"),
        ("//evil.example/console/", "/console/"),
        ("/console//evil.example", "/console"),
        ("/console/\\evil.example", "/console"),
        ("/consoleevil", "/console"),
        ("/console/\nx", "/console"),
    ]:
        answer = await broker.asks(
            "POST",
            "/console/sign-in",
            key="",
            data={"key": broker.key, "next": back},
            headers={"Origin": broker.url},
        )
        broker.secrets.append(answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0])
        assert answer.headers["Location"] == where, back


async def test_an_app_of_another_provider_has_its_options_in_the_console(broker):
    cookie = await signs_in(broker)
    form = [
        ("slug", "crm"), ("provider", "salesforce"), ("clientId", "c"), ("clientSecret", "canary-crm"),
        ("appId", ""), ("otherScopes", "api\nrefresh_token"), ("environment", "sandbox"),
    ]  # fmt: skip
    settings = [
        ("clientId", "c"),
        ("clientSecret", ""),
        ("otherScopes", "api"),
        ("environment", ""),
    ]

    wrong = await sees(broker, "/apps", cookie, "POST", data=[*form, ("myDomain", "acme.example")])
    made = await sees(broker, "/apps", cookie, "POST", data=[*form, ("myDomain", "")])
    page = await sees(broker, "/apps/crm", cookie)
    refused = await sees(
        broker, "/apps/crm", cookie, "POST", data=[*settings, ("myDomain", "acme.example")]
    )
    before = (await broker.asks("GET", "/api/apps/crm")).json()
    changed = await sees(
        broker, "/apps/crm", cookie, "POST", data=[*settings, ("myDomain", "acme")]
    )
    after = (await broker.asks("GET", "/api/apps/crm")).json()
    hubspots = await sees(broker, "/apps/hbdev", cookie)

    assert (wrong.status, refused.status) == (400, 400)
    assert b"must be a My Domain" in wrong.body
    assert b"must be a My Domain" in refused.body
    assert made.headers["Location"] == "/console/apps/crm"
    assert b"<option selected>sandbox</option>" in page.body
    assert b'name="appId"' not in page.body
    assert (before["provider"], before["environment"]) == ("salesforce", "sandbox")
    assert changed.status == 303
    assert (after["environment"], after["myDomain"]) == (None, "acme.my.salesforce.com")
    assert b'name="environment"' not in hubspots.body


async def test_an_app_is_registered_changed_checked_and_removed(broker, hubspot):
    cookie = await signs_in(broker)
    form = [
        ("slug", "Second"), ("clientId", "client-of-second"), ("clientSecret", "canary-second"), ("appId", "77"),
        ("scopes", "oauth"), ("scopes", "crm.objects.contacts.read"), ("otherScopes", "something.new\noauth"),
        ("returnUrls", "https://product.example/a\r\nhttps://product.example/b"), ("origins", "https://product.example"),
        ("optionalScopes", ""), ("confirm", "required"), ("pkce", "on"),
    ]  # fmt: skip

    made = await sees(broker, "/apps", cookie, "POST", data=form)
    again = await sees(broker, "/apps", cookie, "POST", data=form)
    unknown = await sees(broker, "/apps/second/check", cookie, "POST")
    hubspot.register_app("client-of-second", "canary-second", 77, ["oauth"], [], [])
    known = await sees(broker, "/apps/second/check", cookie, "POST")
    change = [
        ("clientId", "client-of-second"),
        ("clientSecret", ""),
        ("appId", "78"),
        ("scopes", "oauth"),
        ("confirm", "auto"),
    ]
    changed = await sees(broker, "/apps/second", cookie, "POST", data=change)
    wrong = await sees(
        broker, "/apps/second", cookie, "POST", data=[("appId", "x"), ("scopes", "oauth")]
    )

    assert made.headers["Location"] == "/console/apps/second"
    assert again.status == 409
    assert b"is taken by another app" in again.body
    assert b"canary-second" not in again.body
    assert b"rejects this Client Id" in unknown.body
    assert b"HubSpot accepts the Client Id" in known.body
    assert (changed.status, wrong.status) == (303, 400)
    app = (await broker.asks("GET", "/api/apps/second")).json()
    assert app["appId"] == "78"
    assert app["scopes"] == ["oauth"]
    assert app["returnUrls"] == []
    assert app["pkce"] is False
    assert (
        await sees(broker, "/apps/second/remove", cookie, "POST", data={"slug": "hbdev"})
    ).status == 400
    assert (
        await sees(broker, "/apps/second/remove", cookie, "POST", data={"slug": "second"})
    ).status == 303
    assert (await broker.asks("GET", "/api/apps/second")).status == 404


async def test_connections_are_found_renewed_and_ended(broker, hubspot, database):
    for user in ["jane", "joe%", "jim_"]:
        await broker.connects(user)
    cookie = await signs_in(broker)

    async def found(**query):
        page = await sees(broker, "/connections", cookie, params={"app": "hbdev", **query})
        return re.findall(r"<bdi>([^<]*)</bdi>", page.body.decode())

    assert await found() == ["jim_", "joe%", "jane"]
    assert await found(q="JAN") == ["jane"]
    assert await found(q="%") == ["joe%"]
    assert await found(q="_") == ["jim_"]
    assert await found(q="\\") == []
    assert await found(q="acme.example") == ["jim_", "joe%", "jane"]
    assert await found(status="REAUTH_REQUIRED") == []
    renewed = await sees(
        broker, "/connection/renew", cookie, "POST", data={"app": "hbdev", "user": "jane"}
    )
    assert renewed.status == 303
    assert hubspot.refreshes == 1
    await database.execute(
        "UPDATE connection_grant SET last_error = 'hubspot-unavailable' FROM connection WHERE id = connection_id AND user_ref = 'jim_'"
    )
    hubspot.revoke_grants(101)
    await sees(broker, "/connection/renew", cookie, "POST", data={"app": "hbdev", "user": "joe%"})
    listed = (await sees(broker, "/connections", cookie, params={"app": "hbdev"})).body.decode()
    one = await sees(broker, "/connection", cookie, params={"app": "hbdev", "user": "joe%"})
    for page in (listed, one.body.decode()):
        assert "uninstalled from the account, or its access was revoked there." in page
        assert "<code>BAD_REFRESH_TOKEN</code>" in page
    assert code_titles()["hubspot-unavailable"] in listed
    link = await sees(
        broker, "/connection/link", cookie, "POST", data={"app": "hbdev", "user": "new"}
    )
    state = re.search(r"state=([\w-]+)", link.body.decode())[1]
    broker.secrets.append(state)
    ended = await sees(
        broker, "/connection/delete", cookie, "POST", data={"app": "hbdev", "user": "jane"}
    )
    assert b"access was revoked" in ended.body
    assert (await broker.proxies(user="jane")).status == 404
    gone = await sees(
        broker, "/connection/renew", cookie, "POST", data={"app": "hbdev", "user": "jane"}
    )
    assert gone.headers["Broker-Error"] == "connection-not-found"


async def test_the_playground_calls_as_a_user_within_what_the_key_may(broker):
    await broker.connects("u 1")
    cookie = await signs_in(broker, await broker.makes_key("console", "proxy:read"))
    call = {
        "app": "hbdev",
        "user": "u 1",
        "method": "GET",
        "path": "/crm/v3/objects/contacts?limit=1",
        "body": "",
    }

    read = await sees(broker, "/playground", cookie, "POST", data=call)
    write = await sees(
        broker, "/playground", cookie, "POST", data={**call, "method": "POST", "body": "{}"}
    )
    away = await sees(
        broker, "/playground", cookie, "POST", data={**call, "path": "https://evil.example/"}
    )
    nobody = await sees(broker, "/playground", cookie, "POST", data={**call, "user": "x"})

    await broker.parts.call_log.flush()
    logged = (await broker.asks("GET", "/api/apps/hbdev/calls")).json()["calls"]
    assert read.headers["X-Request-Id"] in {call["requestId"] for call in logged}
    assert b"200 OK" in read.body
    assert "/proxy/hbdev/u%201/crm/v3/objects/contacts?limit=1" in read.body.decode()
    assert broker.key.encode() not in read.body
    assert [each.headers["Broker-Error"] for each in (write, away, nobody)] == [
        "not-allowed", "destination-refused", "connection-not-found",
    ]  # fmt: skip


async def test_nobody_gives_or_takes_more_than_they_have(broker):
    cookie = await signs_in(
        broker, await broker.makes_key("console", "apps", "proxy", apps=("hbdev",))
    )

    page = await sees(broker, "/keys", cookie)
    more = await sees(broker, "/keys", cookie, "POST", data=[("name", "x"), ("scopes", "connect")])
    elsewhere = await sees(
        broker,
        "/keys",
        cookie,
        "POST",
        data=[("name", "x"), ("scopes", "proxy"), ("apps", "other")],
    )
    created = await sees(broker, "/keys", cookie, "POST", data=[("name", "x"), ("scopes", "proxy")])
    first = next(
        key
        for key in await broker.parts.keys.of_workspace(UUID(broker.workspace))
        if key.name == "first"
    )
    revoked = await sees(
        broker, "/keys/revoke", cookie, "POST", data={"id": str(first.id), "sure": "yes"}
    )

    everywhere = await signs_in(broker, await broker.makes_key("console", "apps"))
    with_more = await sees(
        broker, "/keys/revoke", everywhere, "POST", data={"id": str(first.id), "sure": "yes"}
    )
    assert with_more.status == 404
    assert b">first<" not in (await sees(broker, "/keys", everywhere)).body
    assert b">first<" not in page.body
    assert [more.status, elsewhere.status] == [403, 403]
    secret = re.search(r'id="client-secret" value="(bs_[^"]+)"', created.body.decode())[1]
    broker.secrets.append(secret)
    assert (await broker.asks("GET", "/api/apps", key=secret)).status == 403
    assert revoked.status == 404
    assert (await broker.asks("GET", "/api/apps")).status == 200
    made = next(
        key
        for key in await broker.parts.keys.of_workspace(UUID(broker.workspace))
        if key.name == "x"
    )
    assert made.app_slugs == ("hbdev",)


async def test_every_setting_of_an_app_is_in_its_form(broker):
    """What the API knows of an app the console shows, keeps and changes."""
    cookie = await signs_in(broker)
    more = {
        "displayName": "Acme & Söhne",
        "logoUrl": "https://product.example/logo.svg",
        "installUrl": "https://product.example/connect",
    }
    form = [
        ("slug", "second"), ("clientId", "c"), ("clientSecret", "canary-second"), ("appId", "77"), ("scopes", "oauth"),
        ("policy", "GET,POST /crm/v3/objects/contacts*\r\nDELETE /crm/v3/objects/deals/*\r\n"),
        ("journal", "on"), ("legacySignatures", "on"), ("marketplace", "on"), *more.items(),
    ]  # fmt: skip

    made = await sees(broker, "/apps", cookie, "POST", data=form)
    assert made.status == 303, made.body
    app = (await broker.asks("GET", "/api/apps/second")).json()
    page = (await sees(broker, "/apps/second", cookie)).body.decode()

    assert {name: app[name] for name in more} == more
    assert app["policy"] == [
        {"methods": ["GET", "POST"], "path": "/crm/v3/objects/contacts*"},
        {"methods": ["DELETE"], "path": "/crm/v3/objects/deals/*"},
    ]
    assert [app[name] for name in ("journal", "legacySignatures", "marketplace", "pkce")] == [
        *(True, True, True, False)
    ]
    assert "GET,POST /crm/v3/objects/contacts*\nDELETE /crm/v3/objects/deals/*" in page
    assert 'value="Acme &amp; Söhne"' in page
    for name in ("journal", "legacySignatures", "marketplace"):
        assert f'name="{name}" checked' in page
    change = [("clientId", "c"), ("appId", "77"), ("scopes", "oauth"), ("policy", "GO /x")]
    wrong = await sees(broker, "/apps/second", cookie, "POST", data=change)
    assert wrong.status == 400
    assert b"Input should" not in wrong.body
    emptied = [*change[:-1], ("policy", ""), *((name, "") for name in more)]
    assert (await sees(broker, "/apps/second", cookie, "POST", data=emptied)).status == 303
    app = (await broker.asks("GET", "/api/apps/second")).json()
    assert [app[name] for name in ("policy", *more)] == [None] * 4


async def test_a_key_is_changed_within_what_the_operators_key_covers(broker):
    secret = await broker.makes_key("proxy")
    cookie = await signs_in(broker)
    keys = await broker.parts.keys.of_workspace(UUID(broker.workspace))
    first, other = keys
    form = [
        ("id", str(other.id)), ("name", "reader"), ("scopes", "calls"), ("scopes", "apps"),
        ("apps", "hbdev"), ("policy", "GET /crm/*"),
    ]  # fmt: skip

    page = await sees(broker, f"/key?id={other.id}", cookie)
    changed = await sees(broker, "/key", cookie, "POST", data=form)
    now = next(
        key
        for key in await broker.parts.keys.of_workspace(UUID(broker.workspace))
        if key.id == other.id
    )

    assert b'value="proxy" checked' in page.body
    assert (changed.status, changed.headers["Location"]) == (303, "/console/keys")
    assert (now.name, now.scopes, now.app_slugs) == ("reader", ("apps", "calls"), ("hbdev",))
    assert now.policy == (PolicyRule(("GET",), "/crm/*"),)
    assert (await broker.asks("GET", "/api/apps/hbdev/calls", key=secret)).status == 200
    for broken, status in [
        ([("id", str(other.id)), ("name", "x")], 400),
        ([("id", str(other.id)), ("name", "x"), ("scopes", "apps"), ("policy", "GET")], 400),
        ([("id", str(other.id)), ("name", "x"), ("scopes", "apps"), ("apps", "nope")], 403),
        ([("id", "x"), ("name", "x"), ("scopes", "apps")], 404),
    ]:
        assert (await sees(broker, "/key", cookie, "POST", data=broken)).status == status, broken
    narrow = await signs_in(broker, await broker.makes_key("console", "apps"))
    for method, path, data in [
        ("GET", f"/key?id={first.id}", None),
        ("POST", "/key", [("id", str(first.id)), ("name", "x"), ("scopes", "apps")]),
    ]:
        assert (await sees(broker, path, narrow, method, data=data)).status == 404
    greedy = [("id", str(other.id)), ("name", "x"), ("scopes", "apps"), ("scopes", "proxy")]
    assert (await sees(broker, "/key", narrow, "POST", data=greedy)).status in {403, 404}


async def test_the_last_key_that_manages_keys_is_protected_in_the_console(broker):
    cookie = await signs_in(broker)
    (first,) = await broker.parts.keys.of_workspace(UUID(broker.workspace))

    revoked = await sees(
        broker, "/keys/revoke", cookie, "POST", data={"id": str(first.id), "sure": "yes"}
    )
    less = [("id", str(first.id)), ("name", "first"), ("scopes", "console")]
    narrowed = await sees(broker, "/key", cookie, "POST", data=less)

    assert [revoked.status, narrowed.status] == [403, 403]
    assert b"last key that can manage keys" in revoked.body
    assert b"last key that can manage keys" in narrowed.body
    assert (await sees(broker, "/keys", cookie)).status == 200


async def test_the_audit_shows_who_did_what_in_the_console(broker):
    """The actor is the operator's key, not "operator", and the address is theirs."""
    cookie = await signs_in(broker)
    (first,) = await broker.parts.keys.of_workspace(UUID(broker.workspace))
    made = await sees(broker, "/keys", cookie, "POST", data={"name": HTML, "scopes": "proxy"})
    broker.secrets.append(re.search(r'value="(bs_[^"]+)"', made.body.decode())[1])

    entry = (await broker.asks("GET", "/api/audit")).json()["entries"][0]
    page = (await sees(broker, "/audit?action=key.*", cookie)).body.decode()

    assert (entry["action"], entry["actor"]) == ("key.created", str(first.id))
    assert (entry["via"], entry["actorName"]) == ("console", "first")
    assert page.count("<tr>") == 2
    assert ">first</a>" in page
    assert "console <small>127.0.0.1</small>" in page.replace("::1", "127.0.0.1")
    assert (await sees(broker, "/audit?since=x", cookie)).status == 400
    assert (await sees(broker, f"/audit?actor={HTML}", cookie)).status == 200
    without = await signs_in(broker, await broker.makes_key("console", "calls"))
    assert (await sees(broker, "/audit", without)).status == 403


async def test_a_busy_database_is_a_page_in_the_console(broker, database):
    """A person is not shown a problem document."""
    cookie = await signs_in(broker)
    await database.execute("BEGIN")
    await database.execute("LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE")

    answer = await sees(broker, "/keys", cookie)
    await database.execute("ROLLBACK")

    assert (answer.status, answer.content_type) == (503, "text/html")
    assert b"temporarily overloaded" in answer.body


async def test_events_are_found_with_what_became_of_them_and_sent_again(broker, database):
    made = await broker.asks(
        "POST",
        "/api/apps/hbdev/endpoints",
        json={"url": "https://product.example/events", "events": ["connection.*"]},
    )
    broker.secrets.append(made.json()["secret"])
    endpoint = {"app": "hbdev", "id": made.json()["id"]}
    for number in range(60):
        await database.execute(
            "INSERT INTO event (workspace_id, id, app_id, type, user_ref, payload)"
            " SELECT workspace_id, $2, id, 'made.up', $1, '{}' FROM app",
            f"user-{number}",
            uuid7(),
        )
    await broker.connects("jane%")
    cookie = await signs_in(broker)

    async def found(path):
        page = (await sees(broker, path, cookie)).body.decode()
        return page, re.findall(r'console/event\?[^"]+">([^<]+)</a>', page)

    page, types = await found("/events?app=hbdev")
    assert len(types) == 50
    assert types[0] == "connection.created"
    assert "1 waiting" in page
    older = re.search(r'href="/console(/events\?[^"]+)">Older', page)[1].replace("&amp;", "&")
    assert len((await found(older))[1]) == 11
    assert (await found("/events?app=hbdev&q=jane%25"))[1] == ["connection.created"]
    assert (await found("/events?app=hbdev&q=%25"))[1] == ["connection.created"]
    assert len((await found("/events?app=hbdev&q=USER-5"))[1]) == 11
    for wrong in ["before=x", "before=2026-01-01", "before="]:
        assert (await sees(broker, f"/events?app=hbdev&{wrong}", cookie)).status == 400, wrong

    await database.execute("UPDATE delivery SET state = 'dead', due_at = NULL, attempts = 9")
    page = (await sees(broker, "/endpoint", cookie, params=endpoint)).body.decode()
    delivery = re.search(r'name="delivery" value="([^"]+)"', page)[1]
    await sees(broker, "/endpoint/replay", cookie, "POST", data={**endpoint, "delivery": delivery})
    assert await database.fetchval("SELECT state FROM delivery") == "waiting"
    await database.execute("UPDATE delivery SET state = 'dead', due_at = NULL")
    span = {"from": "2020-01-01T00:00", "to": "2100-01-01T00:00"}
    again = await sees(broker, "/endpoint/span", cookie, "POST", data={**endpoint, **span})
    assert b"event is being sent again" in again.body
    backwards = {"from": span["to"], "to": span["from"]}
    refused = await sees(broker, "/endpoint/span", cookie, "POST", data={**endpoint, **backwards})
    assert refused.status == 400
    await sees(broker, "/endpoint/enable", cookie, "POST", data={**endpoint, "enabled": "no"})
    known = await broker.asks("GET", f"/api/apps/hbdev/endpoints/{endpoint['id']}")
    assert known.json()["enabled"] is False
    disabled = await sees(broker, "/endpoint", cookie, params=endpoint)
    assert "disabled" in disabled.body.decode()
    assert "by an operator" in disabled.body.decode()
    audit = (await sees(broker, "/audit?limit=5", cookie)).body.decode()
    details = re.findall(
        r"(?:delivery|endpoint).replayed</a></th>.*?<small>([^<]+)</small>", audit, re.DOTALL
    )
    assert details == [
        f"{endpoint['id']} from 2020-01-01T00:00:00+00:00 to 2100-01-01T00:00:00+00:00",
        delivery,
    ]
    rotated = await sees(broker, "/endpoint/rotate", cookie, "POST", data=endpoint)
    secret = re.search(r'value="(whsec_[^"]+)"', rotated.body.decode())[1]
    broker.secrets.append(secret)
    await sees(broker, "/endpoint/remove", cookie, "POST", data=endpoint)
    listed = await broker.asks("GET", "/api/apps/hbdev/endpoints")
    assert listed.json()["endpoints"] == []


async def test_a_keys_policy_holds_in_the_console_and_is_handed_on(broker):
    await broker.connects("u1")
    rule = PolicyRule(("GET",), "/crm/v3/objects/contacts*")
    scopes = ("console", "apps", "proxy")
    issued = await broker.parts.keys.create(UUID(broker.workspace), "narrow", scopes, None, (rule,))
    broker.secrets.append(issued.client_secret.reveal())
    cookie = await signs_in(broker, issued.client_secret.reveal())
    call = {"app": "hbdev", "user": "u1", "method": "GET", "path": "/crm/v3/objects/contacts"}

    allowed = await sees(broker, "/playground", cookie, "POST", data=call)
    other = {**call, "path": "/crm/v3/objects/deals"}
    refused = await sees(broker, "/playground", cookie, "POST", data=other)
    made = await sees(broker, "/keys", cookie, "POST", data={"name": "x", "scopes": "proxy"})

    assert b"200 OK" in allowed.body
    assert refused.headers["Broker-Error"] == "call-refused"
    broker.secrets.append(re.search(r'value="(bs_[^"]+)"', made.body.decode())[1])
    keys = await broker.parts.keys.of_workspace(UUID(broker.workspace))
    assert next(key for key in keys if key.name == "x").policy == (rule,)
    assert b">first<" not in (await sees(broker, "/keys", cookie)).body


async def test_calls_are_counted_and_told_one_by_one(broker, database):
    await broker.connects("jane")
    for _ in range(3):
        await broker.proxies(user="jane")
    await broker.proxies("/crm/v3/objects/nothing", user="jane")
    await broker.parts.call_log.flush()
    await database.execute(
        "INSERT INTO proxied_call SELECT workspace_id, gen_random_uuid(), app_id, at - interval '3 days',"
        " connection_id, 'joe', key_id, request_id, method, path, 503, 'busy', 0, 5, 0, false"
        " FROM proxied_call, generate_series(1, 15)"
    )
    cookie = await signs_in(broker)

    async def text(path):
        return (await sees(broker, path, cookie)).body.decode()

    hour, week = await text("/calls?app=hbdev"), await text("/calls?app=hbdev&span=week")
    assert "<strong>4</strong> calls, <strong>1</strong> failed" in hour
    assert "<strong>64</strong> calls, <strong>61</strong> failed" in week
    assert "busy" in week
    assert "busy" not in hour
    assert (
        '<th data-label="Account" scope="row">101</th><td data-label="Calls" class="number">4</td>'
        in hour
    )
    assert re.search(r'<meter min="0" max="660" high="594.0" value="4"', hour)
    log = await text("/calls/log?app=hbdev")
    assert log.count("<tr>") == 51
    more = re.search(r'hx-get="/console(/calls/log[^"]+)"', log)[1].replace("&amp;", "&")
    assert (await text(more)).count("<tr>") == 15
    assert (await text("/calls/log?app=hbdev&user=jane")).count("<tr>") == 5
    assert (await text("/calls/log?app=hbdev&status=4xx")).count("<tr>") == 2
    assert (await sees(broker, "/calls/log?app=hbdev&after=x", cookie)).status == 400
    without = await signs_in(broker, await broker.makes_key("console", "apps"))
    assert (await sees(broker, "/calls", without)).status == 403


async def test_a_call_is_found_by_whatever_is_known_of_it(broker, database):
    """F4, F8, F9."""
    await broker.connects("jane")
    await broker.registers("other", clientId="another")
    answer = await broker.proxies("/crm/v3/objects/contacts/12345", user="jane")
    await broker.proxies(user="jane")
    await broker.proxies(user="nobody")
    await broker.parts.call_log.flush()
    await database.execute(
        "INSERT INTO proxied_call SELECT workspace_id, gen_random_uuid(), app_id, at - interval '5 hours',"
        " connection_id, 'old', key_id, request_id, 'PATCH', path, 429, 'quota-exhausted', 0, 5, 2, true"
        " FROM proxied_call WHERE status = 200"
    )
    cookie = await signs_in(broker)

    async def text(path):
        return (await sees(broker, path, cookie)).body.decode()

    def rows(page):
        return page.count('class="at"><a href="/console/call?')

    request_id = answer.headers["Broker-Request-Id"]
    found = await sees(broker, f"/calls?app=other&request={request_id}", cookie)
    assert found.headers["Location"] == f"/console/call?app=hbdev&id={request_id}"
    call = await text(f"/call?app=hbdev&id={request_id}")
    assert "GET /crm/v3/objects/contacts/{id}" in call
    assert "answered by HubSpot" in call
    assert "12345" not in call
    assert "has this request id" in await text(f"/calls?request={'0' * 32}")
    assert "has this request id" in await text("/calls?request=%00x")
    assert (await sees(broker, f"/call?app=other&id={request_id}", cookie)).status == 404

    hour = await text("/calls?app=hbdev")
    assert rows(hour) == 3
    key = re.search(r"/console/calls\?(app=hbdev&amp;key=([0-9a-f-]{36})&amp;span=day)", call)
    assert key is not None
    assert f"/console/calls?key={key[2]}&amp;span=month" in await text("/keys")
    assert 'href="/docs/errors#connection-not-found"' in hour
    narrowed = await text("/calls?app=hbdev&error=connection-not-found")
    assert rows(narrowed) == 1
    assert "<strong>1</strong> call, <strong>1</strong> failed" in narrowed
    for query, number in [
        ("path=contacts", 3), ("path=/crm/v3/objects/contacts/777", 1), ("path=deals", 0), ("method=POST", 0),
        ("status=404", 2), ("status=failed", 2), ("user=jane", 2), ("span=day", 4), ("span=day&method=PATCH", 1), ("status=x&until=x", 3),
        (f"key={key[2]}", 3), (f"key={key[2]}&status=404", 2), (f"key={uuid4()}", 0), ("key=x", 0),
    ]:  # fmt: skip
        assert rows(await text(f"/calls?app=hbdev&{query}")) == number, query
    ended = (datetime.now(UTC) - timedelta(hours=4, minutes=30)).strftime("%Y-%m-%dT%H:%M")
    assert rows(await text(f"/calls?app=hbdev&until={ended}")) == 1


async def test_the_console_remembers_the_app_that_was_shown(broker):
    """F8."""
    for slug in ("aaa", "zzz"):
        await broker.registers(slug, clientId=slug)
    cookie = await signs_in(broker)
    assert "<option selected>aaa</option>" in (await sees(broker, "/calls", cookie)).body.decode()

    shown = await sees(broker, "/apps/zzz", cookie)

    remembered = shown.headers["Set-Cookie"].partition(";")[0]
    assert "HttpOnly" in shown.headers["Set-Cookie"]
    both = f"{cookie}; {remembered}"
    for section in (
        "playground",
        "calls",
        "connections",
        "events",
        "endpoints",
        "deliveries",
        "kyb",
        "health",
    ):
        page = (await sees(broker, f"/{section}", both)).body.decode()
        assert "<option selected>zzz</option>" in page, section
        assert "/console/calls?app=zzz" in page, section
    limited = await signs_in(broker, await broker.makes_key("console", "calls", apps=["hbdev"]))
    page = (await sees(broker, "/calls", f"{limited}; {remembered}")).body.decode()
    assert "<option selected>hbdev</option>" in page
    assert "zzz" not in page
    org = {"slug": "org", "provider": "salesforce", "clientId": "c", "clientSecret": "canary-org"}
    made = await broker.asks("POST", "/api/apps", json={**org, "scopes": ["api"]})
    assert made.status == 201
    for section in ("kyb", "kyb/settings", "orders/settings", "health"):  # recipes are HubSpot's
        page = (await sees(broker, f"/{section}?app=org", both)).body.decode()
        assert "<option selected>zzz</option>" in page, section
        assert "<option>org</option>" not in page, section


async def test_a_call_is_searched_by_its_id_and_has_a_page(broker):
    await broker.connects("u1")
    missing = await broker.proxies("/crm/v3/objects/contacts/404404")
    refused = await broker.proxies("/crm/v3/objects/contacts/1", user="nobody")
    await broker.parts.call_log.flush()
    own, provider = missing.headers["Broker-Request-Id"], missing.headers["X-Request-Id"]
    cookie = await signs_in(broker)

    found = await sees(broker, f"/calls/log?app=hbdev&request={provider}", cookie)
    page = await sees(broker, f"/call?app=hbdev&id={own}", cookie)
    own_refusal = refused.headers["X-Request-Id"]
    explained = await sees(broker, f"/call?app=hbdev&id={own_refusal}", cookie)
    nothing = await sees(broker, "/call?app=hbdev&id=none", cookie)
    filtered = await sees(broker, "/calls?app=hbdev&method=POST&path=%2Fcrm&status=4xx", cookie)

    assert own.encode() in found.body
    assert provider.encode() in page.body
    assert b'/docs/errors#connection-not-found"' in explained.body
    assert nothing.status == 404
    assert b'value="/crm"' in filtered.body


async def test_home_shows_what_needs_a_person_and_dead_deliveries_are_sent_again(broker, database):
    """Only what the key may see, and only the deliveries of the app that was named."""
    await broker.registers("other", clientId="another")
    for slug in ("hbdev", "other"):
        await broker.sends_to("https://receiver.example/in", slug=slug)
        await broker.connects("jane", slug=slug)
    cookie = await signs_in(broker)

    async def text(path, cookie=cookie):
        return (await sees(broker, path, cookie)).body.decode()

    assert "All is well" in await text("")
    await broker.proxies(user="jane")
    await broker.parts.call_log.flush()
    await database.execute("UPDATE proxied_call SET status = 502")
    await database.execute(
        "UPDATE delivery SET state = 'dead', due_at = NULL, last_error = 'timeout'"
    )
    await database.execute("UPDATE endpoint SET failures = 7")
    await database.execute(
        "UPDATE connection_grant SET access_token = NULL, refresh_token = NULL,"
        " refresh_fingerprint = NULL, expires_at = NULL"
    )
    await database.execute("UPDATE connection SET status = 'REAUTH_REQUIRED'")
    await database.execute("UPDATE app SET credentials_refused_at = now()")

    home = await text("")
    for words in (
        '<span class="state bad">1</span> call failed at HubSpot or on the way there',
        '<span class="state bad">1</span> event was not accepted by your product and given up',
        '<span class="state bad">1</span> of the addresses to which events are sent fails',
        '<span class="state bad">1</span> user has to connect again',
        "HubSpot refuses the app&#39;s client id or secret",
    ):
        assert words in home
    await database.execute("UPDATE proxied_call SET status = 429")
    limited_calls = "call was refused because of HubSpot&#39;s limit in the last hour (429)"
    assert limited_calls in await text("")
    paths = set(re.findall(r'<td[^>]*><a href="/console(/[^"]+)"', home))
    assert len(paths) == 9
    for path in paths:
        assert (await sees(broker, path.replace("&amp;", "&"), cookie)).status == 200, path
    lost = await text("/connection?app=hbdev&user=jane")
    assert "no longer accepts this user's tokens" in lost
    assert "Token expires" not in lost
    limited = await signs_in(broker, await broker.makes_key("console", "webhooks", apps=["other"]))
    home = await text("", limited)
    assert "not accepted by your product" in home
    assert "to connect again" not in home
    assert "hbdev" not in home

    dead = await text("/deliveries?app=hbdev&state=dead")
    assert dead.count("<tr>") == 2
    assert "timeout" in dead
    assert "No deliveries found" in await text("/deliveries?app=hbdev&state=dead&q=nothing")
    assert "No deliveries found" in await text(f"/deliveries?app=hbdev&before={UUID(int=0)}")
    answer = await sees(broker, "/deliveries/replay", cookie, "POST", data={"app": "hbdev"})
    assert b"1 delivery is sent again" in answer.body
    states = await database.fetch(
        "SELECT app.slug, delivery.state, delivery.is_replay FROM delivery JOIN event USING (workspace_id)"
        " JOIN app USING (workspace_id) WHERE event.id = event_id AND app.id = event.app_id ORDER BY app.slug"
    )
    assert [tuple(row) for row in states] == [("hbdev", "waiting", True), ("other", "dead", False)]
    without = await signs_in(broker, await broker.makes_key("console", "apps"))
    assert (
        await sees(broker, "/deliveries/replay", without, "POST", data={"app": "hbdev"})
    ).status == 403


async def test_addresses_that_are_no_page_of_ours_are_pages_all_the_same(broker):
    """F30."""
    cookie = await signs_in(broker)

    welcome = await broker.asks("GET", "/", key="")
    docs = await broker.asks("GET", "/docs/no/such", key="")
    console = await sees(broker, "/no/such", cookie)
    stranger = await broker.asks("GET", "/console/no/such", key="")

    for page, status in ((welcome, 200), (docs, 404), (console, 404)):
        assert (page.status, page.headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert b"/console" in welcome.body
    assert b'name="q"' in docs.body  # the search of the menu
    assert b"no such page" in console.body
    assert "/console/sign-in" in stranger.headers["Location"]


async def test_a_person_is_found_by_what_is_known_and_an_empty_result_says_what_was_searched(
    broker, database
):
    await broker.registers("other", clientId="another")
    await broker.connects("user-77", slug="hbdev")
    await database.execute(
        "UPDATE connection SET installed_by = 'anna.lopez@bakery.example', account_name = 'Bakery'"
    )
    await database.execute("UPDATE connection_grant SET last_error = 'BAD_REFRESH_TOKEN'")
    cookie = await signs_in(broker)

    async def found(text, app="hbdev"):
        path = f"/connections?app={app}&q={text}"
        return (await sees(broker, path, cookie)).body.decode()

    for text in ("anna", "LOPEZ@", "bakery", "user-7"):
        assert 'user=user-77"' in await found(text), text
    listed = await found("anna")
    assert "anna.lopez@bakery.example" in listed
    assert "The app was uninstalled from the account, or its access was revoked" in listed
    empty = await found("Berta", app="other")
    assert "No connection found for <strong>Berta</strong> in other." in empty
    assert "Searched user id, account (number and name) and the e-mail address of" in empty
    assert 'href="/console/connections?app=hbdev&amp;q=Berta"' in empty

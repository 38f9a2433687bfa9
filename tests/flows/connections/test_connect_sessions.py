"""Connecting on a page of ours: sessions, the page, and how it ends."""

import asyncio
import re
from urllib.parse import urlsplit

from broker.domain.model import Secret
from broker.sandbox.core.faults import Fault

JSON = {"Accept": "application/json"}
RETURN_URL = "https://product.example/settings?tab=integrations"
ORIGIN = "https://product.example"
NONCE = "0123456789abcdef0123456789abcdef"


async def opens(broker, user="u1", **more):
    body = {"app": "hbdev", "userForeignIdentifier": user, **more}
    answer = await broker.asks("POST", "/api/connect/sessions", json=body)
    assert answer.status == 201, answer.body
    broker.secrets.append(answer.json()["token"])
    return answer.json()


async def presses(broker, url, cookie=None, **form):
    """Press "Continue": HubSpot's consent URL and the browser's cookie."""
    headers = {"Cookie": cookie} if cookie else {}
    answer = await broker.asks("POST", url, key="", data=form, headers=headers)
    set_cookie = answer.headers.get("Set-Cookie", "")
    if set_cookie:
        broker.secrets.append(set_cookie.partition("=")[2].partition(";")[0])
    return answer, set_cookie.partition(";")[0]


async def test_a_session_connects_one_user_once(broker, hubspot):
    """C6: looking uses nothing up. C19: 303 after a POST."""
    session = await opens(broker, returnUrl=RETURN_URL)
    looked = [await broker.asks(method, session["url"], key="") for method in ["GET", "HEAD"] * 10]

    answer, cookie = await presses(broker, session["url"])
    back = await broker.consents(answer.headers["Location"])
    ended = await broker.asks("GET", back, key="", headers={"Cookie": cookie})

    assert {each.status for each in looked} == {200, 405}
    assert answer.status == 303
    assert ended.status == 303
    assert ended.location[1]["status"] == "connected"
    assert (await broker.proxies()).status == 200
    for used in [
        await broker.asks("GET", session["url"], key="", headers=JSON),
        await broker.asks("GET", session["url"], key="", headers={**JSON, "Cookie": cookie}),
        (await presses(broker, session["url"], cookie))[0],
    ]:
        assert used.status == 409
        assert used.headers["Broker-Error"] == "link-used"


async def test_of_many_browsers_one_begins(broker):
    session = await opens(broker)

    answers = await asyncio.gather(*(presses(broker, session["url"]) for _ in range(20)))

    assert sorted(answer.status for answer, _ in answers) == [303] + [409] * 19


async def test_hubspots_answer_is_taken_from_the_browser_that_began(broker, hubspot):
    """C2: a consent that was begun elsewhere connects nobody, and the right browser still can."""
    session = await opens(broker, returnUrl=RETURN_URL)
    answer, cookie = await presses(broker, session["url"])
    back = await broker.consents(answer.headers["Location"])
    other = "broker-connect=" + "A" * 43

    refused = [
        await broker.asks("GET", back, key="", headers=JSON),
        await broker.asks("GET", back, key="", headers={**JSON, "Cookie": other}),
    ]
    taken = await broker.asks("GET", back, key="", headers={"Cookie": cookie})

    assert [(each.status, each.code) for each in refused] == [(403, "other-browser")] * 2
    assert hubspot.exchanges == 1
    assert taken.location[1]["status"] == "connected"


async def test_a_session_runs_out(broker, database):
    """C5."""
    session = await opens(broker)
    await database.execute("UPDATE connect_session SET expires_at = now() - interval '1 second'")

    looked = await broker.asks("GET", session["url"], key="")
    pressed, _ = await presses(broker, session["url"])

    assert [looked.status, pressed.status] == [410, 410]
    assert b"This link is too old." in looked.body
    await broker.parts.connect_sessions.purge()
    assert await database.fetchval("SELECT count(*) FROM connect_session") == 1
    await database.execute("UPDATE connect_session SET expires_at = now() - interval '2 days'")
    await broker.parts.connect_sessions.purge()
    assert await database.fetchval("SELECT count(*) FROM connect_session") == 0


async def test_who_says_no_may_think_again(broker, hubspot):
    """C13, C16: of one session's visits to HubSpot only the newest counts."""
    session = await opens(broker)
    first, cookie = await presses(broker, session["url"])
    state = re.search(r"state=([^&]+)", first.headers["Location"])[1]
    broker.secrets.append(state)
    denied = await broker.asks(
        "GET",
        f"{broker.redirect_url}?error=access_denied&error_description=<script>&state={state}",
        key="",
        headers={"Cookie": cookie},
    )
    page = await broker.asks(
        "GET",
        broker.url + denied.location[0].removeprefix("://"),
        key="",
        headers={"Cookie": cookie},
    )
    back_of_first = await broker.consents(first.headers["Location"])

    second, _ = await presses(broker, session["url"], cookie)
    stale = await broker.asks("GET", back_of_first, key="", headers={"Cookie": cookie, **JSON})
    back = await broker.consents(second.headers["Location"])
    ended = await broker.asks("GET", back, key="", headers={"Cookie": cookie})

    assert denied.status == 303
    assert b"You did not allow the connection" in page.body
    assert b"<script>" not in page.body
    assert stale.code == "link-used"
    assert ended.status == 303
    assert (await broker.proxies()).status == 200


async def test_the_end_is_shown_to_the_browser_that_began_and_holds_no_code(broker):
    """C20."""
    session = await opens(broker)
    answer, cookie = await presses(broker, session["url"])
    back = await broker.consents(answer.headers["Location"])

    ended = await broker.asks("GET", back, key="", headers={"Cookie": cookie})

    where = broker.url + ended.headers["Location"]
    assert re.fullmatch(r"/connect/ended/[0-9a-f-]{36}/[0-9a-f-]{36}", ended.headers["Location"])
    own = await broker.asks("GET", where, key="", headers={"Cookie": cookie})
    theirs = await broker.asks("GET", where, key="")
    assert (own.status, theirs.status) == (200, 404)
    assert b"HubSpot is connected" in own.body


async def test_only_a_listed_origin_may_open_the_page(broker):
    """C18."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"origins": [ORIGIN]})
    session = await opens(broker)

    for origin, nonce, status in [
        (ORIGIN, NONCE, 200),
        ("https://evil.example", NONCE, 403),
        (ORIGIN + ".evil.example", NONCE, 403),
        (ORIGIN + "/", NONCE, 403),
        ("null", NONCE, 403),
        ("*", NONCE, 403),
        (ORIGIN, "short", 400),
        (ORIGIN, "", 400),
        ("", NONCE, 400),
    ]:
        query = {"origin": origin, "nonce": nonce}
        looked = await broker.asks("GET", session["url"], key="", params=query)
        assert looked.status == status, (origin, nonce)
        if status != 200:
            pressed, _ = await presses(broker, session["url"], **query)
            assert pressed.status == status, (origin, nonce)


async def test_a_user_reads_the_products_name_and_their_own_and_no_internals(broker):
    """Neither the workspace, the slug nor the id in the product's database means anything there."""
    plain = await broker.asks("GET", (await opens(broker, "user-4711"))["url"], key="")
    await broker.asks(
        "PATCH",
        "/api/apps/hbdev",
        json={"displayName": "Acme <Cloud>", "logoUrl": "https://cdn.example/logo.svg?v=1;x"},
    )
    session = await opens(broker, "user-4711", userLabel="jane@acme.example")
    page = await broker.asks("GET", session["url"], key="")

    for each in (plain, page):
        assert b"user-4711" not in each.body
        assert b"hbdev" not in each.body
    assert b"Connect Acme to HubSpot" in plain.body  # the workspace's name, for want of better
    assert b"Connect Acme &lt;Cloud&gt; to HubSpot" in page.body
    assert b"jane@acme.example" in page.body
    assert b'<img src="https://cdn.example/logo.svg?v=1;x"' in page.body
    policy = page.headers["Content-Security-Policy"]
    assert "img-src 'self' data: https://cdn.example/logo.svg;" in policy
    assert "img-src 'self' data:;" in plain.headers["Content-Security-Policy"]


async def test_the_opener_may_ask_how_far_its_popup_is(broker):
    """F4: with the session's URL and its own nonce, from an origin of the app's, without cookies."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"origins": [ORIGIN]})
    session = await opens(broker)

    async def asks(origin=ORIGIN, nonce=NONCE, url=session["url"]):
        return await broker.asks(
            "GET", f"{url}/outcome", key="", params={"nonce": nonce}, headers={"Origin": origin}
        )

    before = await asks()
    answer, cookie = await presses(broker, session["url"], origin=ORIGIN, nonce=NONCE)
    started = await asks()
    back = await broker.consents(answer.headers["Location"])
    await broker.asks("GET", back, key="", headers={"Cookie": cookie})
    ended, other_popup = await asks(), await asks(nonce=NONCE[::-1])

    user = {"userForeignIdentifier": "u1"}
    assert before.json() == {"state": "waiting", "outcome": None, **user}
    assert started.json() == {"state": "started", "outcome": None, **user}
    assert ended.json() == {"state": "started", "outcome": "connected", **user}
    assert other_popup.json()["outcome"] is None
    for refused, status, code in [
        (await asks(origin="https://evil.example"), 403, "origin-refused"),
        (await asks(origin=""), 403, "origin-refused"),
        (await asks(url=f"{broker.url}/connect/cs_nothing"), 404, "not-found"),
    ]:
        assert (refused.status, refused.code) == (status, code)
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
        assert b"u1" not in refused.body
    assert (
        "https://evil.example is not one of"
        in (await asks("https://evil.example")).json()["detail"]
    )
    shown = await asks(origin="https://evil.example/<img>call 555")
    assert b"call 555" not in shown.body


async def test_a_popup_ends_on_a_page_that_tells_its_opener(broker):
    """C18: exactly the origin and the nonce; never a token, state or code."""
    await broker.asks("PATCH", "/api/apps/hbdev", json={"origins": [ORIGIN]})
    session = await opens(broker, returnUrl=RETURN_URL)
    answer, cookie = await presses(broker, session["url"], origin=ORIGIN, nonce=NONCE)
    back = await broker.consents(answer.headers["Location"])

    ended = await broker.asks("GET", back, key="", headers={"Cookie": cookie})
    page = await broker.asks(
        "GET", broker.url + ended.headers["Location"], key="", headers={"Cookie": cookie}
    )

    text = page.body.decode()
    assert f'data-origin="{ORIGIN}"' in text
    assert f'data-nonce="{NONCE}"' in text
    assert session["token"] not in text
    assert "code=" not in text


async def test_a_popup_carries_a_confirmation_in_the_fragment_only(broker):
    await broker.asks("PATCH", "/api/apps/hbdev", json={"origins": [ORIGIN], "confirm": "required"})
    session = await opens(broker, returnUrl=RETURN_URL)
    answer, cookie = await presses(broker, session["url"], origin=ORIGIN, nonce=NONCE)
    back = await broker.consents(answer.headers["Location"])

    ended = await broker.asks("GET", back, key="", headers={"Cookie": cookie})

    where, _, fragment = ended.headers["Location"].partition("#confirm=")
    page = await broker.asks("GET", broker.url + where, key="", headers={"Cookie": cookie})
    assert fragment.encode() not in page.body
    confirmed = await broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": fragment, "userForeignIdentifier": "u1"},
    )
    assert confirmed.status == 200


async def test_another_sites_form_begins_nothing(broker):
    session = await opens(broker)

    for headers, status in [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": broker.url, "Sec-Fetch-Site": "same-origin"}, 303),
    ]:
        answer = await broker.asks("POST", session["url"], key="", headers=headers)
        assert answer.status == status, headers


async def test_the_cookie_is_ours_alone(start_broker):
    broker = await start_broker(public_url="https://broker.example")
    await broker.makes_workspace()
    await broker.registers()
    session = await opens(broker)

    answer, cookie = await presses(broker, urlsplit(session["url"]).path)

    assert session["url"].startswith("https://broker.example/connect/cs_")
    assert cookie.startswith("__Host-broker-connect=")
    flags = answer.headers["Set-Cookie"].lower()
    assert all(flag in flags for flag in ["secure", "httponly", "path=/", "samesite=lax"])
    assert "domain" not in flags


async def test_pages_are_framed_by_nobody_and_load_nothing_foreign(broker):
    """C17, C20."""
    session = await opens(broker)

    for url in [session["url"], "/connect/cs_nothing", broker.redirect_url]:
        page = await broker.asks("GET", url, key="")
        policy = page.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] in {"no-referrer", "same-origin"}


async def test_what_a_session_may_say_is_checked(broker):
    key = await broker.makes_key("proxy")
    limited = await broker.makes_key("connect", apps=("other",))
    body = {"app": "hbdev", "userForeignIdentifier": "u1"}

    for change, using, status in [
        ({}, key, 403),
        ({}, limited, 404),
        ({"app": "nope"}, None, 404),
        ({"app": "HBDEV"}, None, 201),
        ({"userForeignIdentifier": ""}, None, 400),
        ({"returnUrl": "https://evil.example/"}, None, 400),
        ({"returnUrl": RETURN_URL + "&x=1"}, None, 400),
        ({"expiresIn": 0}, None, 400),
        ({"userLabel": ""}, None, 400),
        ({"userLabel": "x" * 256}, None, 400),
        ({"expiresIn": 100_000}, None, 400),
        ({"origin": "x"}, None, 400),
    ]:
        answer = await broker.asks(
            "POST", "/api/connect/sessions", key=using, json={**body, **change}
        )
        assert answer.status == status, change
        if status == 201:
            broker.secrets.append(answer.json()["token"])


async def test_an_unwell_hubspot_spends_nothing(broker, hubspot):
    session = await opens(broker, returnUrl=RETURN_URL)
    answer, cookie = await presses(broker, session["url"])
    back = await broker.consents(answer.headers["Location"])
    hubspot.faults.add(Fault("/oauth/*/token", "status", status=503, times=1))

    failed = await broker.asks("GET", back, key="", headers={"Cookie": cookie})
    again = await broker.asks("GET", back, key="", headers={"Cookie": cookie})

    assert failed.location[1]["code"] == "hubspot-unavailable"
    assert again.location[1]["status"] == "connected"


async def test_static_files_are_known_by_their_digest(broker):
    script = await broker.asks("GET", "/connect.js", key="")
    again = await broker.asks(
        "GET", "/connect.js", key="", headers={"If-None-Match": script.headers["ETag"]}
    )

    assert script.content_type == "text/javascript"
    assert len(script.body) < 8192
    assert again.status == 304
    for name in ["nothing.js", "../pages.py", "%2e%2e/pages.py", "vendor/htmx.LICENSE"]:
        assert (await broker.asks("GET", f"/static/{name}", key="")).status in {400, 404}, name


async def test_a_session_that_ended_between_looking_and_beginning_is_not_begun(broker, database):
    """The statement that binds a session checks again what was read before it."""
    sessions, browser = broker.parts.connect_sessions, Secret("A" * 43)
    token = Secret((await opens(broker))["token"])
    looked_at = await sessions.find(token)

    await database.execute("UPDATE connect_session SET ended_at = now()")
    ended = await sessions.begin(looked_at, browser, None, None)
    await database.execute("UPDATE connect_session SET ended_at = NULL, expires_at = now()")
    expired = await sessions.begin(looked_at, browser, None, None)
    await database.execute("UPDATE connect_session SET expires_at = now() + interval '1 minute'")
    begun = await sessions.begin(looked_at, browser, None, None)
    taken = await sessions.begin(looked_at, Secret("B" * 43), None, None)

    assert [ended, expired, begun, taken] == [False, False, True, False]

"""Shops of WooCommerce: links, consent, keys that come apart from the browser, calls, import."""

import asyncio
import base64
import hashlib
import hmac
import io
from urllib.parse import parse_qs, urlsplit

import aiohttp
from aiohttp import web

from tests.fixtures.broker_client import RETURN_URL
from tests.fixtures.woocommerce import ShopUnderTest, state_of
from tests.sandbox.woocommerce.client import running
from tests.until import until

NO_SITES = [
    "",
    "shop.example",
    "ftp://shop.example",
    "https://",
    "https://user:secret@shop.example",
    "https://shop.example?consumer_key=ck_1",
    "https://shop.example/#x",
    "https://shop.example/a/../b",
    "https://shop.example/%2e%2e/b",
    "https://shop.example//b",
    "https://shop.example\\@evil.example",
    "https://shop.example:99999",
]

PRIVATE_SITES = [
    "http://shop.example",
    "https://127.0.0.1",
    "https://0x7f.1",
    "https://[::1]",
    "https://localhost",
    "https://2130706433",
]

WRONG_KEYS = [
    {"user_id": "made-up-but-long-enough-to-be-one"},
    {"user_id": None},
    {"user_id": 7},
    {"consumer_key": ""},
    {"consumer_key": "ck:with-colon"},
    {"consumer_secret": None},
    {"consumer_secret": "cs\r\nX: y"},
    {"key_permissions": "everything"},
]

OTHER_CALLS = [
    "/wp-json/wc/v3/orders?consumer_key=ck_1&consumer_secret=cs_1",
    "/wp-json/wc/v3/orders?consumer%5Fkey=ck_1",
    "/wp-json/wc/v3/orders?consumer.key=ck_1",
    "/wp-json/wc/v3/orders?%20consumer_key=ck_1",
    "/wp-json/wc/v3/orders?oauth_consumer_key=ck_1",
    "/wp-json/wc/v3/orders/1?_method=DELETE",
    "/wp-json/wc/v3/orders?rest_route=/wc/v3/customers",
    "/wp-json/wc/v3/orders?rest.route=/wc/v3/customers",
    "/wp-json/wc/v3/orders?rest_route[]=/wc/v3/customers",
    "/?rest_route=/wc/v3/orders&rest_route=/wc/v3/customers",
    "/?rest_route=wc/v3/orders",
    "/",
    "/wp-admin/",
    "/wp-login.php",
    "/wp-jsonx",
]


async def test_an_app_needs_neither_id_nor_secret_and_no_other_scopes_than_there_are(shop):
    refused = await shop.registers("other", clientId="id", clientSecret="secret")
    scopes = await shop.registers("other", scopes=["orders"])
    changed = await shop.broker.asks("PATCH", "/api/apps/shop", json={"scopes": ["orders"]})

    assert {each["field"] for each in refused.json()["errors"]} == {"clientId", "clientSecret"}
    assert [each["field"] for each in scopes.json()["errors"]] == ["scopes"]
    assert [each["field"] for each in changed.json()["errors"]] == ["scopes"]
    assert "/woocommerce/shop-" in shop.app["redirectUrl"]


async def test_a_link_names_a_site_and_nothing_else(shop):
    for site in NO_SITES:
        answer = await shop.asks_for_link(site=site)

        assert answer.status == 400, site
        assert [each["field"] for each in answer.json()["errors"]] == ["site"]


async def test_a_public_site_over_https_is_needed_where_private_ones_are_not_allowed(broker):
    body = {"slug": "shop", "provider": "woocommerce", "scopes": ["read"]}
    assert (await broker.asks("POST", "/api/apps", json=body)).status == 201
    for site in PRIVATE_SITES:
        query = {"userForeignIdentifier": "u1", "site": site}
        answer = await broker.asks("GET", "/api/woocommerce/auth/shop", params=query)

        assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "site"), site


async def test_a_name_that_leads_to_this_machine_is_not_connected_to(broker, monkeypatch):
    """The name is judged by what it resolves to, at each connect."""
    body = {"slug": "shop", "provider": "woocommerce", "scopes": ["read"]}
    assert (await broker.asks("POST", "/api/apps", json=body)).status == 201
    async with running() as site:
        loop = asyncio.get_running_loop()
        resolve = loop.getaddrinfo

        async def rebound(host, port, **rest):
            name = "127.0.0.1" if host == "rebound.example" else host
            return await resolve(name, urlsplit(site.url).port if name != host else port, **rest)

        monkeypatch.setattr(loop, "getaddrinfo", rebound)
        answer = await broker.asks(
            "POST",
            "/api/apps/shop/connections/u1/import",
            json={
                "site": "https://rebound.example",
                "consumerKey": site.key.consumer_key,
                "consumerSecret": site.key.consumer_secret,
            },
        )

        assert (answer.status, answer.code) == (502, "vendor-unavailable")
        assert list(site.world.seen) == []


async def test_a_user_consents_at_the_site_and_calls_go_there(shop, database, hubspot):
    url = await shop.links(returnUrl=RETURN_URL)
    opened, browser = await shop.opens(url)
    consent = urlsplit(opened.headers["Location"])
    requested = parse_qs(consent.query)
    granted = await shop.approves(opened.headers["Location"])
    ended = await shop.returns(granted.headers["Location"], browser)
    shown = (await shop.shows()).json()
    listed = await shop.calls("/wp-json/wc/v3/orders?status=any&per_page=1")
    wrapped = await shop.broker.asks(
        "POST",
        "/api/woocommerce/proxy/shop",
        json={
            "method": "GET",
            "url": f"{shop.site.url}/wp-json/wc/v3/orders",
            "userForeignIdentifier": "u1",
        },
    )

    assert (opened.status, f"{consent.scheme}://{consent.netloc}") == (303, shop.site.url)
    assert consent.path == "/wc-auth/v1/authorize"
    assert (requested["scope"], requested["app_name"]) == (["read_write"], ["shop"])
    assert requested["callback_url"] == [shop.app["redirectUrl"].replace("/callback", "/keys")]
    assert ended.status == 303
    assert ended.location[1]["status"] == "connected"
    assert shown["accountId"] == urlsplit(shop.site.url).netloc
    assert shown["accountName"] == "Sandbox store"
    assert (shown["hubId"], shown["missingScopes"]) == (None, [])
    assert (listed.status, listed.json(), listed.headers["X-WP-Total"]) == (200, [], "0")
    assert (wrapped.status, wrapped.json()) == (200, {"data": []})
    assert await database.fetchval("SELECT count(*) FROM install_link WHERE credentials IS NULL")
    assert not hubspot.seen


async def test_the_callback_works_only_in_the_browser_that_began(shop):
    opened, browser = await shop.opens(await shop.links())
    granted = await shop.approves(opened.headers["Location"])
    back = granted.headers["Location"]
    other = browser[:-4] + "AAAA"

    assert (await shop.returns(back, "")).status == 403
    stranger = await shop.returns(back, other, Accept="application/json")
    assert (stranger.status, stranger.code) == (403, "other-browser")
    assert (await shop.shows()).status == 404
    assert (await shop.returns(back, browser)).status == 200


async def test_a_link_that_no_browser_opened_takes_neither_keys_nor_a_callback(shop):
    state = state_of(await shop.links())

    sent = await shop.sends_keys(state)
    back = await shop.returns(shop.back(state), "", Accept="application/json")

    assert (sent.status, sent.code) == (403, "other-browser")
    assert (back.status, back.code) == (403, "other-browser")


async def test_half_of_it_is_nothing(shop):
    """The browser without keys, and keys without the browser; then both."""
    opened, browser = await shop.opens(await shop.links())
    state = state_of(opened.headers["Location"])

    early = await shop.returns(shop.back(state), browser, Accept="application/json")
    assert (early.status, early.code) == (400, "exchange-failed")
    assert (await shop.sends_keys(state)).status == 200
    assert (await shop.shows()).status == 404
    assert (await shop.returns(shop.back(state), browser)).status == 200
    assert (await shop.shows()).json()["status"] == "ACTIVE"


async def test_forged_keys_are_refused_at_the_site_of_the_link(shop):
    opened, browser = await shop.opens(await shop.links())
    state = state_of(opened.headers["Location"])

    assert (await shop.sends_keys(state, consumer_secret="cs_" + "0" * 40)).status == 200
    forged = await shop.returns(shop.back(state), browser, Accept="application/json")

    assert (forged.status, forged.code) == (400, "exchange-failed")
    assert (await shop.shows()).status == 404


async def test_keys_of_another_site_connect_nothing(shop):
    async with running() as other:
        opened, browser = await shop.opens(await shop.links(site=other.url))
        state = state_of(opened.headers["Location"])

        assert (await shop.sends_keys(state)).status == 200  # keys of the first site
        answer = await shop.returns(shop.back(state), browser, Accept="application/json")

        assert (answer.status, answer.code) == (400, "exchange-failed")
        assert not [each for each in shop.site.world.seen if "orders" in each.route]


async def test_only_the_first_keys_for_a_link_are_taken(shop):
    opened, browser = await shop.opens(await shop.links())
    granted = await shop.approves(opened.headers["Location"])
    state = state_of(opened.headers["Location"])

    again = await shop.sends_keys(state)
    ended = await shop.returns(granted.headers["Location"], browser)
    late = await shop.sends_keys(state)

    assert (again.status, again.code) == (409, "link-used")
    assert ended.status == 200
    assert (late.status, late.code) == (409, "link-used")
    used = shop.site.key.calls
    assert (await shop.calls()).status == 200
    assert shop.site.key.calls == used  # the key of the consent, not the one that came after it


async def test_of_many_at_once_one_is_taken_and_one_connects(shop):
    opened, browser = await shop.opens(await shop.links())
    state = state_of(opened.headers["Location"])

    sent = await asyncio.gather(*(shop.sends_keys(state) for _ in range(8)))
    ended = await asyncio.gather(*(shop.returns(shop.back(state), browser) for _ in range(8)))

    assert sorted(each.status for each in sent) == [200] + [409] * 7
    assert sorted(each.status for each in ended) == [200] + [409] * 7


async def test_keys_that_fit_no_link_are_refused(shop):
    opened, _ = await shop.opens(await shop.links())
    for changes in WRONG_KEYS:
        answer = await shop.sends_keys(state_of(opened.headers["Location"]), **changes)

        assert (answer.status, answer.code) == (400, "invalid-request"), changes


async def test_what_is_no_json_object_or_too_long_is_refused(shop):
    url = shop.app["redirectUrl"].replace("/callback", "/keys")

    for body, status in ((b"", 400), (b"[]", 400), (b"user_id=x", 400), (b" " * 5000, 413)):
        assert (await shop.broker.asks("POST", url, key="", data=body)).status == status


async def test_another_browser_cannot_take_over_once_the_keys_came(shop):
    url = await shop.links()
    _, scanner = await shop.opens(url)
    opened, browser = await shop.opens(url)  # a scanner of mail does not keep the user out
    granted = await shop.approves(opened.headers["Location"])
    thief, _ = await shop.opens(url)

    assert scanner != browser
    assert thief.status == 409
    assert (await shop.returns(granted.headers["Location"], browser)).status == 200


async def test_a_user_who_declines_can_use_the_link_again(shop):
    url = await shop.links()
    opened, browser = await shop.opens(url)
    state = state_of(opened.headers["Location"])

    declined = await shop.returns(shop.back(state, "0"), browser, Accept="application/json")
    assert (declined.status, declined.code) == (403, "consent-denied")
    opened, browser = await shop.opens(url, browser)
    granted = await shop.approves(opened.headers["Location"])
    assert (await shop.returns(granted.headers["Location"], browser)).status == 200


async def test_a_site_that_is_away_at_the_callback_can_be_tried_again(shop):
    opened, browser = await shop.opens(await shop.links())
    granted = await shop.approves(opened.headers["Location"])
    shop.site.world.levers.maintenance = True
    back = granted.headers["Location"]

    away = await shop.returns(back, browser, Accept="application/json")
    shop.site.world.levers.maintenance = False

    assert (away.status, away.code) == (502, "vendor-unavailable")
    assert (await shop.returns(back, browser)).status == 200


async def test_a_link_and_its_addresses_are_the_apps_own(shop):
    body = {"slug": "other", "provider": "woocommerce", "scopes": ["read"]}
    other = (await shop.broker.asks("POST", "/api/apps", json=body)).json()
    opened, browser = await shop.opens(await shop.links())
    state = state_of(opened.headers["Location"])
    elsewhere = shop.app | {"redirectUrl": other["redirectUrl"]}
    mixed = ShopUnderTest(shop.broker, shop.site, elsewhere)

    assert (await mixed.sends_keys(state)).status == 400
    assert (await mixed.returns(mixed.back(state), browser)).status == 400
    assert (await shop.broker.registers("hub")).status == 201
    hub = await shop.broker.asks("GET", "/api/woocommerce/auth/hub?userForeignIdentifier=u1")
    unknown = await shop.broker.asks(
        "POST", f"/woocommerce/hub-{shop.broker.workspace}/keys", key="", json={}
    )
    assert (hub.status, hub.code) == (404, "app-not-found")
    assert unknown.status == 404


async def test_a_pasted_key_pair_connects_where_it_is_accepted(shop):
    path = "/api/apps/shop/connections/u1/import"
    pair = {
        "consumerKey": shop.site.key.consumer_key,
        "consumerSecret": shop.site.key.consumer_secret,
    }

    async def imports(**body):
        return await shop.broker.asks("POST", path, json=body)

    nothing = await imports()
    half = await imports(site=shop.site.url, consumerKey=pair["consumerKey"])
    wrong = await imports(site=shop.site.url, **(pair | {"consumerSecret": "cs_wrong"}))
    elsewhere = await imports(site=f"{shop.site.url}/nowhere", **pair)
    token = await imports(accessToken="ck_1:cs_1")
    refresh = await imports(refreshToken="ck_1:cs_1")
    assert (await shop.shows()).status == 404
    imported = await imports(site=shop.site.url, **pair)

    fields = [answer.json()["errors"][0]["field"] for answer in (nothing, half, wrong, elsewhere)]
    assert fields == ["site", "consumerSecret", "consumerKey", "site"]
    assert (token.status, refresh.status) == (400, 400)
    assert (imported.status, imported.json()["status"]) == (200, "ACTIVE")
    assert imported.json()["missingScopes"] == []
    assert (await shop.calls()).status == 200
    assert pair["consumerSecret"] not in imported.body.decode()


async def test_an_import_for_one_provider_has_no_fields_of_another(broker):
    answer = await broker.asks(
        "POST", "/api/apps/hbdev/connections/u1/import", json={"site": "https://shop.example"}
    )

    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "site")


async def test_another_site_on_reconnect_waits_and_the_first_goes_on(shop):
    await shop.connects()
    async with running() as other:
        world = shop.site
        shop.site = other
        answer = await shop.connects()
        shop.site = world

        assert answer.status == 409
        assert (await shop.shows()).json()["accountId"] == urlsplit(world.url).netloc
        assert (await shop.calls()).status == 200


async def test_a_key_that_the_site_no_longer_knows_ends_the_grant(shop):
    await shop.connects()
    shop.keys.clear()

    ended = await shop.calls()
    again = await shop.calls()
    reopened, _ = await shop.opens(ended.json()["reconnectUrl"])

    assert (ended.status, ended.code, again.code) == (409, "reauth-required", "reauth-required")
    assert (await shop.shows()).json()["lastError"] == "key-refused"
    assert reopened.headers["Location"].startswith(f"{shop.site.url}/wc-auth/")
    shop.broker.secrets.append(state_of(ended.json()["reconnectUrl"]))


async def test_a_refusal_that_is_not_the_keys_end_is_the_callers(shop):
    shop.keys.clear()
    assert (await shop.registers("reading", scopes=["read"])).status == 201
    await shop.connects()
    (key,) = shop.keys.values()
    key.permissions = "read"

    refused = await shop.calls(method="POST", json={"status": "on-hold"})
    key.manages = False
    lacking = await shop.calls()

    assert (refused.status, refused.json()["code"]) == (
        401,
        "woocommerce_rest_authentication_error",
    )
    assert lacking.status == 403
    assert (await shop.shows()).json()["status"] == "ACTIVE"


async def test_renewing_asks_the_site_and_changes_nothing(shop, database):
    await shop.connects()
    renewed = await shop.broker.asks("POST", "/api/apps/shop/connections/u1/renew")
    due = await database.fetchval("SELECT due_at FROM renewal")
    shop.site.world.levers.maintenance = True
    away = await shop.broker.asks("POST", "/api/apps/shop/connections/u1/renew")
    shop.site.world.levers.maintenance = False

    assert (renewed.status, renewed.json()["status"]) == (200, "ACTIVE")
    assert renewed.json()["expiresAt"] is None
    assert (away.status, away.code) == (502, "vendor-unavailable")
    assert (await shop.calls()).status == 200
    assert due is None


async def test_deleting_wipes_the_key_which_only_the_shopkeeper_can_revoke(shop, database):
    await shop.connects()

    deleted = await shop.broker.asks("DELETE", "/api/apps/shop/connections/u1")

    assert deleted.json() == {"deleted": True, "revocation": "nothing-to-revoke"}
    assert (await shop.calls()).status == 404
    assert await database.fetchval("SELECT count(*) FROM connection") == 0


async def test_a_site_with_plain_permalinks_is_called_as_it_needs(shop):
    shop.site.world.levers.permalinks = "plain"
    order = shop.site.people.place("guest")
    assert (await shop.connects()).status == 200

    one = await shop.calls(f"/wp-json/wc/v3/orders/{order.id}?_fields=id")
    own = await shop.calls("/?rest_route=/wc/v3/orders&per_page=1")
    made = await shop.calls(method="POST", json={"status": "on-hold"})

    assert (one.status, one.json()["id"]) == (200, order.id)
    assert own.headers["X-WP-Total"] == "1"
    assert (made.status, made.json()["status"]) == (201, "on-hold")


async def test_what_could_mean_another_call_or_holds_credentials_is_not_sent(shop):
    await shop.connects()
    shop.site.world.seen.clear()
    for path in OTHER_CALLS:
        answer = await shop.calls(path)

        assert (answer.status, answer.code) == (400, "invalid-request"), path
    assert not shop.site.world.seen


async def test_a_form_is_not_sent_because_it_could_name_a_route(shop):
    await shop.connects()

    answer = await shop.calls(method="POST", data={"rest_route": "/wc/v3/customers"})

    assert (answer.status, answer.code) == (400, "invalid-request")


async def test_rules_hold_for_both_spellings_of_a_route(shop):
    rules = [{"methods": ["GET"], "path": "/wp-json/wc/v3/orders*"}]
    await shop.broker.asks("PATCH", "/api/apps/shop", json={"policy": rules})
    await shop.connects()

    assert (await shop.calls()).status == 200
    assert (await shop.calls("/?rest_route=/wc/v3/orders")).status == 200
    for path in ("/wp-json/wc/v3/customers", "/?rest_route=/wc/v3/customers"):
        assert (await shop.calls(path)).code == "call-refused"
    assert (await shop.calls(method="POST", json={})).code == "call-refused"


async def test_a_batch_counts_as_what_deletes(shop):
    rules = [{"methods": ["GET", "POST"], "path": "/wp-json/*"}]
    await shop.broker.asks("PATCH", "/api/apps/shop", json={"policy": rules})
    await shop.connects()

    answer = await shop.calls("/wp-json/wc/v3/orders/batch", "POST", json={"delete": [1]})

    assert answer.code == "call-refused"


async def test_no_other_host_is_called(shop):
    await shop.connects()
    body = {"method": "GET", "userForeignIdentifier": "u1"}
    for url in (
        "https://shop.example/wp-json/wc/v3/orders",
        f"{shop.site.url}.evil.example/wp-json/",
    ):
        answer = await shop.broker.asks("POST", "/api/raw/shop", json={**body, "url": url})
        assert (answer.status, answer.code) == (403, "destination-refused")


async def test_credentials_go_by_basic_alone(shop):
    """The key is in no query: the sandbox notes a digest of one that is."""
    await shop.connects()
    await shop.calls("/wp-json/wc/v3/orders?per_page=2", headers={"X-WP-Nonce": "abc"})

    seen = [each for each in shop.site.world.seen if each.route == "/wc/v3/orders"]
    assert seen
    assert {each.key_sha256 for each in seen} == {""}


async def test_a_host_that_takes_the_header_off_is_told_as_such(shop):
    shop.site.world.levers.strip_auth_header = True

    answer = await shop.connects()

    assert answer.status == 400
    assert (await shop.shows()).status == 404


async def test_the_call_log_names_routes_and_no_ids(shop):
    await shop.connects()
    await shop.calls("/wp-json/wc/v3/orders/123/refunds")
    await shop.calls("/?rest_route=/wc/v3/customers/77")
    await shop.broker.parts.call_log.flush()

    calls = (await shop.broker.asks("GET", "/api/apps/shop/calls")).json()["calls"]

    assert {each["path"] for each in calls} == {
        "/wp-json/wc/v3/orders/{id}/refunds",
        "/wp-json/wc/v3/customers/{id}",
    }


async def test_a_connection_that_needs_confirmation_gets_it(shop):
    await shop.broker.asks("PATCH", "/api/apps/shop", json={"confirm": "required"})
    answer = await shop.connects(returnUrl=RETURN_URL)
    code = answer.location[2]["confirm"]
    shop.broker.secrets.append(code)

    confirmed = await shop.broker.asks(
        "POST", "/api/connections/confirm", json={"confirm": code, "userForeignIdentifier": "u1"}
    )

    assert (confirmed.status, confirmed.json()["status"]) == (200, "ACTIVE")
    assert (await shop.calls()).status == 200


async def test_a_site_in_a_folder_of_its_host_is_an_account_of_its_own(shop):
    async def forward(request):
        target = str(request.rel_url).removeprefix("/store")
        headers = {
            name: request.headers[name] for name in ("Authorization",) if name in request.headers
        }
        async with (
            aiohttp.ClientSession() as session,
            session.get(shop.site.url + target, headers=headers) as answer,
        ):
            return web.Response(body=await answer.read(), content_type=answer.content_type)

    app = web.Application()
    app.router.add_get("/store/{rest:.*}", forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host = f"127.0.0.1:{runner.addresses[0][1]}"
    site, key = f"http://{host}/store/", shop.site.key
    try:
        link = await shop.links(site=site)
        opened, _ = await shop.opens(link)
        imported = await shop.broker.asks(
            "POST",
            "/api/apps/shop/connections/u1/import",
            json={
                "site": site,
                "consumerKey": key.consumer_key,
                "consumerSecret": key.consumer_secret,
            },
        )
        called = await shop.calls()
        outside = await shop.broker.asks(
            "POST",
            "/api/raw/shop",
            json={
                "method": "GET",
                "url": f"http://{host}/wp-json/wc/v3/orders",
                "userForeignIdentifier": "u1",
            },
        )
    finally:
        await runner.cleanup()

    assert opened.headers["Location"].startswith(f"{site}wc-auth/v1/authorize?")
    assert (imported.status, imported.json()["accountId"]) == (200, f"{host}/store")
    assert (called.status, called.json()) == (200, [])
    assert outside.status == 200  # below the folder, as every path of the connection is


WEBHOOK_SECRET = "canary&hush"


async def sends_webhook(shop, body, secret=WEBHOOK_SECRET, **headers):
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    sent = {
        "Content-Type": "application/json",
        "X-WC-Webhook-Source": f"{shop.site.url}/",
        "X-WC-Webhook-Topic": "order.updated",
        "X-WC-Webhook-Delivery-ID": "d1",
        "X-WC-Webhook-Signature": base64.b64encode(digest).decode(),
        **headers,
    }
    headers = {name: value for name, value in sent.items() if value is not None}
    return await shop.broker.asks(
        "POST", shop.app["webhookUrl"], key="", data=io.BytesIO(body), headers=headers
    )


async def test_a_shops_webhooks_reach_the_endpoints_of_the_app(shop, receiver):
    broker = shop.broker
    changed = await broker.asks("PATCH", "/api/apps/shop", json={"webhookSecret": WEBHOOK_SECRET})
    assert changed.status == 200, changed.body
    await shop.connects()
    assert (await broker.sends_to(receiver.url, "woocommerce.*", slug="shop")).status == 201
    made = await shop.calls(
        "/wp-json/wc/v3/webhooks",
        "POST",
        json={
            "topic": "order.created",
            "delivery_url": shop.app["webhookUrl"],
            "secret": WEBHOOK_SECRET,
        },
    )
    order = shop.site.people.place("guest")
    webhooks = shop.site.world.webhooks
    await until(lambda: any(each.topic == "order.created" for each in webhooks.sent))
    webhooks.replay(made.json()["id"])
    await until(lambda: [each.topic for each in webhooks.sent].count("order.created") == 2)
    await broker.run_background_work()

    assert made.status == 201
    assert [each.status for each in webhooks.sent] == [200] * len(webhooks.sent)
    (event,) = [each.json() for each in receiver.got]
    assert event["type"] == "woocommerce.order.created"
    assert event["data"]["userForeignIdentifier"] == "u1"
    assert event["data"]["accountId"] == urlsplit(shop.site.url).netloc
    assert event["data"]["payload"]["id"] == order.id


async def test_a_webhook_that_the_shop_did_not_sign_is_refused(shop, receiver):
    secret = "canary-of-the-shop"
    await shop.broker.asks("PATCH", "/api/apps/shop", json={"webhookSecret": secret})
    await shop.connects()
    await shop.broker.sends_to(receiver.url, "woocommerce.*", slug="shop")
    body = b'{"id":1,"note":"caf\xc3\xa9","date_modified_gmt":"2026-11-28T01:02:03"}'
    ping = {"Content-Type": "application/x-www-form-urlencoded", "X-WC-Webhook-Signature": None}

    statuses = [
        (await sends_webhook(shop, body, "another")).status,
        (await sends_webhook(shop, body, secret, **{"X-WC-Webhook-Signature": None})).status,
        (await sends_webhook(shop, body, secret, **{"X-WC-Webhook-Signature": "x"})).status,
        (await sends_webhook(shop, b"webhook_id=7", secret, **ping)).status,
        (await sends_webhook(shop, body, secret)).status,
        (await sends_webhook(shop, b'{"id":2}', secret)).status,
        (await sends_webhook(shop, b'{"id":3}', secret)).status,  # the same second, another order
        (await sends_webhook(shop, b"[]", secret)).status,
        (await sends_webhook(shop, body, secret, **{"X-WC-Webhook-Source": "nowhere"})).status,
    ]
    await shop.broker.run_background_work()

    assert statuses == [401, 401, 401, 200, 200, 200, 200, 400, 200]
    assert sorted(each.json()["data"]["payload"]["id"] for each in receiver.got) == [1, 2, 3]

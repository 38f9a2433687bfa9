"""Shopify as a provider: install, callback, calls to one shop, points, renewal, the way out."""

import asyncio
import hashlib
import hmac
import json
import re
import time
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.core.faults import Fault
from broker.sandbox.shopify.store.kinds import place
from broker.sandbox.shopify.store.merchant import Merchant
from tests.flows.providers.shops import ACME, GRAPHQL, NAME, OTHER, SCOPES, SECRET


def signed(query, secret=SECRET):
    """A callback's query as Shopify signs it."""
    query = {name: value for name, value in query.items() if name != "hmac"}
    message = "&".join(f"{name}={query[name]}" for name in sorted(query))
    query["hmac"] = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    return query


@pytest.mark.parametrize(
    "shop",
    [
        "",
        "acme",
        "acme.example.com",
        "evil.example/acme.myshopify.com",
        "acme.myshopify.com.evil.example",
        "acme.myshopify.com@evil.example",
        "https://acme.myshopify.com",
        "acme.myshopify.com:8443",
        "-acme.myshopify.com",
        "a.b.myshopify.com",
        "acmé.myshopify.com",
        "acme.myshopify.com/admin",
    ],
)
async def test_only_a_shops_own_domain_gets_a_link(shops, shop):
    answer = await shops.links(shop=shop)

    assert answer.status == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["shop"]


async def test_other_providers_links_have_no_shop_and_none_is_not_enough(shops):
    bare = await shops.broker.asks("GET", "/api/shopify/auth/shop?userForeignIdentifier=u1")
    await shops.broker.registers()
    other = await shops.broker.asks(
        "GET", f"/api/hubspot/auth/hbdev?userForeignIdentifier=u1&shop={ACME}"
    )

    assert (bare.status, other.status) == (400, 400)


async def test_what_shopify_did_not_sign_is_refused_and_leaves_the_link_usable(shops):
    back = await shops.consents()
    address, query = back.partition("?")[0], dict(parse_qsl(urlsplit(back).query))
    old = str(int(time.time()) - 7200)
    forgeries = {
        "no signature": {name: value for name, value in query.items() if name != "hmac"},
        "wrong signature": {**query, "hmac": "0" * 64},
        "another code": {**query, "code": "0" * 32},
        "signed by somebody else": signed(query, "hush"),
        "too old": signed({**query, "timestamp": old}),
        "without a time": signed({name: query[name] for name in query if name != "timestamp"}),
        "another shop": signed({**query, "shop": OTHER}),
        "no shop at all": signed({**query, "shop": "evil.example"}),
    }

    refused = {
        name: await shops.broker.asks("GET", f"{address}?{urlencode(forged)}", key="")
        for name, forged in forgeries.items()
    }
    twice = await shops.broker.asks("GET", f"{back}&shop={OTHER}", key="")
    unknown = await shops.broker.asks(
        "GET", f"{address}?{urlencode(signed({**query, 'state': 'forged'}))}", key=""
    )
    elsewhere = await shops.broker.asks("GET", back.replace("/shopify/", "/hubspot/"), key="")
    good = await shops.broker.asks("GET", back, key="")
    again = await shops.broker.asks("GET", back, key="")

    assert {name: answer.status for name, answer in refused.items()} == dict.fromkeys(
        forgeries, 400
    )
    assert twice.status == 400
    assert unknown.status in {400, 404}
    assert elsewhere.status == 404
    assert good.status == 200, good.body
    assert again.headers["Broker-Error"] == "link-used"


async def test_a_merchant_connects_a_shop_and_the_product_calls_it(shops, database):
    answer = await shops.connects()
    connection = await shops.shows()
    transparent = await shops.queries()
    wrapped = await shops.broker.asks(
        "POST",
        "/api/shopify/proxy/shop",
        json={
            "userForeignIdentifier": "u1",
            "method": "POST",
            "url": f"https://{ACME}{GRAPHQL}",
            "headers": {"Content-Type": "application/json"},
            "body": json.dumps(NAME),
        },
    )
    stored = await database.fetchrow(
        "SELECT *, extract(epoch FROM refresh_expires_at - now()) AS ends_in, "
        "extract(epoch FROM expires_at - now()) AS lives FROM connection JOIN connection_grant USING (workspace_id) WHERE connection_id = id"
    )
    sent = [each for each in shops.world.seen if each.target.endswith("graphql.json")]
    tokens = list(shops.world.grants.access)

    assert answer.status == 200, answer.body
    assert (connection["accountId"], connection["hubId"]) == (ACME, None)
    assert connection["accountName"] == shops.world.shops[ACME].name
    assert (connection["scopes"], connection["missingScopes"]) == (SCOPES, [])
    assert transparent.status == 200, transparent.body
    assert transparent.json()["data"]["shop"]["myshopifyDomain"] == ACME
    assert wrapped.status == 200, wrapped.body
    assert ACME.encode() in wrapped.body
    assert {each.token_sha256 for each in sent} == {
        hashlib.sha256(token.encode()).hexdigest() for token in tokens
    }
    assert b"shpat" not in stored["access_token"]
    assert b"shprt" not in stored["refresh_token"]
    assert 89 * 86_400 < stored["ends_in"] < 91 * 86_400
    assert 3500 < stored["lives"] < 3700


async def test_a_key_in_the_place_of_shopifys_token_works_and_never_crosses(shops):
    await shops.connects()
    key = shops.broker.key

    by_header = await shops.queries(key="", headers={"X-Shopify-Access-Token": key})
    both = await shops.queries(headers={"X-Shopify-Access-Token": "shpat_of_the_caller"})
    wrong = await shops.queries(key="", headers={"X-Shopify-Access-Token": "shpat_wrong"})
    in_query = await shops.broker.asks(
        "GET", f"/proxy/shop/u1/admin/api/2026-10/shop.json?access_token={quote(key)}"
    )

    assert by_header.status == 200, by_header.body
    assert (both.status, wrong.status) == (200, 401)
    assert in_query.status == 400
    hashes = {each.token_sha256 for each in shops.world.seen if each.token_sha256}
    assert hashlib.sha256(key.encode()).hexdigest() not in hashes
    assert hashlib.sha256(b"shpat_of_the_caller").hexdigest() not in hashes


async def test_calls_go_to_the_connected_shop_and_nowhere_else(shops):
    await shops.connects()
    wrapped = {"userForeignIdentifier": "u1", "method": "GET"}

    refused = [
        await shops.broker.asks("POST", "/api/raw/shop", json={**wrapped, "url": url})
        for url in (
            f"https://{OTHER}/admin/api/2026-10/shop.json",
            f"https://{ACME}.evil.example/admin",
            f"https://{ACME}@evil.example/admin",
            f"http://{ACME}/admin/api/2026-10/shop.json",
            "https://api.hubapi.com/crm/v3/objects/contacts",
        )
    ]

    assert {(answer.status, answer.code) for answer in refused} == {(403, "destination-refused")}


async def test_a_token_that_ended_early_is_renewed_and_the_call_repeated(shops):
    await shops.connects()
    for each in shops.world.grants.access.values():
        each.revoked = True

    answers = await asyncio.gather(*(shops.queries() for _ in range(8)))

    assert {answer.status for answer in answers} == {200}
    assert shops.refreshes == 1


async def test_a_lost_answer_is_asked_for_once_more_with_the_same_token(shops, database):
    await shops.connects()
    shops.world.faults.add(Fault("/shops/*/admin/oauth/access_token", "lose-answer", times=1))
    await shops.broker.makes_stale(database)

    answer = await shops.queries()
    used = [each for each in shops.world.grants.refresh.values() if each.used_at is not None]

    assert answer.status == 200, answer.body
    assert len(used) == 1
    assert len(used[0].children) == 2
    assert (await shops.shows())["status"] == "ACTIVE"


async def test_an_uninstalled_app_asks_for_another_install_of_the_same_shop(shops, database):
    await shops.connects()
    shops.world.uninstall(shops.world.apps["shopify-client"], shops.world.shops[ACME])

    answer = await shops.queries()
    connection = await shops.shows()

    assert (answer.status, answer.code) == (409, "reauth-required")
    assert connection["status"] == "REAUTH_REQUIRED"
    assert (await shops.connects()).status == 200
    assert (await shops.queries()).status == 200


async def test_points_that_are_used_up_are_waited_for(shops):
    await shops.connects()
    shops.world.levers.bucket, shops.world.levers.restore_rate = 30.0, 40.0
    merchant = Merchant(shops.world, shops.world.shops[ACME])
    for kind in ("guest", "pos"):
        place(merchant, kind)
    orders = {"query": "{ orders(first: 10) { nodes { name } } }"}

    answers = [await shops.queries(orders) for _ in range(8)]
    impatient = [await shops.queries(orders, headers={"Prefer": "wait=0"}) for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 8
    assert not [answer.body for answer in answers if b"THROTTLED" in answer.body]
    assert "quota-exhausted" in {answer.code for answer in impatient if answer.status == 429}, [
        answer.body for answer in impatient
    ]


@pytest.mark.parametrize("status", [200, 429])
async def test_a_throttled_answer_is_sent_again_whatever_its_status(shops, status):
    await shops.connects()
    shops.world.levers.throttled_status = status
    shops.world.levers.restore_rate = 50.0
    shops.world.buckets["shopify-client", ACME] = (0.0, shops.world.now())
    mutation = {
        "query": """mutation { webhookSubscriptionCreate(topic: ORDERS_CREATE,
        webhookSubscription: {uri: "https://product.example/hook", format: JSON}) {
        webhookSubscription { id } userErrors { message } } }"""
    }

    answer = await shops.queries(mutation)

    assert answer.status == 200, answer.body
    assert "THROTTLED" not in answer.body.decode()
    assert answer.json()["data"]["webhookSubscriptionCreate"]["userErrors"] == []
    calls = [each for each in shops.world.seen if "webhookSubscriptionCreate" in each.body]
    assert len(calls) == 2


@pytest.mark.parametrize("status", [402, 423, 430])
async def test_a_frozen_shop_says_so_itself(shops, status):
    await shops.connects()
    shops.world.levers.frozen = status

    answer = await shops.queries()

    assert answer.status == status
    assert (await shops.shows())["status"] == "ACTIVE"


async def test_another_shop_needs_the_products_word(shops):
    await shops.connects()

    answer = await shops.connects(shop=OTHER)
    code = re.search(rb"[\w-]{43}", answer.body)[0].decode()
    confirmed = await shops.broker.asks(
        "POST",
        "/api/connections/confirm",
        json={"confirm": code, "userForeignIdentifier": "u1"},
    )

    assert answer.status == 409
    assert confirmed.status == 200, confirmed.body
    assert (await shops.shows())["accountId"] == OTHER


async def test_fewer_scopes_than_the_app_has_are_no_connection_and_writing_implies_reading(shops):
    app = shops.world.apps["shopify-client"]
    app.scopes = [*SCOPES, "write_orders"]
    both = {"scopes": ["read_orders", "write_orders"]}
    assert (await shops.broker.asks("PATCH", "/api/apps/shop", json=both)).status == 200

    connected = await shops.connects()

    assert connected.status == 200, connected.body
    assert set((await shops.shows())["scopes"]) >= {"read_orders", "write_orders"}


async def test_credentials_that_shopify_refuses_are_named(shops):
    back = await shops.consents()
    shops.world.apps["shopify-client"].client_secret = "changed"

    answer = await shops.broker.asks("GET", back, key="")
    app = await shops.broker.asks("GET", "/api/apps/shop")

    assert answer.headers["Broker-Error"] == "credentials-refused"
    assert app.json()["credentialsRefusedAt"] is not None


async def test_the_call_log_names_no_record(shops):
    await shops.connects()
    await shops.broker.asks("GET", "/proxy/shop/u1/admin/api/2026-10/orders/450789469.json")
    await shops.broker.asks("GET", "/proxy/shop/u1/admin/api/2026-10/customers/ada%40acme.test")
    await shops.broker.parts.call_log.flush()

    log = (await shops.broker.asks("GET", "/api/apps/shop/calls")).body.decode()

    assert "/admin/api/2026-10/orders/{id}.json" in log
    assert "450789469" not in log
    assert "ada" not in log


async def test_deletion_uninstalls_the_app_unless_another_user_has_the_shop(shops):
    await shops.connects("u1")
    await shops.connects("u2")
    app, shop = shops.world.apps["shopify-client"], shops.world.shops[ACME]

    first = await shops.broker.asks("DELETE", "/api/apps/shop/connections/u1")
    still_installed = app.client_id in shop.installed
    other = await shops.queries(user="u2")
    second = await shops.broker.asks("DELETE", "/api/apps/shop/connections/u2")

    assert first.json() == {"deleted": True, "revocation": "shared-grant"}
    assert still_installed
    assert other.status == 200
    assert second.json() == {"deleted": True, "revocation": "revoked"}
    assert app.client_id not in shop.installed
    assert (await shops.queries(user="u2")).status == 404


async def test_the_connect_page_asks_for_the_shop_unless_the_product_named_it(shops):
    async def opens(**options):
        body = {"app": "shop", "userForeignIdentifier": "u1", **options}
        return await shops.broker.asks("POST", "/api/connect/sessions", json=body)

    wrong = await opens(shop="evil.example")
    asking, knowing = (await opens()).json(), (await opens(shop="ACME.myshopify.com")).json()
    shops.broker.secrets += [asking["token"], knowing["token"]]
    pages = [
        (await shops.broker.asks("GET", each["url"], key="")).body.decode()
        for each in (asking, knowing)
    ]
    origin = {"Origin": shops.broker.url}

    async def presses(session, **form):
        return await shops.broker.asks("POST", session["url"], key="", data=form, headers=origin)

    mistyped = await presses(asking, shop="acme.example")
    corrected = await presses(asking, shop=ACME)
    named = await presses(knowing, shop=OTHER)

    assert wrong.status == 400
    assert ['name="shop"' in page for page in pages] == [True, False]
    assert all("Continue to Shopify" in page and "HubSpot" not in page for page in pages)
    assert mistyped.status == 400
    assert corrected.status == 303, corrected.body
    assert f"/shops/{ACME}/admin/oauth/authorize" in corrected.headers["Location"]
    assert f"/shops/{ACME}/" in named.headers["Location"]


async def imports(shops, user="own", **body):
    """Connect the app itself, without a merchant's consent."""
    return await shops.broker.asks(
        "POST",
        f"/api/apps/shop/connections/{user}/import",
        json=body,
    )


async def test_an_app_connects_to_a_shop_of_its_own_without_a_merchant(shops, database):
    app, shop = shops.world.apps["shopify-client"], shops.world.shops[ACME]
    nameless, strange = await imports(shops), await imports(shops, shop="evil.example")
    elsewhere = await imports(shops, shop=ACME)  # not a shop of the app's organization
    app.own_shops.append(ACME)
    shops.world.levers.error_pages = True
    absent = await imports(shops, shop=ACME)  # not installed there; the answer is a page
    shops.world.levers.error_pages = False
    shops.world.install(app, shop, SCOPES)

    imported = await imports(shops, shop=ACME)
    connection = await shops.shows("own")
    first = await shops.queries(user="own")
    await database.execute("UPDATE connection_grant SET expires_at = now() - interval '1 minute'")
    for each in shops.world.grants.access.values():
        each.revoked = True
    shops.broker.parts.proxy.clear_cache()
    renewed = await shops.queries(user="own")
    shops.world.uninstall(app, shop)
    gone = await shops.queries(user="own")

    assert [each.status for each in (nameless, strange, elsewhere, absent)] == [400] * 4
    assert imported.status in {200, 201}, imported.body
    assert (connection["accountId"], connection["scopes"]) == (ACME, SCOPES)
    assert (first.status, renewed.status) == (200, 200)
    assert not shops.world.grants.refresh
    assert (gone.status, gone.code) == (409, "reauth-required")
    assert (await shops.shows("own"))["lastError"] == "app_not_installed"

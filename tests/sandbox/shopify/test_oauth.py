"""The sandbox Shopify's consent and tokens, refusals first."""

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

pytest.importorskip("graphql", reason="graphql-core is not installed")

from broker.sandbox.shopify.oauth.consent import callback_hmac
from tests.sandbox.shopify.client import BACK, SCOPES, SECRET, running

DAY = 86_400


@pytest.fixture
async def shopify():
    async with running() as made:
        yield made


def authorize(**changes):
    query = {"client_id": "client", "scope": ",".join(SCOPES), "redirect_uri": BACK, "state": "s1"}
    return f"/admin/oauth/authorize?{urlencode({**query, **changes})}"


async def decides(shopify, decision, page):
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page))
    fields["decision"] = decision
    url = f"{shopify.url}/admin/oauth/decision"
    async with shopify.session.post(url, data=fields, allow_redirects=False) as got:
        return got.status, got.headers.get("Location"), await got.text()


async def consents(shopify):
    async with shopify.session.get(shopify.url + authorize()) as got:
        page = await got.text()
    _, location, _ = await decides(shopify, "install", page)
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({"client_id": "nobody"}, "Could not find Shopify API application"),
        ({"redirect_uri": "https://elsewhere.example/"}, "The redirect_uri is not whitelisted"),
        ({"scope": "write_products"}, "invalid_scope"),
    ],
)
async def test_a_wrong_install_link_ends_on_shopifys_own_page(shopify, changes, body):
    async with shopify.session.get(
        shopify.url + authorize(**changes), allow_redirects=False
    ) as got:
        assert got.status == 400
        assert body in await got.text()


async def test_cancelling_an_install_does_not_lead_back_to_the_app(shopify):
    async with shopify.session.get(shopify.url + authorize()) as got:
        page = await got.text()

    status, location, text = await decides(shopify, "cancel", page)

    assert (status, location) == (200, None)
    assert "was not installed" in text
    assert shopify.shop.installed == {}


async def test_the_callback_is_signed_as_shopify_documents_it():
    """The vector of Shopify's own documentation."""
    query = {
        "code": "0907a61c0c8d55e99db179b68161bc00",
        "shop": "some-shop.myshopify.com",
        "state": "0.6784241404160823",
        "timestamp": "1337178173",
    }

    assert callback_hmac(query, "hush") == (
        "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf"
    )


async def test_consent_brings_a_signed_callback_and_a_code_that_is_good_once(shopify):
    back = await consents(shopify)
    first = await shopify.tokens(code=back["code"], expiring="1")
    again = await shopify.tokens(code=back["code"], expiring="1")

    assert back["hmac"] == callback_hmac(back, SECRET)
    assert (back["shop"], back["state"]) == ("acme.myshopify.com", "s1")
    assert base64.b64decode(back["host"] + "==").decode() == "admin.shopify.com/store/acme"
    assert first[0] == 200
    assert (first[1]["expires_in"], first[1]["refresh_token_expires_in"]) == (3600, 7_776_000)
    assert first[1]["scope"] == "read_orders,read_customers"
    assert again == (
        400,
        {
            "error": "invalid_request",
            "error_description": "The authorization code was not found or was already used",
        },
    )


async def test_a_merchant_who_granted_the_scopes_before_is_sent_on_at_once(shopify):
    await consents(shopify)

    async with shopify.session.get(shopify.url + authorize(), allow_redirects=False) as again:
        assert again.status == 302
    fewer = authorize(scope="read_orders,read_customers,read_all_orders")
    async with shopify.session.get(shopify.url + fewer, allow_redirects=False) as more:
        assert more.status == 200


async def test_a_wrong_secret_an_unknown_app_and_a_late_code_are_refused(shopify):
    back = await consents(shopify)
    wrong = await shopify.tokens(code=back["code"], client_secret="other")
    other_app = await shopify.tokens(code=back["code"], client_id="nobody")
    shopify.clock.at += 61
    late = await shopify.tokens(code=back["code"])

    assert [wrong[0], other_app[0], late[0]] == [401, 400, 400]


async def test_without_expiring_the_token_never_ends_and_a_public_app_cannot_use_it(shopify):
    """4.9 row 6."""
    back = await consents(shopify)
    _, answer = await shopify.tokens(code=back["code"])
    shopify.token = answer["access_token"]
    refused = await shopify.post_query("{ shop { name } }")
    shopify.app.public = False
    taken = await shopify.post_query("{ shop { name } }")

    assert set(answer) == {"access_token", "scope"}
    assert refused[0] == 403
    assert "Non-expiring access tokens are no longer accepted" in refused[1]["errors"]
    assert taken[0] == 200


async def test_a_token_that_never_ends_is_exchanged_once_for_one_that_does(shopify):
    back = await consents(shopify)
    _, old = await shopify.tokens(code=back["code"])
    offline = "urn:shopify:params:oauth:token-type:offline-access-token"
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": old["access_token"],
        "subject_token_type": offline,
        "requested_token_type": offline,
        "expiring": "1",
    }

    once, twice = await shopify.tokens(**form), await shopify.tokens(**form)
    dead = await shopify.post_query("{ shop { name } }", token=old["access_token"])

    assert (once[0], "refresh_token" in once[1]) == (200, True)
    assert twice[0] == 400
    assert dead[0] == 401


async def test_a_session_token_is_exchanged_only_when_the_app_signed_it(shopify):
    shopify.granted()
    claims = {"aud": "client", "dest": "https://acme.myshopify.com", "exp": shopify.clock.at + 60}

    def signed(secret):
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "HS256"}, claims)
        ]
        digest = hmac.new(secret.encode(), ".".join(parts).encode(), hashlib.sha256).digest()
        return ".".join([*parts, base64.urlsafe_b64encode(digest).decode().rstrip("=")])

    async def exchange(token):
        return await shopify.tokens(
            grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
            subject_token=token,
            subject_token_type="urn:ietf:params:oauth:token-type:id_token",
            requested_token_type="urn:shopify:params:oauth:token-type:offline-access-token",
            expiring="1",
        )

    forged, garbage, good = [
        await exchange(each) for each in (signed("other"), "x.y", signed(SECRET))
    ]

    assert [forged[0], garbage[0], good[0]] == [400, 400, 200]


async def refreshes(shopify, token):
    return await shopify.tokens(grant_type="refresh_token", refresh_token=token)


async def test_a_used_refresh_token_is_good_until_its_replacement_is_used(shopify):
    back = await consents(shopify)
    _, first = await shopify.tokens(code=back["code"], expiring="1")
    _, lost = await refreshes(shopify, first["refresh_token"])
    again, second = await refreshes(shopify, first["refresh_token"])
    moved, _ = await refreshes(shopify, second["refresh_token"])
    dead, body = await refreshes(shopify, first["refresh_token"])
    rival, _ = await refreshes(shopify, lost["refresh_token"])

    assert [again, moved, dead, rival] == [200, 200, 401, 401]
    assert body == {
        "error": "invalid_request",
        "error_description": "This request requires an active refresh_token",
    }


async def test_a_used_refresh_token_ends_thirty_days_after_its_first_use(shopify):
    back = await consents(shopify)
    _, first = await shopify.tokens(code=back["code"], expiring="1")
    await refreshes(shopify, first["refresh_token"])
    shopify.clock.at += 30 * DAY - 1
    within, _ = await refreshes(shopify, first["refresh_token"])
    shopify.clock.at += 2
    after, _ = await refreshes(shopify, first["refresh_token"])

    assert [within, after] == [200, 401]


async def test_without_the_grace_a_refresh_token_is_good_once(shopify):
    shopify.world.levers.old_refresh_grace = False
    back = await consents(shopify)
    _, first = await shopify.tokens(code=back["code"], expiring="1")

    statuses = [(await refreshes(shopify, first["refresh_token"]))[0] for _ in range(2)]

    assert statuses == [200, 401]


async def test_an_unused_refresh_token_ends_after_ninety_days_and_an_access_token_after_an_hour(
    shopify,
):
    back = await consents(shopify)
    _, first = await shopify.tokens(code=back["code"], expiring="1")
    shopify.token = first["access_token"]
    shopify.clock.at += 3599
    good = await shopify.post_query("{ shop { name } }")
    shopify.clock.at += 1
    late = await shopify.post_query("{ shop { name } }")
    shopify.clock.at += 90 * DAY
    dead, _ = await refreshes(shopify, first["refresh_token"])

    assert [good[0], late[0], dead] == [200, 401, 401]
    assert late[1] == {
        "errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"
    }


async def test_client_credentials_work_in_a_store_of_the_apps_own_only(shopify):
    form = {"grant_type": "client_credentials", "client_id": "client", "client_secret": SECRET}
    foreign = await shopify.post("/admin/oauth/access_token", form)
    shopify.app.own_shops.append("acme.myshopify.com")
    absent = await shopify.post("/admin/oauth/access_token", form)
    shopify.world.levers.error_pages = True
    page = await shopify.post("/admin/oauth/access_token", form)
    shopify.world.install(shopify.app, shopify.shop, SCOPES)
    granted = [
        await shopify.post("/admin/oauth/access_token", form),
        await shopify.post("/admin/oauth/access_token", data=form),
    ]

    assert (foreign[0], foreign[1]["error"]) == (400, "shop_not_permitted")
    assert (absent[0], absent[1]["error"]) == (400, "app_not_installed")
    assert page[0] == 400
    assert "Oauth error app_not_installed" in page[1]
    for status, answer in granted:
        assert (status, answer["expires_in"]) == (200, 86399)
        assert set(answer) == {"access_token", "scope", "expires_in"}


async def test_a_shop_is_addressed_by_host_or_by_path_and_another_shops_token_is_refused(shopify):
    shopify.world.add_shop("globex")
    shopify.granted()
    headers = {"X-Shopify-Access-Token": shopify.token}
    body = {"query": "{ shop { myshopifyDomain } }"}
    found = []
    for path, host in (
        ("/shops/acme.myshopify.com", None),
        ("", "acme.myshopify.com"),
        ("", "globex.myshopify.com"),
        ("", "initech.myshopify.com"),
        ("", None),
    ):
        url = f"{shopify.url}{path}/admin/api/2026-10/graphql.json"
        named = {"Host": host} if host else {}
        async with shopify.session.post(url, json=body, headers={**headers, **named}) as got:
            found.append(got.status)

    assert found == [200, 200, 401, 404, 404]


async def test_uninstalling_ends_every_token(shopify):
    back = await consents(shopify)
    _, first = await shopify.tokens(code=back["code"], expiring="1")
    headers = {"X-Shopify-Access-Token": first["access_token"]}
    url = f"{shopify.url}/admin/api_permissions/current.json"
    async with shopify.session.delete(url, headers=headers) as got:
        ended = got.status
    async with shopify.session.delete(url, headers=headers) as got:
        again = got.status

    assert [ended, again] == [200, 401]
    assert (await refreshes(shopify, first["refresh_token"]))[0] == 401
    assert shopify.shop.installed == {}

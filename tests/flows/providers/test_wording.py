"""What people read is about the provider of the app: on our pages, in the console, in the shell."""

import re

import pytest

from broker.providers.catalog import BY_NAME, PROVIDERS
from tests.fixtures.woocommerce import state_of
from tests.flows.console.test_console import signs_in

OTHERS = [spec for spec in PROVIDERS if spec.name != "hubspot"]


async def registers(broker, spec):
    body = {"slug": spec.name, "provider": spec.name, "scopes": list(spec.wording.usual_scopes)}
    if spec.needs_client:
        body |= {"clientId": "an-id", "clientSecret": "canary-secret"}
    answer = await broker.asks("POST", "/api/apps", json=body)
    assert answer.status == 201, answer.body
    return answer.json()


async def opens_session(broker, slug, **fields):
    body = {"app": slug, "userForeignIdentifier": "u1", **fields}
    return await broker.asks("POST", "/api/connect/sessions", json=body)


def form_targets(answer):
    policy = answer.headers["Content-Security-Policy"]
    return re.search(r"form-action ([^;]*)", policy)[1].split()


@pytest.mark.parametrize("spec", PROVIDERS, ids=lambda spec: spec.name)
def test_a_provider_has_words_a_colour_and_scopes_to_choose_from(spec):
    wording = spec.wording

    assert re.fullmatch(r"#[0-9a-f]{6}", wording.colour)
    assert wording.letters
    assert set(wording.usual_scopes) <= set(wording.scopes)
    assert spec.required_scopes <= set(wording.usual_scopes)
    assert wording.questions.keys() <= spec.link_options
    assert all(each.path.startswith("/") for each in wording.examples)
    for text in (wording.consent, wording.ending, wording.admin, wording.account):
        assert spec.name == "hubspot" or "HubSpot" not in text.format(product="Acme")


async def test_the_connect_page_names_the_provider_and_nothing_of_hubspot(broker):
    for spec in OTHERS:
        await registers(broker, spec)
        url = (await opens_session(broker, spec.name)).json()["url"]
        broker.secrets.append(url.rpartition("/")[2])
        page = await broker.asks("GET", url, key="")
        text = page.body.decode()

        assert page.status == 200
        assert f"Continue to {spec.label}" in text
        assert f'fill="{spec.wording.colour}"' in text
        assert "HubSpot" not in text
        for name in spec.wording.questions:
            assert f'name="{name}"' in text
        assert "https://*.hubspot.com" not in form_targets(page)


async def test_a_user_names_the_shop_on_the_connect_page(shop):
    broker = shop.broker
    url = (await opens_session(broker, "shop")).json()["url"]
    broker.secrets.append(url.rpartition("/")[2])

    wrong = await broker.asks("POST", url, key="", data={"site": "nonsense"})
    missing = await broker.asks("POST", url, key="", data={})
    begun = await broker.asks("POST", url, key="", data={"site": shop.site.url})
    browser = begun.headers["Set-Cookie"].partition(";")[0]
    broker.secrets.append(state_of(begun.headers["Location"]))
    granted = await shop.approves(begun.headers["Location"])
    ended = await shop.returns(granted.headers["Location"], browser)

    assert (wrong.status, missing.status) == (400, 400)
    assert b'value="nonsense"' in wrong.body
    assert b'aria-invalid="true"' in wrong.body
    assert (begun.status, begun.headers["Location"].partition("/wc-auth")[0]) == (
        303,
        shop.site.url,
    )
    assert ended.status == 303
    assert (await shop.shows()).json()["status"] == "ACTIVE"
    page = await shop.returns(ended.headers["Location"], browser)
    assert b"WooCommerce is connected" in page.body


async def test_a_product_that_knows_the_shop_names_it_in_the_session(shop):
    answer = await opens_session(shop.broker, "shop", site=f"{shop.site.url}/")
    wrong = await opens_session(shop.broker, "shop", site="nonsense")
    other = await opens_session(shop.broker, "shop", shop="acme.myshopify.com")
    url = answer.json()["url"]
    shop.broker.secrets.append(url.rpartition("/")[2])
    page = await shop.broker.asks("GET", url, key="")

    assert [each.json()["errors"][0]["field"] for each in (wrong, other)] == ["site", "shop"]
    assert b'name="site"' not in page.body
    assert shop.site.url in form_targets(page)


async def test_a_refusal_is_about_the_provider_whose_address_it_is(shop):
    opened, browser = await shop.opens(await shop.links())
    back = shop.back(state_of(opened.headers["Location"]), "0")

    declined = await shop.returns(back, browser)

    assert b"You did not allow the connection at WooCommerce." in declined.body


async def test_the_console_offers_each_provider_with_the_fields_that_it_needs(broker):
    session = {"Cookie": await signs_in(broker), "Origin": broker.url}

    async def view(path, **rest):
        method = "POST" if "data" in rest else "GET"
        return await broker.asks(method, path, key="", headers=session, **rest)

    for spec in PROVIDERS:
        page = (await view(f"/console/register?provider={spec.name}")).body.decode()

        assert all(each.label in page for each in PROVIDERS)
        assert ('name="clientId"' in page) == spec.needs_client
        assert ('name="appId"' in page) == spec.needs_app_id
        own_secret = spec.webhooks is not None and spec.webhooks.own_secret
        assert ('name="webhookSecret"' in page) == own_secret
        assert all(f'value="{scope}"' in page for scope in spec.wording.usual_scopes)
    made = await view(
        "/console/apps",
        data={"slug": "shop", "provider": "woocommerce", "scopes": "read_write", "confirm": "auto"},
    )
    app = (await view("/console/apps/shop")).body.decode()
    checked = await view("/console/apps/shop/check", data={})
    link = await view(
        "/console/connection/link",
        data={"app": "shop", "user": "u1", "site": "https://shop.example"},
    )
    playground = (await view("/console/playground?app=shop")).body.decode()

    assert made.status == 303
    assert "WooCommerce setup" in app
    assert "Paste the redirect URL into HubSpot" not in app
    assert b"no credentials" in checked.body
    assert b"/woocommerce/shop-" in link.body
    broker.secrets.append(re.search(rb"state=([A-Za-z0-9_-]+)", link.body)[1].decode())
    assert "/wp-json/wc/v3/orders" in playground


def test_labels_are_all_different():
    assert len({spec.label for spec in BY_NAME.values()}) == len(BY_NAME)

"""The button on a product's page, on another origin than the broker's."""

import shutil
import sys
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

from broker.sandbox.core.faults import Fault

from .conftest import ROOT, check_usable


def button(page, number=0):
    return page.locator("connect-hubspot").nth(number).get_by_role("button")


def heard(page):
    return page.locator("#heard")


def warnings_of(page):
    """What the page says to developers, as it comes."""
    warnings = []
    page.on("console", lambda line: warnings.append(line.text) if line.type == "warning" else None)
    return warnings


async def records_details(page):
    """Remember the detail of every event of the button."""
    await page.evaluate(
        """window.details = [];
        for (const name of ["connected", "pending", "cancelled", "failed"])
          addEventListener(name, (event) => details.push(event.detail));"""
    )


async def details(page):
    return await page.evaluate("details")


async def consents(popup, choice="Allow"):
    """From our page over HubSpot's and back."""
    await popup.get_by_role("button", name="Continue to HubSpot").click()
    await popup.get_by_role("button", name=choice).click()


async def presses(page):
    async with page.expect_popup() as opened:
        await button(page).click()
    popup = await opened.value
    await popup.wait_for_url("**/connect/**")
    return popup


@pytest.mark.parametrize("backend", ["python", "node"])
async def test_a_user_connects_in_a_popup(broker, hubspot, page, product, backend):
    """The example that teams copy, in both languages."""
    if backend == "node" and not shutil.which("node"):
        pytest.skip("node is not here")
    hubspot.auto_consent = None
    node = ("node", str(ROOT / "docs/examples/backend.mjs"))
    await page.goto(await product(*(node if backend == "node" else ())))

    popup = await presses(page)
    await expect(popup.get_by_text("Create and change contacts")).to_be_visible()
    await consents(popup)

    await expect(heard(page)).to_have_text("connected: connected")
    await expect(page.get_by_text("HubSpot is connected.")).to_be_visible()
    assert popup.is_closed()
    assert (await broker.proxies(user="user-42")).status == 200


async def test_a_user_connects_with_the_keyboard_in_the_same_tab(broker, hubspot, page, product):
    hubspot.auto_consent = None
    origin = await product()
    await page.goto(origin)

    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await consents(page)

    await page.wait_for_url(f"{origin}/?status=connected*")
    await expect(heard(page)).to_have_text("connected: connected")
    assert (await broker.proxies(user="user-42")).status == 200


async def test_a_user_says_no(hubspot, page, product):
    """C13."""
    hubspot.auto_consent = None
    await page.goto(await product())

    await consents(await presses(page), "Deny")

    await expect(heard(page)).to_have_text("cancelled: consent-denied")
    await expect(page.get_by_text("You can try again at any time.")).to_be_visible()


async def test_a_user_closes_the_window(page, product):
    await page.goto(await product())

    popup = await presses(page)
    await popup.close()

    await expect(heard(page)).to_have_text("cancelled: cancelled")


async def test_a_browser_blocks_the_window(broker, hubspot, page, product):
    hubspot.auto_consent = None
    await page.add_init_script("window.open = () => null")
    origin = await product()
    await page.goto(origin)

    await button(page).click()
    await expect(heard(page)).to_have_text("failed: popup-blocked")
    await expect(page.get_by_text("Click again to continue in this tab.")).to_be_visible()
    await button(page).click()
    await consents(page)

    await page.wait_for_url(f"{origin}/?status=connected*")


async def test_a_backend_that_makes_no_session(broker, page, product):
    await page.goto(await product())
    await page.route("**/connect-hubspot", lambda route: route.fulfill(status=404))

    await button(page).click()

    await expect(heard(page)).to_have_text("failed: session-failed")


async def test_a_session_of_another_broker_is_not_opened(page, product):
    """C18: the button opens its own broker and nothing else."""
    await page.goto(await product())
    await page.route(
        "**/connect-hubspot",
        lambda route: route.fulfill(json={"url": "https://evil.example/connect/x"}),
    )

    await button(page).click()

    await expect(heard(page)).to_have_text("failed: session-failed")


async def test_a_page_that_is_not_listed_learns_which_origin_to_register(broker, page, product):
    """C18: nothing is connected, and the developer is told in the console and in the event."""
    origin = await product(listed=False)
    warnings = warnings_of(page)
    await page.goto(origin)
    await records_details(page)

    popup = await presses(page)

    await expect(popup.get_by_text("is not allowed to connect HubSpot here")).to_be_visible()
    await expect(popup.get_by_text(f"{origin} is not one of the app's origins")).to_be_visible()
    await expect(heard(page)).to_have_text("failed: origin-refused")
    assert f"{origin} is not one of the app's origins" in (await details(page))[0]["reason"]
    assert f"{origin} is not one of the app's origins" in warnings[0]
    await check_usable(popup)


@pytest.mark.parametrize("backend", ["python", "node"])
async def test_a_return_url_that_is_not_registered_is_named_to_the_developer(
    broker, page, product, backend
):
    if backend == "node" and not shutil.which("node"):
        pytest.skip("node is not here")
    node = ("node", str(ROOT / "docs/examples/backend.mjs"))
    warnings = warnings_of(page)
    origin = await product(*(node if backend == "node" else ()), returnUrls=[])
    await page.goto(origin)
    await records_details(page)

    await button(page).click()

    await expect(heard(page)).to_have_text("failed: session-failed")
    named = f"returnUrl: is not one of the app's return URLs: {origin}/"
    assert named in (await details(page))[0]["reason"]
    assert named in warnings[0]


async def test_a_wrong_client_secret_is_the_products_fault_on_the_page_and_in_the_event(
    broker, hubspot, page, product, caplog
):
    """Not "HubSpot could not be reached", which sends everybody to look in the wrong place."""
    hubspot.auto_consent = None
    await page.goto(await product(clientSecret="canary-wrong-secret"))
    await records_details(page)

    popup = await presses(page)
    await consents(popup)

    await expect(heard(page)).to_have_text("failed: credentials-refused")
    assert "client secret" in (await details(page))[0]["reason"]
    await expect(popup.get_by_text("This is not your fault")).to_be_visible()
    assert [each.levelname for each in caplog.records if each.msg == "app_credentials_refused"] == [
        "WARNING"
    ]
    await check_usable(popup)


async def test_a_sign_in_page_that_severs_the_window_ends_connected(broker, hubspot, page, product):
    """F4: `closed` is true from then on, the user consents all the same."""
    hubspot.auto_consent = None
    severing = {"Cross-Origin-Opener-Policy": "same-origin"}
    hubspot.faults.add(Fault("/oauth/authorize", "headers", headers=severing))
    await page.goto(await product())
    await records_details(page)

    popup = await presses(page)
    await popup.get_by_role("button", name="Continue to HubSpot").click()
    await popup.get_by_role("button", name="Allow").wait_for()
    await page.wait_for_timeout(1500)
    assert await heard(page).text_content() == ""
    async with popup.expect_event("close"):
        await popup.get_by_role("button", name="Allow").click()

    await expect(heard(page)).to_have_text("connected: connected")
    assert [each["code"] for each in await details(page)] == ["connected"]
    assert (await broker.proxies(user="user-42")).status == 200


async def test_a_user_who_comes_back_too_early_is_connected_in_the_end(hubspot, page, product):
    """F4: the page was told `cancelled`, and hears of the connection that was made after all."""
    hubspot.auto_consent = None
    severing = {"Cross-Origin-Opener-Policy": "same-origin"}
    hubspot.faults.add(Fault("/oauth/authorize", "headers", headers=severing))
    await page.goto(await product())

    popup = await presses(page)
    await popup.get_by_role("button", name="Continue to HubSpot").click()
    await expect(heard(page)).to_have_text("cancelled: cancelled", timeout=15_000)
    await popup.get_by_role("button", name="Allow").click()

    await expect(heard(page)).to_have_text("connected: connected")


LOADS = {
    "module": '<script type="module" src="BROKER/connect.js"></script>',
    "import": '<script type="module">import "BROKER/connect.js";</script>',
    "dynamic import": '<script type="module">await import("BROKER/connect.js");</script>',
}


@pytest.mark.parametrize("how", LOADS)
async def test_the_script_works_as_a_module(broker, hubspot, page, product, tmp_path, how):
    """F5: a module has no `document.currentScript`."""
    hubspot.auto_consent = None
    example = shutil.copytree(ROOT / "docs/examples", tmp_path / "example")
    html, classic = (
        (example / "index.html").read_text(),
        '<script src="http://localhost:8080/connect.js" defer></script>',
    )
    assert classic in html
    loads = LOADS[how].replace("BROKER", "http://localhost:8080")
    (example / "index.html").write_text(html.replace(classic, loads))
    await page.goto(await product(sys.executable, str(example / "backend.py")))

    await consents(await presses(page))

    await expect(heard(page)).to_have_text("connected: connected")


async def test_a_return_url_with_a_status_of_its_own_does_not_confuse_the_button(
    broker, hubspot, page, product
):
    """F15."""
    hubspot.auto_consent = None
    origin = await product()
    returns = f"{origin}/?status=open&tab=crm%20sync"
    await broker.asks("PATCH", "/api/apps/hbdev", json={"returnUrls": [returns]})
    await page.goto(origin)
    session = {"app": "hbdev", "userForeignIdentifier": "user-42", "returnUrl": returns}
    made = await broker.asks("POST", "/api/connect/sessions", json=session)
    broker.secrets.append(made.json()["token"])
    await page.route(
        "**/connect-hubspot", lambda route: route.fulfill(json={"url": made.json()["url"]})
    )

    await button(page, 1).click()
    await consents(page)

    await expect(heard(page)).to_have_text("connected: connected")


async def test_forged_messages_are_not_heard(broker, hubspot, page, product):
    """C18: another origin though the nonce is right, another window, another nonce."""
    hubspot.auto_consent = None
    await page.goto(await product())
    popup = await presses(page)

    forged = (
        '{type: "broker:connect", outcome: "connected", nonce: "0123456789abcdef0123456789abcdef"}'
    )
    right = forged.replace(
        "0123456789abcdef0123456789abcdef", parse_qs(urlsplit(popup.url).query)["nonce"][0]
    )
    await page.evaluate(f"window.postMessage({right}, '*')")
    await page.evaluate(f"window.postMessage({forged}, '*')")
    await popup.evaluate(f"window.opener.postMessage({forged}, '*')")
    await page.wait_for_timeout(300)

    assert await heard(page).text_content() == ""
    await popup.get_by_role("button", name="Continue to HubSpot").click()
    await popup.get_by_role("button", name="Allow").wait_for()
    await popup.evaluate(f"window.opener.postMessage({right}, '*')")
    await page.wait_for_timeout(300)
    assert await heard(page).text_content() == ""
    await popup.get_by_role("button", name="Allow").click()
    await expect(heard(page)).to_have_text("connected: connected")


async def test_the_outcome_is_told_to_the_origin_that_asked_and_no_other(hubspot, page, product):
    """C18: the page that opened ours went elsewhere meanwhile."""
    hubspot.auto_consent = None
    await page.goto(await product())
    popup = await presses(page)

    # As a link does: what a person types into the address bar cuts the tie to the popup by itself.
    await page.evaluate("(to) => { location.href = to }", hubspot.url)
    await page.wait_for_url(f"{hubspot.url}/**")
    await page.evaluate("window.told = []; addEventListener('message', (it) => told.push(it.data))")
    async with popup.expect_event("close"):
        await consents(popup)

    await page.wait_for_timeout(300)
    assert await page.evaluate("told") == []


async def test_what_goes_wrong_at_hubspot_is_said_in_plain_words(broker, hubspot, page, product):
    hubspot.auto_consent = None
    await page.goto(await product())

    hubspot.faults.add(Fault("/oauth/*/token", "status", status=503, times=1))
    popup = await presses(page)
    await consents(popup)
    await expect(heard(page)).to_have_text("failed: hubspot-unavailable")
    await expect(popup.get_by_text("HubSpot could not be reached just now.")).to_be_visible()
    await popup.close()

    hubspot.faults.add(
        Fault("/oauth/*/token", "status", status=400, body='{"status":"BAD_AUTH_CODE"}', times=1)
    )
    popup = await presses(page)
    await consents(popup)
    await expect(heard(page)).to_have_text("failed: exchange-failed")
    await check_usable(popup)


async def test_another_portal_and_a_confirmation_go_back_with_their_code(
    broker, hubspot, page, product
):
    """C2, C14."""
    await broker.connects("user-42", portal=102)
    hubspot.auto_consent = None
    origin = await product()
    await page.goto(origin)

    popup = await presses(page)
    await consents(popup)

    await expect(heard(page)).to_have_text("failed: portal-mismatch")
    await popup.wait_for_url(f"{origin}/?status=error&code=portal-mismatch*#confirm=*")
    code = popup.url.partition("#confirm=")[2]
    broker.secrets.append(code)
    body = {"confirm": code, "userForeignIdentifier": "user-42"}
    assert (await broker.asks("POST", "/api/connections/confirm", json=body)).json()["hubId"] == 101


async def test_the_pages_on_the_way_are_usable_by_everybody(broker, hubspot, page, product):
    hubspot.auto_consent = None
    await page.goto(await product())
    await check_usable(page)

    popup = await presses(page)
    await check_usable(popup)

    for path, heading in [
        ("/connect/cs_nothing", "Page not found"),
        ("/connect/ended/x/y", "Page not found"),
        (f"/hubspot/hbdev-{broker.workspace}/callback", "This link does not work"),
    ]:
        await page.goto(broker.url + path)
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
        await check_usable(page)

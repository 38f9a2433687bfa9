"""Each way in which connecting fails, as its user reads it: plain words and a next step."""

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

from .conftest import check_usable
from .test_button import consents, heard, presses


@pytest.fixture
async def session(broker, hubspot):
    """A connect session's address; consent is a person's."""
    hubspot.auto_consent = None
    body = {"app": "hbdev", "userForeignIdentifier": "u1"}
    opened = (await broker.asks("POST", "/api/connect/sessions", json=body)).json()
    broker.secrets.append(opened["token"])
    return opened["url"]


async def reads(page, title, sentence, next_step):
    """The page says what happened and what to do, for everybody."""
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    await expect(page.get_by_text(sentence)).to_be_visible()
    await expect(page.get_by_text(next_step)).to_be_visible()
    assert await page.locator("main img").count() == 0
    await check_usable(page)


async def test_a_session_that_is_too_old(session, database, page):
    await database.execute("UPDATE connect_session SET expires_at = now() - interval '1 second'")

    await page.goto(session)

    await reads(page, "This link has expired", "This link is too old.", "start again there")


async def test_a_session_that_ran_out_while_the_page_was_open(session, database, page):
    await page.goto(session)
    await database.execute("UPDATE connect_session SET expires_at = now() - interval '1 second'")

    await page.get_by_role("button", name="Continue to HubSpot").click()

    await reads(page, "This link has expired", "This link is too old.", "start again there")


async def test_a_link_that_connected_is_not_called_unconnected(broker, session, page):
    """After "Back" the user is connected; the page says that the link was used, and no more."""
    await page.goto(session)
    await page.get_by_role("button", name="Continue to HubSpot").click()
    await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading", name="HubSpot is connected")).to_be_visible()

    await page.goto(session)

    await reads(page, "This link was already used", "Each link works once", "start again")
    await expect(page.get_by_text("HubSpot is not connected", exact=True)).to_have_count(0)


async def test_a_session_of_another_browser(session, page):
    await page.goto(session)
    await page.get_by_role("button", name="Continue to HubSpot").click()
    await page.context.clear_cookies()

    await page.goto(session)

    await reads(
        page, "This link was already used", "Each link works once", "start again from the product"
    )


async def test_an_answer_of_hubspots_in_another_browser(session, page):
    await page.goto(session)
    await page.get_by_role("button", name="Continue to HubSpot").click()
    await page.context.clear_cookies()

    await page.get_by_role("button", name="Allow").click()

    await reads(page, "Finish in the other browser", "in a different browser", "Finish it there")


async def test_an_answer_that_came_twice_is_one(hubspot, session, page):
    await page.goto(session)
    await page.get_by_role("button", name="Continue to HubSpot").click()
    async with page.expect_request("**/callback?*") as redirect:
        await page.get_by_role("button", name="Allow").click()
    await expect(page.get_by_role("heading", name="HubSpot is connected")).to_be_visible()
    await check_usable(page)

    await page.goto((await redirect.value).url)

    await expect(page.get_by_role("heading", name="HubSpot is connected")).to_be_visible()
    assert sum(each.raw_path == "/oauth/2026-03/token" for each in hubspot.seen) == 1


async def test_no_at_hubspot(session, page):
    """C13."""
    await page.goto(session)
    await page.get_by_role("button", name="Continue to HubSpot").click()

    await page.get_by_role("button", name="Deny").click()

    await reads(page, "You did not allow the connection", "at HubSpot.", "open the link again")


async def test_fewer_scopes_than_needed(hubspot, page, product):
    """C21."""
    hubspot.auto_consent = None
    issue = hubspot.grants.issue_code

    def narrowed(code):
        code.scopes = ["oauth"]
        return issue(code)

    hubspot.grants.issue_code = narrowed
    await page.goto(await product())

    popup = await presses(page)
    await consents(popup)

    await expect(heard(page)).to_have_text("failed: scopes-missing")
    await expect(page.get_by_text("Ask an administrator of your HubSpot account")).to_be_visible()
    await reads(
        popup,
        "More permissions are needed",
        "fewer permissions than the product needs",
        "a super admin",
    )


async def test_an_installer_without_rights(hubspot, page, product):
    """HubSpot never sends that browser back, so the page before says what to do then."""
    hubspot.auto_consent = None
    hubspot.may_not_install += [each for it in hubspot.portals.values() for each in it.users]
    await page.goto(await product())

    popup = await presses(page)
    await expect(popup.get_by_text("ask a super admin of your HubSpot account")).to_be_visible()
    await consents(popup)
    await expect(popup.get_by_text("You need to be a super admin")).to_be_visible()
    await popup.close()

    await expect(heard(page)).to_have_text("cancelled: cancelled")
    await expect(page.get_by_text("You can try again at any time.")).to_be_visible()


async def test_another_account_than_before(broker, session, hubspot, page):
    """C14."""
    await broker.connects("u1", portal=102)
    hubspot.auto_consent = None

    await page.goto(session)
    await page.get_by_role("button", name="Continue to HubSpot").click()
    await page.get_by_role("button", name="Allow").click()

    await reads(page, "One more step", "a different HubSpot account", "to confirm the change")


async def test_a_connection_that_has_to_be_confirmed(broker, hubspot, page, product):
    """C2: the code goes on in the fragment."""
    hubspot.auto_consent = None
    origin = await product(confirm="required")
    await page.goto(origin)

    popup = await presses(page)
    await consents(popup)

    await expect(heard(page)).to_have_text("pending: pending")
    await popup.wait_for_url(f"{origin}/?status=pending*#confirm=*")
    broker.secrets.append(popup.url.partition("#confirm=")[2])


async def test_what_is_no_link_of_ours(broker, page):
    for path in ["/connect/cs_nothing", "/connect/ended/x/y"]:
        await page.goto(broker.url + path)
        await reads(page, "Page not found", "No such page.", "start again there")
    callback = f"{broker.url}/hubspot/hbdev-{broker.workspace}/callback"
    for query in ["", "?code=x&state=<img src=x onerror=alert(1)>"]:
        await page.goto(callback + query)
        await reads(page, "This link does not work", "it is not one of ours", "start again there")


async def test_an_install_from_the_marketplace_waits_for_its_user(broker, hubspot, page):
    """C12."""
    await broker.asks(
        "PATCH", "/api/apps/hbdev", json={"pkce": False, "returnUrls": [], "marketplace": True}
    )
    hubspot.auto_consent = 101
    link = (await broker.links("x")).partition("&state=")[0]
    back = await broker.asks("GET", link, key="")
    code = parse_qs(urlsplit(back.headers["Location"]).query)["code"][0]
    hubspot_page = "https://app.hubspot.com/installed/101"

    await page.goto(f"{broker.redirect_url}?code={code}&returnUrl={hubspot_page}")

    broker.secrets.append(await page.locator("main code").text_content())
    await reads(page, "One more step", "not yet linked to a user", "Back to HubSpot")

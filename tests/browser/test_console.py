"""The console in a browser, as an operator uses it."""

from aiohttp import web
from playwright.async_api import expect

from broker.sandbox.fml.world import WebhookEndpoint
from tests.until import until

from .conftest import PHONE, WINDOW, check_usable

COMPANY_SCOPES = [
    "crm.objects.companies.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
]
HTML = "<img src=x onerror=alert(1)>"


async def signs_in(page, broker, key=None):
    await page.goto(f"{broker.url}/console")
    await page.get_by_label("API key").fill(key or broker.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Apps")).to_be_visible()
    for cookie in await page.context.cookies():
        broker.secrets.append(cookie["value"])


async def test_the_main_job_from_the_first_screen_to_a_call_and_kyb(
    start_broker, hubspot, fml, page
):
    """Register, paste, link, consent, call, start KYB, see its end: with nothing but a browser."""
    broker = await start_broker(fml_url=fml.url, allow_private_endpoints=True, work_in_serve=True)
    await broker.makes_workspace()
    await signs_in(page, broker)

    await page.get_by_role("button", name="Register an app").click()
    await page.get_by_label("Short name").fill("hbdev")
    await page.get_by_label("Client Id").fill("client-of-hbdev")
    await page.get_by_label("Client Secret").fill("canary-client-secret")
    await page.get_by_label("App Id").fill("1234567")
    await page.get_by_label("Search scopes").fill("contacts write")
    await page.get_by_role("checkbox", name="crm.objects.contacts.write").check()
    await expect(page.get_by_role("checkbox", name="crm.objects.deals.read")).to_be_hidden()
    await page.get_by_label("Search scopes").fill("companies")
    for scope in COMPANY_SCOPES:
        await page.get_by_role("checkbox", name=scope).check()
    await page.get_by_role("button", name="Register").click()

    await expect(page.get_by_role("heading", name="hbdev")).to_be_visible()
    redirect_url = await page.get_by_label("Redirect URL").input_value()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.locator("[data-copy=redirect]").click()
    assert await page.evaluate("navigator.clipboard.readText()") == redirect_url
    await page.get_by_role("button", name="Check credentials").click()
    await expect(page.get_by_text("HubSpot rejects this Client Id")).to_be_visible()
    scopes = [
        "oauth",
        "crm.objects.contacts.read",
        "crm.objects.companies.read",
        "crm.objects.contacts.write",
        *COMPANY_SCOPES,
    ]
    hubspot.register_app(
        "client-of-hbdev", "canary-client-secret", 1234567, scopes, [redirect_url], []
    )
    hubspot.auto_consent = None
    await page.get_by_role("button", name="Check credentials").click()
    await expect(page.get_by_text("HubSpot accepts the Client Id")).to_be_visible()

    await page.get_by_label("Connect a user").fill("user-42")
    await page.get_by_role("button", name="Create a link").click()
    url = await page.get_by_label("Install link for user-42").input_value()
    broker.secrets.append(url.partition("state=")[2].partition("&")[0])
    await page.get_by_role("link", name="Show the connection").click()
    await expect(page.get_by_text("user-42 is not connected.")).to_be_visible()
    user = await page.context.new_page()
    await user.goto(url)
    await user.get_by_role("button", name="Allow").click()
    await expect(user.get_by_role("heading", name="HubSpot is connected")).to_be_visible()
    await expect(page.get_by_text("ACTIVE")).to_be_visible()  # it was noticed without a reload
    await page.reload()

    await page.get_by_role("button", name="Try a call").click()
    await expect(page.locator("datalist option[value=user-42]")).to_have_count(1)
    await page.get_by_label("Example").select_option(index=2)
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("201 Created")).to_be_visible()
    await expect(page.get_by_label("The response")).to_contain_text("jane@acme.example")
    curl = await page.get_by_label("The same call with curl").input_value()
    assert "/proxy/hbdev/user-42/crm/v3/objects/contacts" in curl
    await page.get_by_label("Path", exact=True).fill("https://evil.example/")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("alert")).to_contain_text("leave the API hosts")
    await kicks_off(hubspot, fml, page)


async def kicks_off(hubspot, fml, page):
    """KYB from its settings to the decision on the Company."""
    portal = hubspot.portals[101]
    kind = portal.type("companies")
    properties = {"name": "Acme Ltd", "country": "Spain"}
    company = hubspot.crm(portal).create(kind, {"properties": properties})

    await page.get_by_role("link", name="KYB").click()
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_label("Client id at First Mile Labs").fill("pk_live_tests")
    await page.get_by_label("Client secret").fill("sk_live_canary_of_fml")
    await page.get_by_label("Webhook secret").fill("canary-fml-webhook-secret")
    await check_usable(page)
    await page.get_by_role("button", name="Save").click()
    await page.get_by_label("Make the missing Company properties").fill("user-42")
    await page.get_by_role("button", name="Make them").click()
    await expect(page.get_by_text("fml_case_id")).to_be_visible()
    webhook_url = await page.get_by_label("Webhook URL for First Mile Labs").input_value()
    fml.sender.endpoints.append(WebhookEndpoint(webhook_url, "canary-fml-webhook-secret"))
    await page.get_by_role("link", name="Parked events").click()
    await expect(page.get_by_text("Nothing is parked.")).to_be_visible()
    await check_usable(page)

    await page.get_by_role("link", name="Runs").click()
    await page.get_by_label("User").fill("user-42")
    await page.get_by_label("Company id").fill(str(company.id))
    await page.get_by_role("button", name="Start").click()
    await expect(page.get_by_text("kyb_contact_email is empty on the Company")).to_have_count(2)
    await expect(page.locator("li.ahead")).to_have_count(2)
    await check_usable(page)
    email = {"kyb_contact_email": "jane@acme.example", "kyb_contact_name": "Jane"}
    hubspot.crm(portal).update(kind, company, email)
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator("li.done")).to_have_count(4)
    case = next(iter(fml.fml.cases.values()))
    await expect(page.get_by_text(case.case_id).first).to_be_visible()
    await check_usable(page)
    fml.sender.move(case, status="approved", decision="approved")
    await expect(page.locator("dt:text-is('Decision') + dd")).to_have_text(
        "approved", timeout=20_000
    )
    properties = portal.of(kind).by_id[str(company.id)].properties
    await until(lambda: properties.get("fml_decision") == "approved")

    await page.get_by_role("link", name="KYB", exact=True).first.click()
    await expect(page.get_by_role("row", name=f"Company {company.id}")).to_contain_text("approved")
    await page.get_by_text("Start onboarding").first.click()
    await page.get_by_label("User").fill("user-42")
    await page.get_by_label("Company id").fill(str(company.id))
    await page.get_by_role("button", name="Preview (dry run)").click()
    await expect(page.get_by_text("This record has a run already")).to_be_visible()
    await check_usable(page)


async def test_a_connection_is_found_renewed_and_deleted(broker, hubspot, page):
    for user in ["jane", "john", HTML]:
        await broker.connects(user)
    await signs_in(page, broker)

    await page.get_by_role("link", name="Connections").click()
    await expect(page.get_by_role("row")).to_have_count(4)
    await page.get_by_label("User, account or installer").press_sequentially("jane")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("link", name="jane").click()
    await page.get_by_role("button", name="Reconnect link").click()
    url = await page.get_by_label("Reconnect link for jane").input_value()
    broker.secrets.append(url.partition("state=")[2].partition("&")[0])
    await page.get_by_role("button", name="Renew now").click()
    await expect(page.get_by_label("Reconnect link for jane")).to_have_count(0)
    assert hubspot.refreshes == 1
    await page.get_by_text("Delete this connection").click()
    await page.get_by_role("button", name="Delete the connection").click()

    await expect(page.get_by_text("access was revoked.")).to_be_visible()
    assert (await broker.proxies(user="jane")).status == 404


async def test_a_slow_press_right_after_typing_opens_what_was_found(broker, page):
    """Leaving the field must not replace the list between press and release."""
    for user in ["jane", "john"]:
        await broker.connects(user)
    await signs_in(page, broker)
    await page.get_by_role("link", name="Connections").click()
    await page.get_by_label("User, account or installer").press_sequentially("jane")
    await expect(page.get_by_role("row")).to_have_count(2)

    await page.locator("#found").get_by_role("link", name="jane").hover()
    await page.mouse.down()
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(300)
    await page.mouse.up()

    await expect(page.get_by_role("button", name="Reconnect link")).to_be_visible()


async def test_what_refreshes_itself_takes_nobodys_focus(broker, page):
    await broker.connects("jane")
    await signs_in(page, broker)
    await page.get_by_role("link", name="Connections").click()
    link = page.locator("#found").get_by_role("link", name="jane")
    requests = []
    page.on(
        "request",
        lambda request: requests.append(request.url) if "/console/" in request.url else None,
    )

    await link.focus()
    await page.evaluate("htmx.trigger('#found', 'every')")
    await page.wait_for_timeout(200)
    await expect(link).to_be_focused()
    assert requests == []
    await broker.connects("john")
    await link.evaluate("(it) => it.blur()")
    await page.evaluate("htmx.trigger('#found', 'every')")

    await expect(page.locator("#found").get_by_role("link", name="john")).to_be_visible(
        timeout=2000
    )


async def test_a_key_is_made_shown_once_and_revoked(broker, page):
    await signs_in(page, broker)
    await page.get_by_role("link", name="Keys").click()

    await page.get_by_label("Name", exact=True).fill(HTML)
    await page.get_by_role("checkbox", name="proxy:read").check()
    await page.get_by_role("checkbox", name="hbdev").check()
    await page.get_by_role("button", name="Create the key").click()
    secret = await page.get_by_label("Client secret").input_value()
    broker.secrets.append(secret)
    assert (
        await broker.asks("GET", "/proxy/hbdev/u1/crm/v3/objects/contacts", key=secret)
    ).status == 404
    await page.get_by_role("link", name="Back to the keys").click()
    await page.get_by_role("button", name=f"Revoke {HTML}").click()
    await expect(page.get_by_text("Last used")).to_be_visible()
    await check_usable(page)
    await page.get_by_role("button", name="Revoke for good").click()

    await expect(page.get_by_text("revoked", exact=True)).to_be_visible()
    broker.parts.invalidate_caches()
    assert (
        await broker.asks("GET", "/proxy/hbdev/u1/crm/v3/objects/contacts", key=secret)
    ).status == 401


async def test_a_key_is_changed_and_the_audit_says_so(broker, page):
    await broker.makes_key("proxy")
    await signs_in(page, broker)
    await page.get_by_role("link", name="Keys").click()
    await page.get_by_role("link", name="another").click()
    await check_usable(page)

    await page.get_by_label("Name", exact=True).fill("reader")
    await page.get_by_role("checkbox", name="calls").check()
    await page.get_by_label("Allowed calls").fill("GET /crm/*")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row", name="reader")).to_contain_text("proxy, calls")
    await page.get_by_role("button", name="Revoke (yours)").click()
    await expect(page.get_by_text("You are signed in with this key")).to_be_visible()
    await page.get_by_role("button", name="Revoke for good").click()
    await expect(page.get_by_role("alert")).to_contain_text("last key that can manage keys")
    await check_usable(page)

    await page.get_by_role("link", name="Audit").click()
    await expect(page.get_by_role("row", name="key.changed")).to_contain_text("+calls")
    await check_usable(page)
    await page.get_by_label("Action", exact=True).fill("app.*")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_role("row")).to_have_count(2)


async def test_events_reach_an_endpoint_and_are_sent_again(start_broker, page, aiohttp_server):
    got = []

    async def take(request):
        got.append(request.headers["webhook-id"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/events", take)
    receiver = await aiohttp_server(app)
    broker = await start_broker(allow_private_endpoints=True, work_in_serve=True)
    await broker.makes_workspace()
    await broker.registers()
    await signs_in(page, broker)
    await page.get_by_role("link", name="Events").click()
    await page.get_by_role("link", name="Endpoints").click()

    await page.get_by_label("Address").fill(f"http://127.0.0.1:{receiver.port}/events")
    await page.get_by_role("button", name="Add the endpoint").click()
    broker.secrets.append(await page.get_by_label("Signing secret").input_value())
    await page.get_by_role("link", name="Show the endpoint").click()
    await page.get_by_role("button", name="Send a test event").click()
    await expect(page.locator("#outcome")).to_contain_text("delivered 204")
    await broker.connects("jane")
    await expect(page.get_by_role("row", name="connection.created")).to_contain_text("delivered")
    await page.get_by_role("row", name="connection.created").get_by_role("button").click()
    await expect(page.get_by_role("row", name="connection.created")).to_contain_text("204")
    for _ in range(100):
        if len(got) == 3:
            break
        await page.wait_for_timeout(50)

    assert len(got) == 3
    assert got[1] == got[2]
    await check_usable(page)
    await page.get_by_role("link", name="Events").click()
    await check_usable(page)
    await page.get_by_role("link", name="connection.created").click()
    await expect(page.get_by_text('"userForeignIdentifier": "jane"')).to_be_visible()
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("heading", name="connection.created")).to_be_visible()
    await expect(page.get_by_role("cell", name="delivered")).to_be_visible()
    await until(lambda: len(got) >= 4)
    assert got[1] == got[3]
    await check_usable(page)
    await page.goto(f"{broker.url}/console/endpoints")
    await check_usable(page)


async def test_calls_are_drawn(broker, page):
    await broker.connects("jane")
    await broker.proxies(user="jane")
    await broker.proxies("/crm/v3/objects/nothing", user="jane")
    await broker.parts.call_log.flush()
    await signs_in(page, broker)

    await page.get_by_role("link", name="Calls", exact=True).click()

    await expect(page.locator(".chart canvas")).to_have_count(3)
    await expect(page.get_by_text("2 calls, 1 failed (50.0 %)")).to_be_visible()
    await page.get_by_text("The charts as a table").click()
    numbers = page.get_by_role("region", name="Numbers of the charts")
    await expect(numbers.get_by_role("columnheader", name="Error rate, % of calls")).to_be_visible()
    newest = await numbers.get_by_role("row").nth(2).get_by_role("cell").all_inner_texts()
    assert newest[:5] == ["2", "1", "0.0", "50.0", "0.0"]
    await page.get_by_text("The charts as a table").click()
    await page.get_by_label("User").focus()
    await expect(page.get_by_role("row", name="GET /crm/v3/objects/contacts")).to_contain_text(
        "200"
    )
    await broker.proxies(user="jane")
    await broker.parts.call_log.flush()
    await expect(page.get_by_text("3 calls, 1 failed")).to_be_visible(timeout=15_000)
    await expect(page.locator(".chart canvas")).to_have_count(3)
    await page.set_viewport_size(PHONE)
    total = page.get_by_text("3 calls, 1 failed")
    assert (await total.bounding_box())["y"] < PHONE["height"]  # filters leave it in sight
    await expect(page.get_by_label("User")).to_be_hidden()
    await page.get_by_text("More filters").click()
    await page.get_by_label("User").fill("jane")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_label("User")).to_have_value("jane")  # open: it narrows the page
    await expect(page.get_by_label("User")).to_be_visible()
    await page.set_viewport_size(WINDOW)
    await page.goto(f"{broker.url}/console/connection?app=hbdev&user=jane")
    await expect(page.get_by_role("row", name="GET /crm/v3/objects/contacts")).to_have_count(2)


async def test_older_calls_are_a_click_away(broker, database, page):
    await broker.connects("jane")
    await broker.proxies(user="jane")
    await broker.parts.call_log.flush()
    await database.execute(
        "INSERT INTO proxied_call SELECT workspace_id, gen_random_uuid(), app_id, at - interval '1 minute',"
        " connection_id, 'joe', key_id, request_id, method, path, 503, 'busy', 0, 5, 0, false"
        " FROM proxied_call, generate_series(1, 60)"
    )
    await signs_in(page, broker)
    await page.get_by_role("link", name="Calls", exact=True).click()
    await expect(page.get_by_role("row", name="GET")).to_have_count(50)

    await page.get_by_role("button", name="Older ones").click()

    await expect(page.get_by_role("row", name="GET")).to_have_count(61)
    await expect(page.get_by_role("button", name="Older ones")).to_have_count(0)


async def test_wrong_fields_are_said_beside_them(broker, page):
    await signs_in(page, broker)
    await page.get_by_role("button", name="Register an app").click()

    await page.get_by_label("Short name").fill("not a slug")
    await page.get_by_label("Client Id").fill(HTML)
    await page.get_by_label("Client Secret").fill("canary-x")
    await page.get_by_label("App Id").fill("abc")
    await page.get_by_text("Return URLs, origins and more").click()
    await page.get_by_label("Return URLs").fill("http://product.example/")
    await page.get_by_role("button", name="Register").click()

    await expect(page.get_by_text("3 fields to correct.")).to_be_visible()
    await expect(page.get_by_label("Client Id")).to_have_value(HTML)
    await expect(page.get_by_label("Client Secret")).to_have_value("")
    await expect(page.get_by_text("must be an https URL")).to_be_visible()
    await check_usable(page)


async def test_signing_out_ends_it(broker, page):
    await signs_in(page, broker)

    await page.get_by_role("button", name="Sign out").click()
    await page.goto(f"{broker.url}/console/keys")

    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await page.get_by_label("API key").fill("bs_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("This is not a key of this broker")).to_be_visible()
    await page.get_by_label("API key").fill(broker.key)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    for cookie in await page.context.cookies():
        broker.secrets.append(cookie["value"])


async def opens_the_menu_of_a_phone(page, broker):
    """One row, which opens by keyboard and without a script."""
    phone = await page.context.browser.new_context(viewport=PHONE, java_script_enabled=False)
    await phone.add_cookies(await page.context.cookies())
    small = await phone.new_page()
    await small.goto(f"{broker.url}/console/keys")
    connections = small.get_by_role("link", name="Connections", exact=True)
    await expect(connections).to_have_count(0)
    header = await small.get_by_role("navigation").bounding_box()
    await small.keyboard.press("Tab")
    for _ in range(2):
        await small.keyboard.press("Tab")
    await expect(small.get_by_text("Menu: Keys")).to_be_focused()
    await small.keyboard.press("Enter")
    await expect(small.get_by_role("button", name="Sign out")).to_be_visible()
    await connections.click()
    await expect(small.get_by_role("heading", name="Connections")).to_be_visible()
    await phone.close()
    assert header["height"] < 60
    await page.set_viewport_size(PHONE)
    await page.get_by_text("Menu").click()
    await check_usable(page)
    await page.set_viewport_size(WINDOW)


async def test_every_page_is_usable_by_everybody_and_runs_nothing_it_was_given(broker, page):
    """U15: axe-core, in light and dark, with markup as names everywhere."""
    await broker.connects(HTML)
    await page.goto(f"{broker.url}/console/sign-in")
    await check_usable(page)
    await signs_in(page, broker)
    await opens_the_menu_of_a_phone(page, broker)

    await broker.proxies(user=HTML)
    await broker.parts.call_log.flush()
    for path in [
        "", "calls", "events", "deliveries", "endpoints", "apps", "register", "apps/hbdev", "apps/nope", "connections", "connection?app=hbdev&user=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
        "playground", "keys", "audit", "kyb", "kyb/settings", "kyb/parked", "kyb/run?id=x",
    ]:  # fmt: skip
        await page.goto(f"{broker.url}/console/{path}")
        await check_usable(page)
        assert await page.locator("main img").count() == 0
    for path in [
        "docs",
        "docs/errors",
        "docs/operating",
        "docs/connect",
        "docs/hubspot",
        "docs/deploy/README",
        "docs?q=redirect+URL",
    ]:
        await page.goto(f"{broker.url}/{path}")
        await check_usable(page)

"""The button from "Connect" to "Connected", "Reconnect", "Disconnect", in the frameworks that products use."""

import asyncio
import base64
import importlib.util
import json
import re
import shutil
import sys
import tarfile
import time
from pathlib import Path

import pytest
from playwright.async_api import expect

from .conftest import ROOT, check_usable

BUTTON = ROOT / "broker/web/static/connect"
EXAMPLES = ROOT / "docs/examples"
MODULES = Path(__file__).parent / "node/node_modules"

needs_node = pytest.mark.skipif(
    not shutil.which("npm") or not MODULES.is_dir(),
    reason="npm or the packages are not here: npm ci in tests/browser/node",
)


def needs(*modules):
    missing = [each for each in modules if not importlib.util.find_spec(each)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
async def broker(broker_with_local_endpoints):
    """One that may send its events to the products on this machine."""
    return broker_with_local_endpoints


def element(page):
    return page.locator("connect-hubspot").first


def press(page, name):
    return element(page).get_by_role("button", name=name, exact=True).click()


def message(page):
    return element(page).get_by_role("status")


async def opens_hubspot(page, name="Connect to HubSpot"):
    async with page.expect_popup() as opened:
        await press(page, name)
    popup = await opened.value
    await popup.get_by_role("button", name="Continue to HubSpot").click()
    return popup


async def connects(page, name="Connect to HubSpot", account="101"):
    popup = await opens_hubspot(page, name)
    await popup.get_by_role("radio", name=f"({account})").first.check()
    async with popup.expect_event("close"):
        await popup.get_by_role("button", name="Allow").click()


async def records_events(page):
    await page.evaluate(
        """window.heard = [];
        for (const name of ["connected", "pending", "cancelled", "failed", "reconnect", "disconnect", "disconnected"])
          addEventListener(name, (event) => heard.push([name, event.detail.code ?? null]));"""
    )


async def heard(page):
    return await page.evaluate("heard")


async def to_the_sign_in_page(route):
    """As a framework answers whose user is no longer signed in: 303, and then 200."""
    await route.fulfill(status=303, headers={"Location": "/"})


async def lives(broker, hubspot, page):
    """Connect, leave, come back, change the account, lose it, disconnect: as one user sees it."""
    await records_events(page)
    await connects(page)
    await expect(message(page)).to_have_text(re.compile(r"^Connected to .*\.example\.$"))
    first = await message(page).text_content()
    await expect(element(page)).to_have_attribute("state", "connected")
    assert await heard(page) == [["connected", "connected"]]
    await check_usable(page)

    await page.reload()
    await expect(message(page)).to_have_text(first)
    await expect(element(page).get_by_role("button")).to_have_text(["Reconnect", "Disconnect"])
    await records_events(page)

    await connects(page, "Reconnect", account="102")
    await expect(message(page)).to_have_text(re.compile("^You chose a different HubSpot account"))
    await check_usable(page)
    await press(page, "Keep the current account")
    account = first.removeprefix("Connected to ").removesuffix(".")
    await expect(message(page)).to_have_text(f"You stay connected to {account}.")
    await connects(page, "Reconnect", account="102")
    await press(page, "Use the new account")
    await expect(message(page)).to_have_text(re.compile(r"^Connected to .*\.example\.$"))
    assert await message(page).text_content() != first
    assert [name for name, _ in await heard(page)] == [
        "reconnect", "cancelled", "reconnect", "connected",
    ]  # fmt: skip

    hubspot.revoke_grants(102)
    await broker.asks("POST", "/api/apps/hbdev/connections/user-42/renew")
    await page.reload()
    await expect(message(page)).to_have_text(re.compile("no longer works. Reconnect to continue."))
    await records_events(page)
    await connects(page, "Reconnect", account="102")
    await expect(message(page)).to_have_text(re.compile("^Connected to"))

    popup = await opens_hubspot(page, "Reconnect")
    await popup.get_by_role("button", name="Deny").click()
    await expect(message(page)).to_have_text(re.compile("^You stay connected to .*example"))

    await press(page, "Disconnect")
    await expect(message(page)).to_have_text(re.compile(r"^Disconnect .*\?$"))
    await press(page, "Cancel")
    await expect(message(page)).to_have_text(re.compile("^You stay connected to"))
    await page.route("**/hubspot/disconnect", to_the_sign_in_page)
    await press(page, "Disconnect")
    await press(page, "Disconnect")
    await expect(message(page)).to_have_text(re.compile("could not be disconnected"))
    await expect(element(page)).to_have_attribute("state", "connected")
    await page.unroute("**/hubspot/disconnect")
    await press(page, "Disconnect")
    await press(page, "Disconnect")
    await expect(message(page)).to_have_text("HubSpot is disconnected.")
    await expect(element(page).get_by_role("button")).to_have_text(["Connect to HubSpot"])
    assert [name for name, _ in await heard(page)][-4:] == [
        "disconnect", "failed", "disconnect", "disconnected",
    ]  # fmt: skip
    assert (await broker.asks("GET", "/api/apps/hbdev/connections/user-42")).status == 404


async def hears_of_it(broker, page, origin, printed):
    """What happened in `lives` reached the product, each event once; nothing unsigned does."""
    listed = (await broker.asks("GET", "/api/apps/hbdev/endpoints")).json()["endpoints"]
    address = f"/api/apps/hbdev/endpoints/{listed[0]['id']}"
    events = f"{origin}/hubspot/events"
    signature = {"webhook-id": "msg_1", "webhook-timestamp": str(int(time.time()))}
    for forged in (
        {},
        {**signature, "webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()},
        {**signature, "webhook-signature": "nonsense"},
    ):
        headers = {"Content-Type": "application/json", **forged}
        answer = await page.request.post(
            events, data='{"type": "connection.created"}', headers=headers
        )
        assert answer.status == 400, forged

    await broker.run_background_work()
    delivered = (await broker.asks("GET", f"{address}/deliveries")).json()["deliveries"]
    again = f"/api/apps/hbdev/deliveries/{delivered[0]['id']}/replay"
    assert (await broker.asks("POST", again)).status == 202
    await broker.run_background_work()
    delivered = (await broker.asks("GET", f"{address}/deliveries")).json()["deliveries"]
    assert {each["state"] for each in delivered} == {"delivered"}
    lines = [each for each in printed.read_text().splitlines() if each.startswith("connection.")]
    assert sorted(lines) == [
        *["connection.created user-42"] * 3, "connection.deleted user-42", "connection.reauth_required user-42",
    ]  # fmt: skip


@needs("flask", "standardwebhooks")
async def test_a_flask_product_with_csrf_tokens(broker, hubspot, page, product, tmp_path):
    hubspot.auto_consent = None
    printed = tmp_path / "printed"
    origin = await product(sys.executable, str(EXAMPLES / "flask/app.py"), output=printed)
    await page.goto(origin)

    await lives(broker, hubspot, page)
    await hears_of_it(broker, page, origin, printed)


@needs("django", "requests", "standardwebhooks")
async def test_a_django_product_with_its_own_csrf_check(broker, hubspot, page, product, tmp_path):
    """Django refuses a POST without its token, and its default COOP would cut the popup off."""
    hubspot.auto_consent = None
    printed = tmp_path / "printed"
    origin = await product(sys.executable, str(EXAMPLES / "django/app.py"), output=printed)
    refused = await page.request.post(f"{origin}/hubspot/session")
    assert refused.status == 403
    opened = await page.goto(origin)
    assert opened.headers["cross-origin-opener-policy"] == "same-origin-allow-popups"

    await lives(broker, hubspot, page)
    await hears_of_it(broker, page, origin, printed)


@needs("fastapi", "uvicorn", "standardwebhooks")
async def test_a_fastapi_product_with_bearer_tokens(broker, hubspot, page, product, tmp_path):
    hubspot.auto_consent = None
    printed = tmp_path / "printed"
    origin = await product(sys.executable, str(EXAMPLES / "fastapi/app.py"), output=printed)
    await page.goto(origin)

    await lives(broker, hubspot, page)
    await hears_of_it(broker, page, origin, printed)


async def run(*command, cwd):
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, output.decode()
    return output.decode()


async def install(example, into, *, packed=None):
    """A copy of an example with the packages that it names, the button's from what npm would publish."""
    folder = shutil.copytree(EXAMPLES / example, into / example)
    modules = folder / "node_modules"
    modules.mkdir()
    for each in MODULES.iterdir():
        (modules / each.name).symlink_to(each)
    if packed is not None:
        with tarfile.open(packed) as archive:
            archive.extractall(modules, filter="data")
        (modules / "package").rename(modules / "hubspot-broker-connect")
    return folder


async def pack(into):
    output = await run(
        "npm", "pack", str(BUTTON), "--pack-destination", str(into), "--json", cwd=into
    )
    return into / json.loads(output)[0]["filename"]


@needs_node
async def test_a_react_page_with_an_express_api_on_another_origin(
    broker, hubspot, page, product, tmp_path, unused_tcp_port_factory
):
    """The page is built from the packed npm package, and its types are checked."""
    hubspot.auto_consent = None
    front = await install("react", tmp_path, packed=await pack(tmp_path))
    back = await install("express", tmp_path)
    port = unused_tcp_port_factory()
    page_origin = f"http://127.0.0.1:{port}"
    printed = tmp_path / "printed"
    api = await product("node", str(back / "server.mjs"), page_origin=page_origin, output=printed)
    await run("node_modules/.bin/tsc", "--noEmit", cwd=front)
    await run(
        "node_modules/.bin/esbuild", "src/main.tsx", "--bundle", "--format=esm", "--jsx=automatic",
        "--outfile=public/main.js", f'--define:BROKER="{broker.url}"', f'--define:API="{api}"', cwd=front,
    )  # fmt: skip
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", cwd=front / "public",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await page.goto(f"{page_origin}/", wait_until="load") if await answers(port) else None
        await lives(broker, hubspot, page)
        await hears_of_it(broker, page, api, printed)
    finally:
        await page.close()
        server.terminate()
        await server.wait()


async def answers(port):
    async with asyncio.timeout(15):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return True


LOOK = """
<style>
  :root { color-scheme: light; }
  #styled::part(button) { text-transform: uppercase; }
  #styled::part(message) { color: rgb(1, 2, 3); }
  #styled { --connect-background: rgb(0, 90, 60); --connect-color: rgb(255, 255, 255); --connect-radius: 0; }
</style>
<main lang="de-AT">
<connect-hubspot id="styled" session-url="/connect-hubspot"><span slot="icon">+</span> Verbinden</connect-hubspot>
<connect-hubspot id="plain" session-url="/connect-hubspot"></connect-hubspot>
</main>
"""


async def test_a_product_gives_the_button_its_own_look_and_language(page, product):
    """Parts, custom properties, slots, `lang` with `texts`, and the page's color scheme."""
    await page.emulate_media(color_scheme="dark")
    await page.goto(await product())
    await page.evaluate("(html) => { document.body.innerHTML = html }", LOOK)
    await page.evaluate(
        """for (const each of document.querySelectorAll("connect-hubspot"))
             each.texts = { de: { ready: "Mit {provider} verbinden", connected: "{provider} ist verbunden.", "connected-to": "Verbunden mit {account}." } };"""
    )
    look = """(name) => { const style = getComputedStyle(document.querySelector("#styled").shadowRoot.querySelector(name));
      return [style.textTransform, style.backgroundColor, style.borderRadius, style.color] }"""

    assert (await page.evaluate(look, "button"))[:3] == ["uppercase", "rgb(0, 90, 60)", "0px"]
    assert (await page.evaluate(look, "p"))[3] == "rgb(1, 2, 3)"
    plain = page.locator("#plain")
    # A light page stays light on a dark system.
    background = "getComputedStyle(document.querySelector('#plain').shadowRoot.querySelector('button')).backgroundColor"
    assert await page.evaluate(background) == "rgb(179, 64, 26)"
    await expect(plain.get_by_role("button")).to_have_text("Mit HubSpot verbinden")
    await expect(page.locator("#styled")).to_contain_text("Verbinden")

    await plain.evaluate("(it) => { it.connected = 'acme.example' }")
    await expect(plain.get_by_role("status")).to_have_text("Verbunden mit acme.example.")
    await plain.evaluate("(it) => { it.setAttribute('connected', '') }")
    await expect(plain.get_by_role("status")).to_have_text("HubSpot ist verbunden.")
    await plain.evaluate("(it) => { it.connected = false; it.setAttribute('provider', 'Shopify') }")
    await expect(plain.get_by_role("button")).to_have_text(["Mit Shopify verbinden"])


BARE = """<!doctype html><title>t</title>
<connect-hubspot confirm-url="/confirm"></connect-hubspot>
<script type=module>
  const it = document.querySelector("connect-hubspot");
  it.session = async () => (await fetch("/connect-hubspot", { method: "POST" })).json();
  it.headers = { "X-Own": "1" };
  await import("http://localhost:8080/connect.js");
  window.ready = true;
</script>"""

IN_THE_TAB = """<!doctype html><title>t</title>
<connect-hubspot mode=redirect session-url="/connect-hubspot" confirm-url="/confirm"></connect-hubspot>
<script src="http://localhost:8080/connect.js"></script>"""


async def test_a_product_makes_the_session_itself_and_confirms_by_its_own_backend(
    broker, hubspot, page, product, tmp_path
):
    """`session` in place of `session-url`, set before the script arrives; confirmation in a popup and in the tab."""
    hubspot.auto_consent = None
    example = shutil.copytree(EXAMPLES, tmp_path / "example")
    (example / "index.html").write_text(BARE)
    origin = await product(sys.executable, str(example / "backend.py"), confirm="required")
    requests = []

    async def backend(route):
        requests.append((route.request.method, route.request.headers.get("x-own")))
        body = {**(route.request.post_data_json or {}), "userForeignIdentifier": "user-42"}
        broker.secrets.append(body["confirm"])
        answer = await broker.asks("POST", "/api/connections/confirm", json=body)
        await route.fulfill(status=answer.status, json=answer.json())

    await page.route("**/confirm", backend)
    await page.goto(origin)
    await page.wait_for_function("window.ready")
    await records_events(page)

    await connects(page)

    await expect(message(page)).to_have_text("HubSpot is connected.")
    assert await heard(page) == [["connected", "connected"]]
    assert requests == [("POST", "1")]
    assert (await broker.proxies(user="user-42")).status == 200

    await broker.asks("DELETE", "/api/apps/hbdev/connections/user-42")
    (example / "index.html").write_text(IN_THE_TAB)
    await page.goto(f"{origin}/?status=pending#confirm=somebody-elses")
    await press(page, "Connect to HubSpot")
    await page.get_by_role("button", name="Continue to HubSpot").click()
    await page.get_by_role("button", name="Allow").click()

    await expect(message(page)).to_have_text("HubSpot is connected.")
    assert "#" not in page.url
    assert len(requests) == 2, "a code in an address that no press of the button led to is not used"


@needs_node
async def test_the_package_holds_the_button_and_its_types_and_nothing_else(tmp_path):
    with tarfile.open(await pack(tmp_path)) as archive:
        names = {each.removeprefix("package/") for each in archive.getnames()}

    assert names == {"package.json", "README.md", "connect.js", "connect.d.ts", "react.d.ts"}
    # In a server-side render there is no browser: importing does nothing.
    await run(
        "node",
        "--input-type=module",
        "--eval",
        f'await import("{BUTTON / "connect.js"}")',
        cwd=tmp_path,
    )

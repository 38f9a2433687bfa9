"""Make the screenshots in this folder from `broker demo`, in Debian's Chromium.

.venv/bin/python docs/screenshots/make.py
"""

import asyncio
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from playwright.async_api import BrowserContext, Page, async_playwright

HERE = Path(__file__).parent
BROKER = Path(sys.executable).with_name("broker")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def shown(demo: asyncio.subprocess.Process, pattern: str) -> tuple[str, ...]:
    """What the demo prints where the pattern's groups stand."""
    while line := (await demo.stdout.readline()).decode():  # type: ignore[union-attr]
        print(line, end="")
        if found := re.search(pattern, line):
            return found.groups()
    raise SystemExit("the demo ended before it served")


async def take(page: Page, name: str, *, dark: bool = False) -> None:
    await page.wait_for_load_state("networkidle")
    await page.screenshot(path=HERE / f"{name}.png", animations="disabled")
    if dark:
        await page.emulate_media(color_scheme="dark")
        await page.screenshot(path=HERE / f"{name}-dark.png", animations="disabled")
        await page.emulate_media(color_scheme="light")


async def button(context: BrowserContext, product: str) -> None:
    """The product's page, our page, HubSpot's, and how it ends."""
    page = await context.new_page()
    await page.set_viewport_size({"width": 760, "height": 420})
    await page.goto(product)
    async with page.expect_popup() as opened:
        await page.locator("connect-hubspot").first.get_by_role("button").click()
    popup = await opened.value
    await popup.wait_for_url("**/connect/**")
    await popup.set_viewport_size({"width": 560, "height": 720})
    await take(popup, "connect", dark=True)
    await popup.get_by_role("button", name="Continue to HubSpot").click()
    await popup.get_by_role("button", name="Allow").click()
    await page.get_by_text("HubSpot is connected.").wait_for()
    await take(page, "button", dark=True)


async def console(page: Page, url: str, key: str) -> None:
    """The console's sections, as an operator of the demo sees them."""
    await page.goto(f"{url}/console")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Home").wait_for()
    await take(page, "home")
    await page.goto(f"{url}/console/apps/demo")
    await page.get_by_role("button", name="Check credentials").click()
    await page.get_by_text("HubSpot accepts").wait_for()
    await take(page, "app")
    await page.goto(f"{url}/console/connections")
    await take(page, "connections")
    await page.goto(f"{url}/console/connection?app=demo&user=user-42")
    await take(page, "connection")
    await page.goto(f"{url}/console/playground?app=demo&user=user-42")
    await page.get_by_role("button", name="Send").click()
    await page.get_by_text("200 OK").wait_for()
    await take(page, "playground")
    await page.goto(f"{url}/console/kyb")
    await page.get_by_role("row", name="Acme Holdings Ltd").get_by_role("link").first.click()
    await page.locator("li.done").nth(3).wait_for()
    await take(page, "kyb")
    await page.goto(f"{url}/console/calls?app=demo&span=day")
    await page.locator(".chart canvas").nth(1).wait_for()
    await take(page, "calls", dark=True)


async def main() -> None:
    data, product_port = tempfile.mkdtemp(prefix="broker-", dir="/tmp"), 3000
    Path(data).chmod(0o755)  # Postgres runs as another user when this one is root
    environment = {**os.environ, "BROKER_DATA_DIR": f"{data}/data"}
    demo = await asyncio.create_subprocess_exec(
        BROKER, "demo", "--port", str(free_port()), env=environment, stdout=asyncio.subprocess.PIPE
    )
    backend = None
    try:
        url, key = await shown(demo, r"console\s+(\S+)/console\s+sign in with (\S+)")
        backend = await asyncio.create_subprocess_exec(
            sys.executable,
            HERE.parent / "examples" / "backend.py",
            env={**environment, "BROKER": url, "KEY": key, "PORT": str(product_port)},
            stderr=asyncio.subprocess.DEVNULL,
        )
        await asyncio.sleep(0.5)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox"],
            )
            context = await browser.new_context(
                viewport={"width": 1120, "height": 760}, reduced_motion="reduce"
            )
            await button(context, f"http://127.0.0.1:{product_port}")
            await console(await context.new_page(), url, key)
            page = await context.new_page()
            await page.goto(f"{url}/docs")
            await take(page, "docs")
            await browser.close()
    finally:
        for process in (backend, demo):
            if process is not None and process.returncode is None:
                process.terminate()
                await process.wait()
        shutil.rmtree(data, ignore_errors=True)


asyncio.run(main())

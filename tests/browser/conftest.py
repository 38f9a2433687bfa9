"""Pages in a real browser: Debian's Chromium, driven by Playwright."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

from tests.until import accepts, until

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
ARGS = ["--disable-background-networking", "--no-sandbox", "--disable-dev-shm-usage"]
"""Containers have no user namespaces to make a sandbox of and a small /dev/shm; only our own pages run."""

HARMLESS = ("Failed to load resource: the server responded with a status of 4",)
"""What Chromium says of a page that answers 4xx, which refusals do."""


WINDOW, PHONE = {"width": 1200, "height": 900}, {"width": 375, "height": 700}
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

REPORTS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`broken policy: ${event.violatedDirective} by ${event.blockedURI}`));"""


def pytest_collection_modifyitems(items: list[Any]) -> None:
    if CHROMIUM:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(
                pytest.mark.skip(reason="chromium is not here: apt-get install chromium")
            )


@pytest.fixture
async def context() -> AsyncIterator[Any]:
    """A browser of the test's own; no page may complain, and no policy may be broken."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = await browser.new_context(viewport=WINDOW)
        context.set_default_timeout(15_000)
        complaints: list[str] = []
        await context.add_init_script(REPORTS)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on(
            "console",
            lambda message: (
                complaints.append(f"{message.text} {message.location['url']}")
                if message.type == "error" and not message.text.startswith(HARMLESS)
                else None
            ),
        )
        yield context
        await browser.close()
    assert complaints == []


@pytest.fixture
async def page(context: Any) -> Page:
    return await context.new_page()


async def check_usable(page: Page) -> None:
    """No finding of axe-core's is serious or critical, in light and in dark; and nothing is wider
    than the window, or than a phone.
    """
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found = await Axe().run(page)
        serious = [
            f"{scheme} {page.url}: {each['id']}: {each['nodes'][0]['html'][:200]} {each['nodes'][0].get('failureSummary', '')[:300]}"
            for each in found.response["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        assert serious == []
    for size in (PHONE, WINDOW):
        await page.set_viewport_size(size)
        assert await page.evaluate(TOO_WIDE) <= 0, f"{page.url} is wider than {size['width']}"


@pytest.fixture
async def product(broker: Any, context: Any, unused_tcp_port_factory: Any) -> AsyncIterator[Any]:
    """Start the example's backend, on another origin than the broker's."""
    started = []

    async def start(
        *command: str,
        listed: bool = True,
        page_origin: str = "",
        output: Path | None = None,
        **changes: Any,
    ) -> str:
        """`page_origin` is where the page is, when the backend serves none. With `output` the
        broker sends its events about connections to the backend, and what that prints goes there.
        """
        port = unused_tcp_port_factory()
        api = f"http://127.0.0.1:{port}"
        origin = page_origin or api
        await broker.asks(
            "PATCH",
            "/api/apps/hbdev",
            json={
                "origins": [origin] if listed else ["https://product.example"],
                "returnUrls": [f"{origin}/"],
                **changes,
            },
        )
        environment = {"BROKER": broker.url, "KEY": broker.key, "APP": "hbdev", "PORT": str(port)}
        environment["PAGE"] = page_origin
        if output:
            endpoint = await broker.sends_to(f"{api}/hubspot/events", "connection.*")
            environment["EVENTS_SECRET"] = endpoint.json()["secret"]
        command = command or (sys.executable, str(ROOT / "docs/examples/backend.py"))
        with output.open("wb") if output else nullcontext() as printed:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={**os.environ, **environment},
                stdout=printed,
                stderr=asyncio.subprocess.DEVNULL,
            )
        started.append(process)
        await until(lambda: accepts(port))
        return api

    yield start
    for page in context.pages:  # which may still load something of it
        await page.close()
    for process in started:
        process.terminate()
        await process.wait()

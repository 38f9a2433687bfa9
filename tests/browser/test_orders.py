"""The orders recipe in a browser: settings from what the account offers, a run from shop to deal."""

import os

from playwright.async_api import expect

from tests.flows.providers.conftest import shopify_sandbox, shops
from tests.flows.recipes.test_orders import LINE, records, till

from .conftest import check_usable
from .test_console import signs_in

__all__ = ["shopify_sandbox", "shops", "till"]

SHOTS = os.environ.get("BROKER_SHOTS")
"""A folder for pictures of the pages, for people to look at."""


async def looks(page, name):
    await check_usable(page)
    for width in (1280, 390) if SHOTS else ():
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size({"width": width, "height": 900})
            await page.screenshot(path=f"{SHOTS}/{name}-{width}-{scheme}.png", full_page=True)


async def test_orders_are_set_up_checked_tried_out_and_brought_over(shops, till, page):
    order = till.place([LINE], email="ann@x.example", billing={"first_name": "<b>Ann</b>"})
    refused = till.place([LINE])
    refused.currency = "JPY"
    await signs_in(page, shops.broker)

    await page.get_by_role("link", name="Orders").click()
    await page.get_by_role("link", name="Settings").click()
    await page.get_by_label("Stage of orders that are to be paid").select_option("contractsent")
    await page.get_by_text("Which property shows what").click()
    await page.get_by_label("Company", exact=True).fill("company")
    await looks(page, "settings")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_label("Stage of orders that are to be paid")).to_have_value(
        "contractsent"
    )
    await page.get_by_role("button", name="Make them").click()
    await expect(page.get_by_text("Nothing was missing.")).to_be_visible()
    await page.get_by_role("button", name="Check").click()
    await expect(page.get_by_text("A run for this user would work.")).to_be_visible()

    await page.get_by_role("link", name="Runs").click()
    await page.get_by_label("User").fill("u1")
    await page.get_by_label("Order id").fill(str(order.id))
    await page.get_by_role("button", name="Preview (dry run)").click()
    await expect(page.get_by_text("Nothing was changed.")).to_be_visible()
    await looks(page, "dry-run")
    assert records(shops, "deals") == []
    await page.get_by_role("button", name="Bring over orders").click()
    await expect(page.get_by_role("heading", name="Result")).to_be_visible()
    await looks(page, "run")

    await page.get_by_role("link", name="Orders", exact=True).first.click()
    await page.get_by_text("Bring over orders").first.click()
    await page.get_by_label("User").fill("u1")
    await page.get_by_label("Order id").fill(str(refused.id))
    await page.get_by_role("button", name="Bring over orders").click()
    await expect(page.get_by_text("does not have the currency JPY")).to_be_visible()
    await looks(page, "refused")
    refused.currency = "USD"
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator("li.done")).to_have_count(2)
    await page.get_by_role("link", name="Orders", exact=True).first.click()
    await expect(page.get_by_role("row")).to_have_count(3)
    await looks(page, "runs")
    assert len(records(shops, "deals")) == 2

"""How recipes are doing, as an operator sees it at night and on a phone."""

import os

from playwright.async_api import expect

from tests.fixtures.enrichment import ADA
from tests.flows.recipes.test_recipe_health import ends, judges

from .conftest import check_usable
from .test_console import signs_in

HOSTILE = "<img src=x onerror=alert(1)>"


async def test_what_goes_wrong_is_counted_explained_and_led_to(enrichment, database, page):
    broker = enrichment.broker
    await ends(enrichment, 4, well=True)
    enrichment.world.levers.credits = 0
    await enrichment.starts(enrichment.contact(email=ADA, firstname=HOSTILE))
    enrichment.world.levers.credits = None
    await database.execute("UPDATE vendor_rate_limit SET paused_until = NULL")
    await ends(enrichment, 1, well=False)
    await judges(enrichment, database)
    await broker.asks("PUT", "/api/apps/hbdev/recipes/orders", json={"shopApp": "shop"})
    await signs_in(page, broker)

    await page.get_by_role("link", name="Recipe health").click()

    await expect(page.get_by_role("heading", name="Recipe health")).to_be_visible()
    await page.get_by_role("region", name="Recipes").get_by_role("link", name="Enrichment").click()
    await expect(page.get_by_text("60.0 % of the last runs succeeded")).to_be_visible()
    await expect(page.get_by_role("row", name="Enrichment")).to_contain_text("unhealthy")
    errors = page.get_by_role("region", name="Errors")
    await expect(errors.get_by_role("link", name="quota-exhausted")).to_be_visible()
    await expect(errors).to_contain_text("Hunter has no credits left for this key")
    await expect(errors).to_contain_text("Put a valid key into the recipe's settings")
    await expect(page.locator(".chart canvas")).to_have_count(3)
    await page.get_by_text("The charts as a table").click()
    numbers = page.get_by_role("region", name="Numbers of the charts")
    await expect(numbers.get_by_role("row").nth(2).get_by_role("cell").nth(3)).to_have_text("33.3")
    await check_usable(page)
    if shots := os.environ.get("SHOTS"):
        for width in (1280, 390):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.screenshot(path=f"{shots}/health-{width}.png", full_page=True)
    await page.get_by_label("Recipe", exact=True).select_option("orders")
    await page.get_by_role("button", name="Show").click()
    await expect(page.get_by_text("No run has failed.")).to_be_visible()

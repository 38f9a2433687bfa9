"""The control API and the page of the sandbox QuickBooks Online."""

import json

from tests.sandbox.quickbooks.client import BASIC, US, invoice


async def test_levers_are_seen_set_and_refused_by_name(books):
    assert (await books.control("POST", "levers", {"rotates": True}))[0] == 400
    assert (await books.control("POST", "levers", {"jump": 60, "rotate_after": 5}))[0] == 204
    _, levers = await books.control("GET", "levers")
    assert levers["rotate_after"] == 5
    assert (await books.control("POST", "levers", {"revoke": US}))[0] == 204
    assert (await books.call("GET", "companyinfo/1"))[0] == 401


async def test_requests_are_recorded_with_hashes_for_secrets(books):
    grant = books.connect()
    await books.refresh(grant.refresh_token)
    await books.call("GET", "companyinfo/1")
    _, seen = await books.control("GET", "requests")
    text = json.dumps(seen)
    assert grant.refresh_token not in text
    assert books.tokens[US] not in text
    assert BASIC.split()[1] not in text
    assert seen[0]["headers"]["Authorization"].startswith("sha256:")
    assert (seen[0]["status"], seen[0]["method"]) == (200, "GET")


async def test_the_books_can_be_looked_at_in_a_browser(books):
    customer = await books.customer("<b>Ada</b>")
    await books.ok("POST", "invoice", invoice(customer))
    async with books.session.get(books.url + "/") as got:
        page = await got.text()
    assert "&lt;b&gt;Ada" in page
    assert "1001" in page
    assert "100.00" in page


async def test_a_person_changes_records_without_the_app(books):
    customer = await books.customer()
    path = f"companies/{US}/entities/customer"
    status, changed = await books.control("POST", path, {"Id": customer["Id"], "Notes": "vip"})
    assert (status, changed["SyncToken"]) == (200, "1")
    assert (await books.control("POST", path, {"nonsense": 1}))[0] == 400

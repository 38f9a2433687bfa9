"""The control API and the page of the sandbox Xero."""

from tests.sandbox.xero.client import NZ


async def test_the_books_can_be_looked_at_and_changed_by_a_person(books):
    status, saved = await books.control(
        "POST", f"organisations/{NZ}/Contacts", {"Name": "<b>Ada</b>"}
    )
    assert status == 200
    await books.invoice(saved[0])
    async with books.session.get(books.url + "/") as got:
        page = await got.text()
    assert "&lt;b&gt;Ada" in page
    assert "INV-0001" in page
    assert (await books.control("POST", f"organisations/{NZ}/Contacts", {}))[0] == 400
    assert (await books.control("POST", "levers", {"disconnect": NZ}))[0] == 204
    assert (await books.call("GET", "Contacts"))[0] == 403

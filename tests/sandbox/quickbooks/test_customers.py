"""Customers and items of the sandbox QuickBooks Online."""

from tests.sandbox.quickbooks.client import US, invoice


async def test_a_name_is_unique_over_customers_vendors_and_employees_inactive_ones_too(books):
    await books.customer("Ada Lovelace")
    for name, by in (("Vera", "vendor"), ("Emil", "employee"), ("Ina", "inactive")):
        await books.control("POST", f"companies/{US}/names", {"name": name, "by": by})

    for name in ("ada lovelace", " Ada Lovelace ", "Vera", "Emil", "Ina"):
        status, answer = await books.call("POST", "customer", {"DisplayName": name})
        error = answer["Fault"]["Error"][0]
        assert (status, error["code"]) == (400, "6240")
        assert error["Message"] == "Duplicate Name Exists Error"
    found = await books.find("SELECT * FROM Customer WHERE DisplayName = 'Ina'")
    assert found == {}
    inactive = await books.find(
        "SELECT * FROM Customer WHERE DisplayName = 'Ina' AND Active IN (true, false)"
    )
    assert inactive["Customer"][0]["Active"] is False


async def test_a_wrong_customer_is_refused_with_its_code(books):
    for sent, code in (
        ({"DisplayName": "A", "lifecyclestage": "lead"}, "2010"),
        ({"PrimaryEmailAddr": {"Address": "a@b.c"}}, "2020"),
        ({"DisplayName": "x" * 501}, "2050"),
        ({"DisplayName": "A: B"}, "6000"),
        ({"DisplayName": "A", "CurrencyRef": {"value": "EUR"}}, "6000"),
        ({"Id": "x", "SyncToken": "0"}, "2030"),
        ({"Id": "77", "SyncToken": "0"}, "610"),
    ):
        assert (await books.refused("POST", "customer", sent))[0] == code, sent
    status, answer = await books.call("POST", "customer", "{")
    assert (status, answer["Fault"]["Error"][0]["code"]) == (400, "2010")
    built = await books.ok("POST", "customer", {"GivenName": "Grace", "FamilyName": "Hopper"})
    assert built["Customer"]["DisplayName"] == "Grace Hopper"


async def test_an_update_needs_the_current_sync_token_and_a_sparse_one_leaves_the_rest(books):
    made = await books.customer(CompanyName="Analytical", PrimaryEmailAddr={"Address": "a@x.io"})
    change = {"Id": made["Id"], "sparse": True, "CompanyName": "Engines"}

    no_token = await books.refused("POST", "customer", change)
    changed = await books.ok("POST", "customer", {**change, "SyncToken": "0"})
    stale = await books.refused("POST", "customer", {**change, "SyncToken": "0"})
    books.levers.stale = 1
    raced = await books.refused("POST", "customer", {**change, "SyncToken": "1"})
    full = await books.ok(
        "POST", "customer", {"Id": made["Id"], "SyncToken": "2", "DisplayName": "Ada"}
    )

    assert no_token[0] == "2020"
    assert changed["Customer"]["SyncToken"] == "1"
    assert changed["Customer"]["PrimaryEmailAddr"] == {"Address": "a@x.io"}
    assert stale[0] == raced[0] == "5010"
    assert stale[1].startswith("Stale Object Error : You and ")
    assert "PrimaryEmailAddr" not in full["Customer"]


async def test_a_customer_made_inactive_gives_its_name_back_with_a_suffix(books):
    made = await books.customer("Ada")
    gone = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "Active": False}
    answer = await books.ok("POST", "customer", gone)
    assert answer["Customer"]["DisplayName"] == "Ada (deleted)"
    again = await books.customer("Ada")
    refused = await books.refused("POST", "invoice", invoice(made))
    assert refused[0] == "2500"
    assert (await books.ok("POST", "invoice", invoice(again)))["Invoice"]["Id"] == "1"


async def test_items_are_read_made_and_changed(books):
    new = {"Name": "Consulting", "Type": "Service", "UnitPrice": 120.5}
    assert (await books.refused("POST", "item", new))[0] == "2020"
    assert (await books.refused("POST", "item", {**new, "IncomeAccountRef": {"value": "99"}}))[
        0
    ] == "2500"
    assert (await books.refused("POST", "item", {**new, "Name": "services", "IncomeAccountRef": {"value": "1"}}))[0] == "6240"  # fmt: skip
    made = (await books.ok("POST", "item", {**new, "IncomeAccountRef": {"value": "1"}}))["Item"]
    change = {"Id": made["Id"], "SyncToken": "0", "sparse": True, "UnitPrice": 130}
    assert (await books.ok("POST", "item", change))["Item"]["UnitPrice"] == 130
    assert (await books.ok("GET", f"item/{made['Id']}"))["Item"]["Name"] == "Consulting"
